//! Erlang's portable hash of the terms that exchanges choose by.
//!
//! Erlang guarantees that `erlang:phash2` gives the same number for the same term in every version.
//! It is Bob Jenkins' hash of 1996 ("lookup2"), with one constant for each type of term. So a key
//! goes to the same queue as in RabbitMQ.

use crate::model::{
    field_value::{FieldTable, FieldValue},
    octets,
};

/// The golden ratio. Multiples of it keep the types of terms apart.
const GOLDEN: u32 = 0x9e37_79b9;

/// The hash of the terms so far. A tuple and a list are hashed element by element.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Phash2(u32);

impl Phash2 {
    /// `erlang:phash2` of a binary.
    pub(crate) fn of_text(text: &str) -> u32 {
        Self::default().binary(&octets::of_text(text)).finish()
    }

    /// `erlang:phash2` of a list of binaries.
    pub(crate) fn of_list(list: &[&str]) -> u32 {
        let add = |hash: Self, text: &&str| hash.binary(&octets::of_text(text));
        list.iter().fold(Self::default(), add).nil().finish()
    }

    /// `erlang:phash2` of an atom.
    pub(crate) fn of_atom(name: &str) -> u32 {
        Self::default().atom(name).finish()
    }

    /// `erlang:phash2` of a field value as RabbitMQ keeps it, without its type.
    pub(crate) fn of_value(value: &FieldValue) -> u32 {
        Self::default().value(value).finish()
    }

    /// `erlang:phash2` of the first element of an array or a table, with its type.
    pub(crate) fn of_element(name: Option<&str>, value: &FieldValue) -> u32 {
        Self::default().element(name, value).finish()
    }

    /// A number below 2^27.
    fn finish(self) -> u32 {
        self.0 % (1 << 27)
    }

    fn value(self, value: &FieldValue) -> Self {
        match value {
            FieldValue::Void => self.atom("undefined"),
            FieldValue::Bool(true) => self.atom("true"),
            FieldValue::Bool(false) => self.atom("false"),
            FieldValue::Float(number) => self.float(f64::from(*number)),
            FieldValue::Double(number) => self.float(*number),
            FieldValue::Decimal { scale, value } => {
                let tuple = self.tuple(2).integer(i128::from(*scale));
                tuple.integer(i128::from(*value))
            }
            FieldValue::LongString(text) => self.binary(&octets::of_text(text)),
            FieldValue::Bytes(bytes) => self.binary(bytes),
            FieldValue::Timestamp(seconds) => self.integer(i128::from(*seconds)),
            FieldValue::Array(values) => {
                let add = |hash: Self, value| hash.element(None, value);
                values.iter().fold(self, add).nil()
            }
            FieldValue::Table(table) => self.table(table),
            number => self.integer(i128::from(number.as_i64().unwrap_or_default())),
        }
    }

    fn table(self, table: &FieldTable) -> Self {
        let add = |hash: Self, (name, value): (&str, _)| hash.element(Some(name), value);
        table.iter().fold(self, add).nil()
    }

    /// An element of an array is a pair of type and value. In a table its name comes first.
    fn element(self, name: Option<&str>, value: &FieldValue) -> Self {
        let tuple = match name {
            None => self.tuple(2),
            Some(name) => self.tuple(3).binary(&octets::of_text(name)),
        };
        tuple.atom(value.type_name()).value(value)
    }

    fn tuple(self, elements: u32) -> Self {
        self.words(elements, 0, 9)
    }

    fn atom(self, name: &str) -> Self {
        let hash = name.bytes().fold(0_u32, |hash, byte| {
            let hash = (hash << 4).wrapping_add(byte.into());
            let high = hash & 0xf000_0000;
            hash ^ (high >> 24) ^ high
        });
        match self.0 {
            // The hash of an atom alone is not mixed.
            0 => Self(hash),
            _ => self.words(hash, 0, 3),
        }
    }

    /// The end of a list.
    fn nil(self) -> Self {
        match self.0 {
            0 => Self(3_468_870_702),
            _ => self.words(2, 0, 2),
        }
    }

    fn integer(self, number: i128) -> Self {
        // Erlang's small integers of a 32-bit machine have 28 bits.
        if (-(1 << 27)..1 << 27).contains(&number) {
            let number = number as i32;
            let positive = match number {
                0.. => self,
                _ => self.words(number.wrapping_neg() as u32, 0, 1),
            };
            return positive.words(number as u32, 0, 1);
        }
        let magnitude = number.unsigned_abs();
        let sign = if number < 0 { 10 } else { 11 };
        self.words(magnitude as u32, (magnitude >> 32) as u32, sign)
    }

    fn float(self, number: f64) -> Self {
        // Zero has one hash, whatever its sign.
        let bits = (number + 0.0).to_bits();
        self.words((bits >> 32) as u32, bits as u32, 12)
    }

    fn binary(self, bytes: &[u8]) -> Self {
        let seed = GOLDEN.wrapping_mul(13).wrapping_add(self.0);
        Self(match bytes {
            [] => seed,
            bytes => of_bytes(bytes, seed),
        })
    }

    /// Adds two words of a term. `kind` tells the types of terms apart.
    fn words(self, first: u32, second: u32, kind: u32) -> Self {
        let base = GOLDEN.wrapping_mul(kind);
        let [.., hash] = mixed([base.wrapping_add(first), base.wrapping_add(second), self.0]);
        Self(hash)
    }
}

