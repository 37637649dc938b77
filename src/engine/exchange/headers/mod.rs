//! The table of a headers exchange: a message goes to the bindings whose arguments match its
//! headers.
//!
//! Each binding is found by the index key of one of its conditions. A binding that needs only one
//! condition is found by the keys of all its conditions. All bindings found for a message's headers
//! are then compared in full. Bindings with the same index key (a flag that many ask for, say) are
//! compared one by one.

mod index_key;

use hashbrown::HashMap;

use self::index_key::{IndexKey, KeyHasher};
use super::{
    Matches,
    binding::BindingKey,
    destinations::{Destinations, SetPool},
    numbered::{Number, Numbered},
};
use crate::model::{
    error::{Error, Result},
    explanation::{HeaderCondition, MatchReason},
    field_value::{FieldTable, FieldValue},
};

/// The argument that determines how many conditions must hold. It is never a condition itself.
const X_MATCH: &str = "x-match";

#[derive(Debug)]
pub(super) struct Headers {
    /// The bindings, each with its own number.
    rules: Numbered<(Number, BindingKey), Rule>,
    hasher: KeyHasher,
    /// The rules (and not destinations) of each index key.
    by_key: HashMap<IndexKey, Destinations>,
    pool: SetPool,
}

/// The parsed `x-match` of a binding, and its index key.
#[derive(Debug)]
struct Rule {
    mode: MatchMode,
    /// The index key by which it is found, unless any one of its conditions is enough.
    key: IndexKey,
}

impl Headers {
    pub(super) fn new() -> Self {
        Self {
            rules: Numbered::new(),
            hasher: KeyHasher::default(),
            by_key: HashMap::new(),
            pool: SetPool::default(),
        }
    }

    /// # Errors
    /// [`Error::ResourceError`] if there are too many rules. Nothing is changed then.
    pub(super) fn insert(&mut self, destination: Number, binding: &BindingKey) -> Result {
        let number = self.rules.next_number().ok_or_else(super::full)?;
        let mode = MatchMode::of(binding.arguments());
        let keys = self.index_keys_of(mode, binding);
        let key = match mode.quantifier {
            Quantifier::Any => KeyHasher::NONE,
            // The key with the fewest rules now.
            Quantifier::All => (keys.iter().copied())
                .min_by_key(|key| {
                    self.by_key
                        .get(key)
                        .map_or(0, |rules| rules.len(&self.pool))
                })
                .unwrap_or(KeyHasher::NONE),
        };
        let found_by = match mode.quantifier {
            Quantifier::Any => keys,
            Quantifier::All => vec![key],
        };
        for key in found_by {
            let rules = self.by_key.entry(key).or_insert(Destinations::NONE);
            rules.add(number, &mut self.pool);
        }
        self.rules
            .insert_new((destination, binding.clone()), Rule { mode, key });
        Ok(())
    }

    pub(super) fn remove(&mut self, destination: Number, binding: &BindingKey) {
        let Some((number, rule)) = self.rules.remove(&(destination, binding.clone())) else {
            return;
        };
        let found_by = match rule.mode.quantifier {
            Quantifier::Any => self.index_keys_of(rule.mode, binding),
            Quantifier::All => vec![rule.key],
        };
        for key in found_by {
            if let Some(rules) = self.by_key.get_mut(&key) {
                rules.remove(number, &mut self.pool);
                if rules.is_empty() {
                    self.by_key.remove(&key);
                }
            }
        }
    }

    fn index_keys_of(&self, mode: MatchMode, binding: &BindingKey) -> Vec<IndexKey> {
        mode.conditions(binding.arguments())
            .map(|(name, wanted)| self.hasher.of_condition(name, wanted))
            .collect()
    }

    pub(super) fn route(&self, headers: Option<&FieldTable>, matches: &mut Matches) {
        let mut candidates = Matches::new();
        let mut look = |key| {
            if let Some(rules) = self.by_key.get(&key) {
                rules.collect(&self.pool, &mut candidates);
            }
        };
        look(KeyHasher::NONE);
        for (name, value) in headers.into_iter().flat_map(FieldTable::iter) {
            look(self.hasher.of_presence(name));
            look(self.hasher.of_header(name, value));
        }
        for number in candidates.numbers() {
            if let Some(((destination, binding), rule)) = self.rules.entry(*number)
                && rule.mode.fits(binding.arguments(), headers)
            {
                matches.insert(*destination);
            }
        }
    }
}

