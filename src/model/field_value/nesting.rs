//! The nesting of values: its limit, and the operations that take a value of any depth.
//!
//! Arrays and tables nest. A value that is built by hand may be nested deeper than a thread has
//! stack for. To copy, to compare, to hash and to drop it are therefore loops with a work list. All
//! else refuses or cuts off a value beyond the limit, and may use recursion within it.

use super::{FieldTable, FieldValue};

/// The error of a table or an array that is nested deeper than [`FieldTable::MAX_DEPTH`].
///
/// `?` converts it into [`Error::InvalidTable`](crate::Error::InvalidTable) (502).
///
/// # Examples
/// ```
/// use leveret::{Broker, Error, FieldTable, Queue};
///
/// let mut table = FieldTable::new();
/// for _ in 0..FieldTable::MAX_DEPTH {
///     table = FieldTable::from([("inner", table)]);
/// }
/// assert!(table.check_depth().is_err());
/// let error = Broker::new().declare(&Queue::new("q").argument("deep", table)).unwrap_err();
/// assert!(matches!(error, Error::InvalidTable(_)));
/// assert_eq!(error.reply_code(), Some(502));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "tables and arrays are nested at most {} deep: flatten this one",
    FieldTable::MAX_DEPTH
)]
#[non_exhaustive]
pub struct TableTooDeep;

impl FieldTable {
    /// The greatest depth of a table that the broker takes. A table without inner tables and arrays
    /// has the depth 1.
    ///
    /// The broker refuses a deeper table in a publish, a declaration, a binding and a policy. It is
    /// not read or written either, in JSON or another format.
    pub const MAX_DEPTH: usize = 100;

    /// Checks the depth of the table.
    ///
    /// # Errors
    /// [`TableTooDeep`] if tables and arrays are nested deeper than
    /// [`MAX_DEPTH`](Self::MAX_DEPTH).
    ///
    /// [`TableTooDeep`] has an example.
    pub fn check_depth(&self) -> Result<(), TableTooDeep> {
        let mut inner = Vec::new();
        inner.extend(self.iter().map(|(_, value)| value).filter(is_nested));
        check(inner, 1)
    }
}

impl FieldValue {
    /// Checks the depth of an array or a table.
    ///
    /// # Errors
    /// [`TableTooDeep`] if tables and arrays are nested deeper than
    /// [`FieldTable::MAX_DEPTH`].
    pub(super) fn check_depth(&self) -> Result<(), TableTooDeep> {
        match is_nested(&self) {
            true => check(vec![self], 0),
            false => Ok(()),
        }
    }

    /// Copies a value that is neither an array nor a table.
    fn clone_plain(&self) -> FieldValue {
        match self {
            FieldValue::Void | FieldValue::Array(_) | FieldValue::Table(_) => FieldValue::Void,
            FieldValue::Bool(value) => FieldValue::Bool(*value),
            FieldValue::Octet(value) => FieldValue::Octet(*value),
            FieldValue::UnsignedOctet(value) => FieldValue::UnsignedOctet(*value),
            FieldValue::Short(value) => FieldValue::Short(*value),
            FieldValue::UnsignedShort(value) => FieldValue::UnsignedShort(*value),
            FieldValue::Int(value) => FieldValue::Int(*value),
            FieldValue::UnsignedInt(value) => FieldValue::UnsignedInt(*value),
            FieldValue::Long(value) => FieldValue::Long(*value),
            FieldValue::Float(value) => FieldValue::Float(*value),
            FieldValue::Double(value) => FieldValue::Double(*value),
            FieldValue::Decimal { scale, value } => FieldValue::Decimal {
                scale: *scale,
                value: *value,
            },
            FieldValue::LongString(text) => FieldValue::LongString(text.clone()),
            FieldValue::Bytes(bytes) => FieldValue::Bytes(bytes.clone()),
            FieldValue::Timestamp(seconds) => FieldValue::Timestamp(*seconds),
        }
    }
}

/// Whether the value is an array or a table.
fn is_nested(value: &&FieldValue) -> bool {
    matches!(value, FieldValue::Array(_) | FieldValue::Table(_))
}

/// Checks arrays and tables that are `depth` tables and arrays below the outermost one.
fn check(mut level: Vec<&FieldValue>, mut depth: usize) -> Result<(), TableTooDeep> {
    while !level.is_empty() {
        depth += 1;
        if depth > FieldTable::MAX_DEPTH {
            return Err(TableTooDeep);
        }
        let mut below = Vec::new();
        for value in level {
            match value {
                FieldValue::Array(values) => below.extend(values.iter().filter(is_nested)),
                FieldValue::Table(table) => {
                    below.extend(table.iter().map(|(_, value)| value).filter(is_nested));
                }
                _ => {}
            }
        }
        level = below;
    }
    Ok(())
}

impl Clone for FieldValue {
    fn clone(&self) -> FieldValue {
        if !is_nested(&self) {
            return self.clone_plain();
        }
        let mut whole = FieldValue::Void;
        let mut work = vec![(self, &mut whole)];
        while let Some((value, copy)) = work.pop() {
            *copy = match value {
                FieldValue::Array(values) => {
                    FieldValue::Array(values.iter().map(|_| FieldValue::Void).collect())
                }
                FieldValue::Table(table) => FieldValue::Table(
                    table
                        .iter()
                        .map(|(name, _)| (name, FieldValue::Void))
                        .collect(),
                ),
                plain => plain.clone_plain(),
            };
            match (value, copy) {
                (FieldValue::Array(values), FieldValue::Array(copies)) => {
                    work.extend(values.iter().zip(copies));
                }
                (FieldValue::Table(table), FieldValue::Table(copies)) => {
                    let mut values = table.iter().map(|(_, value)| value);
                    copies.for_each_value_mut(|copy| {
                        work.extend(values.next().map(|value| (value, copy)));
                    });
                }
                _ => {}
            }
        }
        whole
    }
}

