//! Index keys: numbers by which a message's headers find the few bindings that may match.

use std::hash::{BuildHasher, Hash, Hasher};

use hashbrown::DefaultHashBuilder;

use crate::model::field_value::{FieldValue, Number};

/// A value that a condition shares with every header that meets it. Other headers may have it as
/// well.
pub(super) type IndexKey = u64;

/// Computes index keys. Seeded, because users choose the names and values.
#[derive(Debug, Default)]
pub(super) struct KeyHasher(DefaultHashBuilder);

impl KeyHasher {
    /// The index key of bindings that need no header.
    pub(super) const NONE: IndexKey = 0;

    /// The index key of a condition. A void value requires only that the header is present.
    pub(super) fn of_condition(&self, name: &str, wanted: &FieldValue) -> IndexKey {
        match wanted.is_void() {
            true => self.of_presence(name),
            false => self.of_value(name, wanted, wanted.number()),
        }
    }

    /// The index key of all conditions that require this name to be present.
    pub(super) fn of_presence(&self, name: &str) -> IndexKey {
        self.0.hash_one(name)
    }

    /// The index key of all conditions that require this value.
    pub(super) fn of_header(&self, name: &str, value: &FieldValue) -> IndexKey {
        self.of_value(name, value, value.number_of_header())
    }

    fn of_value(&self, name: &str, value: &FieldValue, number: Option<Number>) -> IndexKey {
        let mut hasher = self.0.build_hasher();
        name.hash(&mut hasher);
        match number {
            Some(number) => number.hash(&mut hasher),
            // Text is compared with bytes. For all other types only the name counts.
            None => value.as_bytes().hash(&mut hasher),
        }
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_match_have_the_same_key() {
        let values = [
            FieldValue::Void,
            true.into(),
            FieldValue::Octet(1),
            1_i64.into(),
            0.into(),
            1_000.into(),
            FieldValue::Timestamp(0),
            FieldValue::Timestamp(1),
            FieldValue::Timestamp(1_000),
            FieldValue::Timestamp(u64::MAX),
            FieldValue::Float(1.0),
            FieldValue::Double(-0.0),
            FieldValue::Double(0.5),
            FieldValue::Double(f64::NAN),
            FieldValue::Float(-f32::NAN),
            FieldValue::Double(u64::MAX as f64),
            ((1_i64 << 53) + 1).into(),
            FieldValue::Double((1_i64 << 53) as f64),
            "1".into(),
            FieldValue::Bytes(b"1".to_vec()),
            FieldValue::Array(Vec::new()),
            FieldValue::Table(Default::default()),
        ];
        let hasher = KeyHasher::default();
        let mut matching = 0;
        for one in &values {
            let required = !one.is_void();
            for other in values.iter().filter(|other| required && one.matches(other)) {
                matching += 1;
                assert_eq!(
                    hasher.of_condition("a", one),
                    hasher.of_header("a", other),
                    "{one:?} {other:?}"
                );
            }
        }
        assert!(matching > values.len() + 4);
        assert_ne!(
            hasher.of_header("a", &"1".into()),
            hasher.of_header("a", &"2".into())
        );
        assert_ne!(
            hasher.of_header("a", &1.into()),
            hasher.of_header("b", &1.into())
        );
    }
}