/// The parsed `x-match` of a binding.
#[derive(Clone, Copy, Debug)]
struct MatchMode {
    quantifier: Quantifier,
    prefixed: Prefixed,
}

impl MatchMode {
    fn of(arguments: &FieldTable) -> Self {
        let mode = arguments.get(X_MATCH).and_then(FieldValue::as_str);
        // Bindings are validated when they are made, so the default applies only to a binding
        // without `x-match`.
        let (quantifier, prefixed) = mode
            .and_then(read_mode)
            .unwrap_or((Quantifier::All, Prefixed::Ignored));
        Self {
            quantifier,
            prefixed,
        }
    }

    fn conditions(self, arguments: &FieldTable) -> impl Iterator<Item = (&str, &FieldValue)> {
        let arguments = arguments.iter();
        arguments.filter(move |(name, _)| self.asks_for(name))
    }

    fn fits(self, arguments: &FieldTable, headers: Option<&FieldTable>) -> bool {
        let mut conditions = self
            .conditions(arguments)
            .map(|(name, wanted)| holds(wanted, headers.and_then(|headers| headers.get(name))));
        match self.quantifier {
            Quantifier::All => conditions.all(|holds| holds),
            Quantifier::Any => conditions.any(|holds| holds),
        }
    }

    fn asks_for(self, name: &str) -> bool {
        match self.prefixed {
            Prefixed::Ignored => !name.starts_with("x-"),
            Prefixed::Compared => name != X_MATCH,
        }
    }
}

/// Whether a condition holds for a header. A void condition requires only that the header is
/// present.
fn holds(wanted: &FieldValue, header: Option<&FieldValue>) -> bool {
    header.is_some_and(|header| wanted.is_void() || wanted.matches(header))
}

/// Whether a binding with these arguments matches, and its conditions one by one.
pub(super) fn explain(arguments: &FieldTable, headers: Option<&FieldTable>) -> (bool, MatchReason) {
    let mode = MatchMode::of(arguments);
    let x_match = arguments.get(X_MATCH).and_then(FieldValue::as_str);
    let conditions = mode.conditions(arguments).map(|(name, wanted)| {
        let found = headers.and_then(|headers| headers.get(name));
        HeaderCondition {
            name: name.to_owned(),
            wanted: wanted.clone(),
            found: found.cloned(),
            holds: holds(wanted, found),
        }
    });
    let reason = MatchReason::Headers {
        x_match: x_match.unwrap_or("all").to_owned(),
        conditions: conditions.collect(),
    };
    (mode.fits(arguments, headers), reason)
}

/// How many conditions must hold. If there are no conditions, `All` holds and `Any` does not.
#[derive(Clone, Copy, Debug)]
enum Quantifier {
    All,
    Any,
}

/// The treatment of arguments whose names begin with `x-`.
#[derive(Clone, Copy, Debug)]
enum Prefixed {
    Ignored,
    Compared,
}

fn read_mode(word: &str) -> Option<(Quantifier, Prefixed)> {
    match word {
        "all" => Some((Quantifier::All, Prefixed::Ignored)),
        "any" => Some((Quantifier::Any, Prefixed::Ignored)),
        "all-with-x" => Some((Quantifier::All, Prefixed::Compared)),
        "any-with-x" => Some((Quantifier::Any, Prefixed::Compared)),
        _ => None,
    }
}

