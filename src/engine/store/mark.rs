//! The state of a kept message that has changed since its arrival.

/// The state of a message that has changed since it was kept. Most messages have none.
///
/// Times are milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Deliveries that ended without an acknowledgement.
    pub(crate) acquired: u32,
    /// Those of them that failed.
    pub(crate) failed: u32,
    /// Whether a quorum queue delivers it before those that were never delivered.
    pub(crate) returned: bool,
    /// Whether a consumer has it.
    pub(crate) out: bool,
    /// When a delayed message is due.
    pub(crate) due: Option<u64>,
    /// The number of the reason, if it is a dead letter that no queue has taken yet.
    pub(crate) dead: Option<u8>,
}

/// The bits of the flags.
const RETURNED: u8 = 1;
const OUT: u8 = 2;
const DUE: u8 = 4;

impl Mark {
    /// The length of an encoded mark.
    pub(crate) const LENGTH: usize = 18;

    /// The mark after one more delivery that failed.
    pub(crate) fn failed_once_more(self) -> Mark {
        Mark {
            acquired: self.acquired.saturating_add(1),
            failed: self.failed.saturating_add(1),
            out: false,
            ..self
        }
    }

    /// The counts, the flags, the reason and the time, in this order, least significant byte first.
    pub(crate) fn to_bytes(self) -> [u8; Mark::LENGTH] {
        let mut bytes = [0; Mark::LENGTH];
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        let flags =
            flag(self.returned, RETURNED) | flag(self.out, OUT) | flag(self.due.is_some(), DUE);
        bytes[..4].copy_from_slice(&self.acquired.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.failed.to_le_bytes());
        bytes[8] = flags;
        // Reasons begin at 1.
        bytes[9] = self.dead.unwrap_or(0);
        bytes[10..].copy_from_slice(&self.due.unwrap_or(0).to_le_bytes());
        bytes
    }

    /// `None` if these are not the bytes of a mark.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Mark> {
        let (acquired, bytes) = bytes.split_first_chunk()?;
        let (failed, bytes) = bytes.split_first_chunk()?;
        let ([flags, dead], bytes) = bytes.split_first_chunk()?;
        let due = u64::from_le_bytes(bytes.try_into().ok()?);
        Some(Mark {
            acquired: u32::from_le_bytes(*acquired),
            failed: u32::from_le_bytes(*failed),
            returned: flags & RETURNED != 0,
            out: flags & OUT != 0,
            due: (flags & DUE != 0).then_some(due),
            dead: (*dead != 0).then_some(*dead),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_mark_comes_back_as_it_was(
            (acquired, failed, returned, out) in any::<(u32, u32, bool, bool)>(),
            due in any::<Option<u64>>(),
            dead in proptest::option::of(1..=u8::MAX),
        ) {
            let mark = Mark { acquired, failed, returned, out, due, dead };
            prop_assert_eq!(Mark::from_bytes(&mark.to_bytes()), Some(mark));
        }
    }

    #[test]
    fn bytes_of_another_length_are_no_mark() {
        for length in (0..40).filter(|length| *length != Mark::LENGTH) {
            assert_eq!(Mark::from_bytes(&vec![0; length]), None);
        }
    }
}
