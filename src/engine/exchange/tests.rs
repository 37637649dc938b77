//! Random programs of binds, unbinds and routes, compared with a list of bindings that is searched
//! one by one. The oracle of each table says which bindings match.

use std::collections::BTreeSet;

use proptest::{prelude::*, sample::Index};

use super::*;

#[derive(Clone, Debug)]
pub(super) enum Step {
    Bind(u8, String, FieldTable),
    Unbind(u8, String, FieldTable),
    /// Removes one of the present bindings.
    UnbindPresent(Index),
    UnbindAll(u8),
    Route(String, Option<FieldTable>),
}

/// Programs over a few destinations. `keys`, `arguments` and `headers` should be from small sets,
/// so that they match often.
pub(super) fn program(
    keys: impl Strategy<Value = String> + Clone,
    arguments: impl Strategy<Value = FieldTable> + Clone,
    headers: impl Strategy<Value = FieldTable>,
) -> impl Strategy<Value = Vec<Step>> {
    let destinations = 0..24u8;
    let step = prop_oneof![
        6 => (destinations.clone(), keys.clone(), arguments.clone())
            .prop_map(|(d, k, a)| Step::Bind(d, k, a)),
        1 => (destinations.clone(), keys.clone(), arguments)
            .prop_map(|(d, k, a)| Step::Unbind(d, k, a)),
        2 => any::<Index>().prop_map(Step::UnbindPresent),
        1 => destinations.prop_map(Step::UnbindAll),
        5 => (keys, proptest::option::of(headers)).prop_map(|(k, h)| Step::Route(k, h)),
    ];
    proptest::collection::vec(step, 0..120)
}

/// A small set, so that bindings often differ in nothing else.
pub(super) fn few_arguments() -> impl Strategy<Value = FieldTable> + Clone {
    prop::sample::select(vec![
        FieldTable::new(),
        FieldTable::from([("a", 1)]),
        FieldTable::from([("x-match", "none")]),
    ])
}

pub(super) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// Runs a program. `fits` returns whether a binding (key, arguments) matches a message (key,
/// headers).
pub(super) fn check(
    kind: ExchangeKind,
    program: Vec<Step>,
    fits: impl Fn(&str, &FieldTable, &str, &FieldTable) -> bool,
) -> Result<(), TestCaseError> {
    let mut state = ExchangeState::new(kind, &ExchangeTypeArguments::default());
    let mut model: Vec<(u8, String, FieldTable)> = Vec::new();
    let mut matches = Matches::new();
    for step in program {
        match step {
            Step::Bind(destination, routing_key, arguments) => {
                let new = state
                    .bind(destination, &name(&routing_key), &arguments)
                    .unwrap();
                let binding = (destination, routing_key, arguments);
                prop_assert_eq!(new, !model.contains(&binding));
                if new {
                    model.push(binding);
                }
            }
            Step::Unbind(destination, routing_key, arguments) => {
                let removed = state.unbind(&destination, &name(&routing_key), &arguments);
                let at = model.iter().position(|binding| {
                    *binding == (destination, routing_key.clone(), arguments.clone())
                });
                prop_assert_eq!(removed, at.is_some());
                at.map(|at| model.remove(at));
            }
            Step::UnbindPresent(index) if !model.is_empty() => {
                let (destination, routing_key, arguments) =
                    model.swap_remove(index.index(model.len()));
                prop_assert!(state.is_bound(&destination, &name(&routing_key), &arguments));
                prop_assert!(state.unbind(&destination, &name(&routing_key), &arguments));
                prop_assert!(!state.is_bound(&destination, &name(&routing_key), &arguments));
            }
            Step::UnbindPresent(_) => {}
            Step::UnbindAll(destination) => {
                let before = model.len();
                model.retain(|(bound, ..)| *bound != destination);
                prop_assert_eq!(state.unbind_all(&destination), before - model.len());
            }
            Step::Route(routing_key, headers) => {
                matches.clear();
                let properties = RoutingProperties::of_headers(headers.as_ref());
                state.route(&[&routing_key], properties, &mut matches);
                let headers = headers.unwrap_or_default();
                let expected: BTreeSet<u8> = model
                    .iter()
                    .filter(|(_, bound, arguments)| fits(bound, arguments, &routing_key, &headers))
                    .map(|b| b.0)
                    .collect();
                let found: Vec<u8> = state.found(&matches).copied().collect();
                prop_assert_eq!(found.len(), expected.len(), "each destination once");
                prop_assert_eq!(
                    found.into_iter().collect::<BTreeSet<_>>(),
                    expected,
                    "key {:?}",
                    routing_key
                );
            }
        }
        prop_assert_eq!(state.bindings().count(), model.len());
        prop_assert_eq!(state.is_unused(), model.is_empty());
        let bound: BTreeSet<_> = model.iter().map(|(destination, ..)| *destination).collect();
        prop_assert_eq!(state.destinations().count(), bound.len());
        prop_assert!(
            state
                .destinations()
                .all(|destination| bound.contains(destination))
        );
    }
    Ok(())
}

#[test]
fn bindings_that_differ_in_arguments_alone_hold_the_route_together() {
    for kind in [
        ExchangeKind::Direct,
        ExchangeKind::Fanout,
        ExchangeKind::Topic,
    ] {
        let mut state = ExchangeState::new(kind, &ExchangeTypeArguments::default());
        let arguments = FieldTable::from([("a", 1)]);
        assert!(state.bind("q", &name("k"), &FieldTable::new()).unwrap());
        assert!(state.bind("q", &name("k"), &arguments).unwrap());
        assert!(!state.bind("q", &name("k"), &arguments).unwrap());
        let routed = |state: &ExchangeState<&'static str>| {
            let mut matches = Matches::new();
            state.route(&["k"], RoutingProperties::default(), &mut matches);
            state.found(&matches).copied().collect::<Vec<_>>()
        };
        assert_eq!(routed(&state), ["q"]);
        assert!(state.unbind(&"q", &name("k"), &FieldTable::new()));
        assert_eq!(routed(&state), ["q"], "{kind}");
        assert!(state.unbind(&"q", &name("k"), &arguments));
        assert!(routed(&state).is_empty(), "{kind}");
    }
}

#[test]
fn only_a_headers_exchange_looks_at_x_match() {
    let arguments = FieldTable::from([("x-match", "some")]);
    assert!(validate_binding(ExchangeKind::Headers, "k", &arguments).is_err());
    for kind in [
        ExchangeKind::Direct,
        ExchangeKind::Fanout,
        ExchangeKind::Topic,
    ] {
        assert!(validate_binding(kind, "k", &arguments).is_ok());
    }
}

#[test]
fn a_result_set_collects_from_several_routes() {
    let mut state = ExchangeState::new(ExchangeKind::Direct, &ExchangeTypeArguments::default());
    for (destination, key) in [("q", "a"), ("r", "a"), ("r", "b"), ("s", "b")] {
        state
            .bind(destination, &name(key), &FieldTable::new())
            .unwrap();
    }
    let mut matches = Matches::new();
    state.route(&["a"], RoutingProperties::default(), &mut matches);
    state.route(&["b"], RoutingProperties::default(), &mut matches);
    assert!(state.found(&matches).eq(&["q", "r", "s"]));
}