/// Checks the arguments of a new binding. Without `x-match` it counts as `all`.
///
/// # Errors
/// [`Error::PreconditionFailed`] if `x-match` is not a long string or not one of the four modes.
pub(super) fn validate(arguments: &FieldTable) -> Result {
    match arguments.get(X_MATCH) {
        Some(mode) if mode.as_str().and_then(read_mode).is_none() => {
            Err(Error::invalid_x_match(mode))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        engine::exchange::tests::{check, program},
        model::{exchange_kind::ExchangeKind, name::Name},
    };

    /// Implements the modes by counting conditions.
    fn naive(arguments: &FieldTable, headers: &FieldTable) -> bool {
        let mode = arguments
            .get("x-match")
            .and_then(|mode| mode.as_str())
            .unwrap_or("all")
            .to_owned();
        let (mut wanted, mut held) = (0, 0);
        for (name, value) in arguments {
            if name == "x-match" || (name.starts_with("x-") && !mode.ends_with("-with-x")) {
                continue;
            }
            wanted += 1;
            held += usize::from(
                headers
                    .iter()
                    .any(|(n, v)| n == name && (*value == FieldValue::Void || value.matches(v))),
            );
        }
        if mode.starts_with("all") {
            held == wanted
        } else {
            held > 0
        }
    }

    fn arguments() -> impl Strategy<Value = FieldTable> + Clone {
        let mode = proptest::option::of(prop::sample::select(vec![
            "all",
            "any",
            "all-with-x",
            "any-with-x",
        ]));
        (mode, headers()).prop_map(|(mode, mut table)| {
            table.extend(mode.map(|mode| ("x-match", mode)));
            table
        })
    }

    fn headers() -> impl Strategy<Value = FieldTable> + Clone {
        let names = prop::sample::select(vec!["a", "b", "x-c", "x-"]);
        let values = prop::sample::select(vec![
            FieldValue::Void,
            1.into(),
            1_i64.into(),
            2.into(),
            1.0.into(),
            FieldValue::Timestamp(1),
            1_000.into(),
            "1".into(),
            FieldValue::Bytes(b"1".to_vec()),
            true.into(),
        ]);
        proptest::collection::vec((names, values), 0..4)
            .prop_map(|entries| entries.into_iter().collect())
    }

    proptest! {

        #![proptest_config(crate::model::test_cases::cases())]

        #[test]
        fn it_routes_as_counting_conditions_does(
            program in program("k?", arguments(), headers()),
        ) {
            let fits = |_: &str, arguments: &_, _: &str, headers: &_| naive(arguments, headers);
            check(ExchangeKind::Headers, program, fits)?;
        }
    }

    fn fits(arguments: FieldTable, headers: Option<&FieldTable>) -> bool {
        let binding = BindingKey::new(&Name::empty(), &arguments);
        MatchMode::of(binding.arguments()).fits(binding.arguments(), headers)
    }

    #[test]
    fn without_conditions_all_fits_everything_and_any_nothing() {
        for (mode, fitting) in [
            ("all", true),
            ("all-with-x", true),
            ("any", false),
            ("any-with-x", false),
        ] {
            assert_eq!(
                fits(FieldTable::from([("x-match", mode)]), None),
                fitting,
                "{mode}"
            );
        }
        assert!(fits(FieldTable::new(), None));
        assert!(fits(FieldTable::from([("x-foo", 1)]), None));
    }

    #[test]
    fn a_void_condition_asks_for_presence_only() {
        let present = FieldTable::from([("a", "anything")]);
        assert!(fits(FieldTable::from([("a", ())]), Some(&present)));
        assert!(!fits(FieldTable::from([("b", ())]), Some(&present)));
        // Not the other way round.
        assert!(!fits(present, Some(&FieldTable::from([("a", ())]))));
    }

    #[test]
    fn the_x_match_of_a_message_is_never_compared() {
        let arguments = FieldTable::from([("x-match", "all-with-x")]);
        assert!(fits(
            arguments,
            Some(&FieldTable::from([("x-match", "any")]))
        ));
    }

    #[test]
    fn an_unknown_x_match_is_refused() {
        for mode in ["all", "any", "all-with-x", "any-with-x"] {
            assert!(validate(&FieldTable::from([("x-match", mode)])).is_ok());
        }
        assert!(validate(&FieldTable::from([("x-other", 1)])).is_ok());
        for refused in [
            FieldValue::from("some"),
            FieldValue::from("ALL"),
            FieldValue::from(1),
            FieldValue::Bytes(b"all".to_vec()),
        ] {
            let refused = validate(&FieldTable::new().with("x-match", refused)).unwrap_err();
            assert_eq!(refused.reply_code(), Some(406));
        }
    }
}