fn of_bytes(bytes: &[u8], seed: u32) -> u32 {
    let mut state = [GOLDEN, GOLDEN, seed];
    let blocks = bytes.chunks_exact(12);
    let rest = blocks.remainder();
    for block in blocks {
        state = mixed(with(state, block));
    }
    // The lowest byte of the last word has the length instead of a byte of the text.
    let mut last = [0; 12];
    let (before, behind) = rest.split_at(rest.len().min(8));
    last[..before.len()].copy_from_slice(before);
    last[9..9 + behind.len()].copy_from_slice(behind);
    state[2] = state[2].wrapping_add(bytes.len() as u32);
    let [.., hash] = mixed(with(state, &last));
    hash
}

/// Adds twelve bytes to the state, four to each word.
fn with(state: [u32; 3], block: &[u8]) -> [u32; 3] {
    let mut words = block.chunks_exact(4).map(|word| {
        let number = |sum: u32, byte: &u8| sum << 8 | u32::from(*byte);
        word.iter().rev().fold(0, number)
    });
    state.map(|word| word.wrapping_add(words.next().unwrap_or(0)))
}

/// Jenkins' mixing of three words.
fn mixed([mut a, mut b, mut c]: [u32; 3]) -> [u32; 3] {
    for [first, second, third] in [[13, 8, 13], [12, 16, 5], [3, 10, 15]] {
        a = a.wrapping_sub(b).wrapping_sub(c) ^ (c >> first);
        b = b.wrapping_sub(c).wrapping_sub(a) ^ (a << second);
        c = c.wrapping_sub(a).wrapping_sub(b) ^ (b >> third);
    }
    [a, b, c]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of Erlang/OTP 29.
    #[test]
    fn it_hashes_lists_as_erlang_does() {
        for (list, hash) in [
            (&["k"][..], 403_364),
            (&[""], 38_220_213),
            (&["a", "b"], 3_094_894),
            (&["key-0"], 124_810_561),
            (&["key-11"], 78_388_637),
            (&["0123456789ab"], 119_280_432),
            (&["0123456789abc"], 56_666_097),
            (&["0123456789abcdefghijklmnopq"], 79_768_131),
            (&["x", "", "0123456789abcdefghijklmnopq"], 100_484_688),
        ] {
            assert_eq!(Phash2::of_list(list), hash, "{list:?}");
        }
    }

    /// The numbers of Erlang/OTP 25, for the terms that RabbitMQ makes of these values.
    #[test]
    fn it_hashes_field_values_as_erlang_does() {
        let bytes = |bytes: &[u8]| FieldValue::Bytes(bytes.into());
        for (value, hash) in [
            (FieldValue::Void, 45_914_356),
            (true.into(), 506_293),
            (false.into(), 7_111_573),
            (0.into(), 88_723_725),
            (5_i64.into(), 5_878_562),
            (FieldValue::Octet(-5), 115_015_680),
            (134_217_727.into(), 112_602_999),
            (134_217_728.into(), 12_354_923),
            ((-134_217_728).into(), 69_672_967),
            ((-134_217_729).into(), 76_739_502),
            (i32::MAX.into(), 124_127_543),
            (FieldValue::UnsignedInt(u32::MAX), 95_053_261),
            ((1_i64 << 40).into(), 13_893_919),
            ((-1_i64 << 40).into(), 48_180_921),
            (((1_i64 << 59) - 1).into(), 27_520_264),
            ((1_i64 << 59).into(), 26_969_617),
            (i64::MAX.into(), 28_179_613),
            (i64::MIN.into(), 126_213_383),
            (1.5.into(), 10_380_315),
            ((-0.0).into(), 20_875_736),
            ((-2.25e100).into(), 19_609_194),
            (
                FieldValue::Decimal {
                    scale: 1,
                    value: 15,
                },
                117_662_257,
            ),
            (bytes(&[255, 254]), 129_772_081),
            ("k0".into(), 92_414_295),
            (FieldValue::Array(vec![]), 113_427_502),
            (FieldValue::Array(vec![5.into()]), 23_679_176),
            (
                FieldValue::Array(vec!["x".into(), (-5_i64).into()]),
                33_686_146,
            ),
            (FieldTable::from([("a", 1)]).into(), 108_157_490),
        ] {
            assert_eq!(Phash2::of_value(&value), hash, "{value:?}");
        }
    }

    #[test]
    fn it_hashes_elements_with_their_types_as_erlang_does() {
        let inner = FieldTable::from([("a", FieldValue::from("b")), ("c", 1.5.into())]);
        for (name, value, hash) in [
            (None, 5.into(), 40_839_585),
            (None, "abc".into(), 101_716_503),
            (None, "".into(), 116_351_706),
            (None, FieldValue::Array(vec![7.into()]), 118_469_079),
            (None, FieldValue::Array(vec![]), 86_211_673),
            (None, true.into(), 32_030_443),
            (None, FieldValue::Void, 27_077_197),
            (
                None,
                FieldValue::Decimal {
                    scale: 1,
                    value: 15,
                },
                102_737_922,
            ),
            (None, FieldValue::Timestamp(1_577_836_800), 38_437_315),
            (None, (1_i64 << 62).into(), 45_507_489),
            (None, FieldValue::Octet(-1), 63_183_907),
            (Some("a"), 1.into(), 59_717_442),
            (Some("t"), inner.into(), 109_151_772),
        ] {
            assert_eq!(Phash2::of_element(name, &value), hash, "{name:?} {value:?}");
        }
    }
}
