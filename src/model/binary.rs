//! Values as bytes, in the form in which they are kept on disk: numbers, and octets behind their
//! length.
//!
//! What writes a value takes any [`Sink`], and runs twice. First a [`Length`] counts the octets,
//! and then a [`Filler`] writes them to their place. So a value takes one allocation.

/// Takes octets in their order.
pub(crate) trait Sink {
    fn octets(&mut self, octets: &[u8]);

    fn octet(&mut self, octet: u8) {
        self.octets(&[octet]);
    }

    /// Seven bits in each octet, the lowest ones first. All octets but the last have the highest
    /// bit.
    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.octet(number as u8 | 0x80);
            number >>= 7;
        }
        self.octet(number as u8);
    }

    /// Octets behind their length.
    fn run(&mut self, octets: &[u8]) {
        self.number(octets.len() as u64);
        self.octets(octets);
    }
}

/// Counts octets.
#[derive(Debug, Default)]
pub(crate) struct Length(usize);

impl Length {
    pub(crate) fn total(&self) -> usize {
        self.0
    }
}

impl Sink for Length {
    fn octets(&mut self, octets: &[u8]) {
        self.0 += octets.len();
    }

    fn number(&mut self, number: u64) {
        let bits = u64::BITS - (number | 1).leading_zeros();
        self.0 += bits.div_ceil(7) as usize;
    }
}

/// Grows by the octets.
impl Sink for Vec<u8> {
    fn octets(&mut self, octets: &[u8]) {
        self.extend_from_slice(octets);
    }

    fn octet(&mut self, octet: u8) {
        self.push(octet);
    }
}

/// Fills a place of exactly the [`Length`] that was counted. More octets are dropped.
#[derive(Debug)]
pub(crate) struct Filler<'a>(&'a mut [u8]);

impl<'a> Filler<'a> {
    pub(crate) fn new(place: &'a mut [u8]) -> Filler<'a> {
        Filler(place)
    }
}

impl Sink for Filler<'_> {
    fn octets(&mut self, octets: &[u8]) {
        let place = std::mem::take(&mut self.0);
        if let Some((here, rest)) = place.split_at_mut_checked(octets.len()) {
            here.copy_from_slice(octets);
            self.0 = rest;
        }
    }

    fn octet(&mut self, octet: u8) {
        if let Some((here, rest)) = std::mem::take(&mut self.0).split_first_mut() {
            *here = octet;
            self.0 = rest;
        }
    }
}

/// Reads what a [`Sink`] took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a>(&'a [u8]);

impl<'a> Source<'a> {
    pub(crate) fn new(octets: &'a [u8]) -> Source<'a> {
        Source(octets)
    }

    /// Everything that is left.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }

    pub(crate) fn octet(&mut self) -> Result<u8, Unreadable> {
        let [octet] = self.array()?;
        Ok(octet)
    }

    /// The next `N` octets.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        let (here, rest) = self.0.split_first_chunk().ok_or(Unreadable::End)?;
        self.0 = rest;
        Ok(*here)
    }

    pub(crate) fn number(&mut self) -> Result<u64, Unreadable> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let octet = self.octet()?;
            let bits = u64::from(octet & 0x7f);
            if bits << shift >> shift != bits {
                return Err(Unreadable::Number);
            }
            number |= bits << shift;
            if octet < 0x80 {
                return Ok(number);
            }
        }
        Err(Unreadable::Number)
    }

    /// Octets behind their length.
    pub(crate) fn run(&mut self) -> Result<&'a [u8], Unreadable> {
        let length = usize::try_from(self.number()?).map_err(|_| Unreadable::End)?;
        let (here, rest) = self.0.split_at_checked(length).ok_or(Unreadable::End)?;
        self.0 = rest;
        Ok(here)
    }

    /// Text behind its length.
    pub(crate) fn text(&mut self) -> Result<&'a str, Unreadable> {
        str::from_utf8(self.run()?).map_err(|_| Unreadable::Text)
    }
}

/// The reason why octets are not those of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("it ends too early")]
    End,
    #[error("a number in it has more than 64 bits")]
    Number,
    #[error("a number in it is {0}, which is too large")]
    TooLarge(u64),
    #[error("a text in it is not UTF-8")]
    Text,
    #[error("a name in it has {0} bytes")]
    LongName(usize),
    #[error("it has the unknown version {0}")]
    Version(u8),
    #[error("it has unknown fields, by the bits {0:#x}")]
    Fields(u32),
    #[error("a header has the unknown type {0}")]
    Type(u8),
    #[error("a table in it has a name twice")]
    Twice,
    #[error("its headers are nested too deeply")]
    TooDeep,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn write(to: &mut impl Sink, numbers: &[u64], runs: &[Vec<u8>]) {
        numbers.iter().for_each(|number| to.number(*number));
        runs.iter().for_each(|run| to.run(run));
        to.octet(7);
    }

    proptest! {
        #[test]
        fn numbers_and_runs_come_back_in_the_length_that_was_counted(
            shifts in prop::collection::vec((any::<u64>(), 0..64u32), 0..9),
            runs in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..5),
        ) {
            let numbers: Vec<u64> = shifts.iter().map(|(number, by)| number >> by).collect();
            let mut length = Length::default();
            write(&mut length, &numbers, &runs);
            let mut octets = vec![0; length.total()];
            write(&mut Filler::new(&mut octets), &numbers, &runs);
            let mut source = Source::new(&octets);
            for number in numbers {
                prop_assert_eq!(source.number(), Ok(number));
            }
            for run in runs {
                prop_assert_eq!(source.run(), Ok(&run[..]));
            }
            prop_assert_eq!(source.octet(), Ok(7));
            prop_assert_eq!(source.octet(), Err(Unreadable::End));
        }
    }

    #[test]
    fn a_number_of_more_than_64_bits_is_refused() {
        let most = [[0xff; 9].as_slice(), &[1]].concat();
        assert_eq!(Source::new(&most).number(), Ok(u64::MAX));
        for (octets, error) in [
            ([[0xff; 9].as_slice(), &[2]].concat(), Unreadable::Number),
            (vec![0x80; 11], Unreadable::Number),
            (vec![0x80; 9], Unreadable::End),
        ] {
            assert_eq!(Source::new(&octets).number(), Err(error));
        }
    }

    #[test]
    fn a_run_is_not_longer_than_what_is_there() {
        assert_eq!(Source::new(&[3, 1, 2]).run(), Err(Unreadable::End));
        assert_eq!(Source::new(&[1, 0xff]).text(), Err(Unreadable::Text));
        assert_eq!(Source::new(&[]).text(), Err(Unreadable::End));
    }
}