impl Drop for FieldValue {
    fn drop(&mut self) {
        if !is_nested(&&*self) {
            return;
        }
        let mut inner = Vec::new();
        take_nested(self, &mut inner);
        while let Some(mut value) = inner.pop() {
            take_nested(&mut value, &mut inner);
        }
    }
}

/// Takes the arrays and tables out of an array or a table.
fn take_nested(value: &mut FieldValue, inner: &mut Vec<FieldValue>) {
    let mut take = |value: &mut FieldValue| {
        if is_nested(&&*value) {
            inner.push(std::mem::take(value));
        }
    };
    match value {
        FieldValue::Array(values) => values.iter_mut().for_each(take),
        FieldValue::Table(table) => table.for_each_value_mut(&mut take),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashSet,
        hash::{DefaultHasher, Hash, Hasher},
        thread,
    };

    use super::*;

    /// Far deeper than the stack of the test allows for recursion.
    const DEEP: usize = 100_000;

    fn on_a_small_stack(test: impl FnOnce() + Send + 'static) {
        let thread = thread::Builder::new().stack_size(128 * 1024);
        thread.spawn(test).unwrap().join().unwrap();
    }

    /// A value that is nested `depth` deep, by tables, by arrays and by both in turn.
    fn nested(depth: usize) -> [FieldValue; 3] {
        let table = |value| FieldValue::from(FieldTable::from([("inner", value)]));
        let array = |value| FieldValue::Array(vec![value]);
        let build = |wrap: &dyn Fn(usize, FieldValue) -> FieldValue| {
            (0..depth).fold(FieldValue::Int(1), |value, at| wrap(at, value))
        };
        [
            build(&|_, value| table(value)),
            build(&|_, value| array(value)),
            build(&|at, value| {
                if at % 2 == 0 {
                    table(value)
                } else {
                    array(value)
                }
            }),
        ]
    }

    fn hash(value: &FieldValue) -> u64 {
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        hasher.finish()
    }

    #[test]
    fn a_value_of_any_depth_is_copied_compared_hashed_and_dropped() {
        on_a_small_stack(|| {
            for value in nested(DEEP) {
                let copy = value.clone();
                assert!(copy == value && value.equivalent(&copy) && value.matches(&copy));
                assert_eq!(hash(&copy), hash(&value));
                let shorter = nested(DEEP - 1)
                    .into_iter()
                    .find(|other| std::mem::discriminant(other) == std::mem::discriminant(&value));
                assert!(shorter.is_some_and(|shorter| shorter != value));
            }
        });
    }

    #[test]
    fn a_value_that_is_too_deep_prints_cut_off_and_is_not_written() {
        on_a_small_stack(|| {
            for value in nested(DEEP) {
                assert!(value.to_string().len() < 100 && format!("{value:#?}").len() < 100);
                let error = serde_json::to_string(&value).unwrap_err().to_string();
                assert!(error.contains("nested at most 100 deep"), "{error}");
            }
            let table = FieldTable::from([("deep", nested(DEEP)[0].clone())]);
            assert_eq!(
                (table.to_string(), format!("{table:?}")),
                ("{..}".into(), "{..}".into())
            );
            assert!(serde_json::to_string(&table).is_err());
        });
    }

    #[test]
    fn the_limit_counts_tables_and_arrays() {
        for value in nested(FieldTable::MAX_DEPTH) {
            assert_eq!(value.check_depth(), Ok(()));
            let json = serde_json::to_string(&value).unwrap();
            assert_eq!(serde_json::from_str::<FieldValue>(&json).unwrap(), value);
            let (text, debug) = (value.to_string(), format!("{value:?}"));
            assert!(
                text.contains('1') && debug.contains("Int(1)"),
                "{text} {debug}"
            );
            assert_eq!(
                FieldTable::from([("k", value)]).check_depth(),
                Err(TableTooDeep)
            );
        }
        for value in nested(FieldTable::MAX_DEPTH - 1) {
            assert_eq!(FieldTable::from([("k", value)]).check_depth(), Ok(()));
        }
        let wide = FieldValue::Array(vec![FieldTable::new().into(); 1_000]);
        assert_eq!(FieldTable::from([("wide", wide)]).check_depth(), Ok(()));
        assert_eq!(FieldTable::new().check_depth(), Ok(()));
    }

    #[test]
    fn unequal_values_are_compared_once_at_each_depth() {
        // With two comparisons at each depth, this would not end.
        for (one, other) in nested(90).into_iter().zip(nested(91)) {
            assert_ne!(one, other);
        }
        let [one, ..] = nested(90);
        let FieldValue::Table(table) = &one else {
            panic!("{one}");
        };
        let mut other = table.clone();
        other.insert("more", 1);
        let tables = HashSet::from([table.clone(), other]);
        assert_eq!(tables.len(), 2);
    }
}
