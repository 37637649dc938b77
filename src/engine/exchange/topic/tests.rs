use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::{
    engine::exchange::tests::{check, few_arguments, program},
    model::{exchange_kind::ExchangeKind, field_value::FieldTable},
};

/// Splits both texts and matches word by word, with backtracking.
fn naive(pattern: &str, key: &str) -> bool {
    fn fits(pattern: &[&str], key: &[&str]) -> bool {
        match (pattern, key) {
            ([], _) => key.is_empty(),
            ([first, rest @ ..], _) if *first == "#" => {
                (0..=key.len()).any(|skipped| fits(rest, &key[skipped..]))
            }
            ([first, rest @ ..], [word, words @ ..]) => {
                (*first == "*" || first == word) && fits(rest, words)
            }
            _ => false,
        }
    }
    fits(&split(pattern), &split(key))
}

fn split(text: &str) -> Vec<&str> {
    if text.is_empty() {
        Vec::new()
    } else {
        text.split('.').collect()
    }
}

/// Patterns and keys from few words, including wildcards and empty words. In keys `*` and `#` are
/// ordinary words.
fn keys() -> impl Strategy<Value = String> + Clone {
    let word = prop_oneof![
        3 => Just("a"),
        2 => Just("b"),
        1 => Just(""),
        2 => Just("*"),
        3 => Just("#"),
        1 => Just("a#"),
    ];
    proptest::collection::vec(word, 0..6).prop_map(|words| words.join("."))
}

/// More words than a leaf holds, from a set so small that patterns still match keys.
fn long_keys() -> impl Strategy<Value = String> + Clone {
    let word = prop_oneof![8 => Just("a"), 1 => Just("b"), 1 => Just("*"), 1 => Just("#")];
    proptest::collection::vec(word, 4..24).prop_map(|words| words.join("."))
}

/// The number of nodes without leaves: one for each different beginning of the patterns, including
/// the empty one.
fn beginnings(patterns: &[String]) -> usize {
    let words = patterns.iter().map(|pattern| split(pattern));
    let beginnings: BTreeSet<Vec<&str>> = words
        .flat_map(|words| (0..=words.len()).map(move |to| words[..to].to_vec()))
        .collect();
    beginnings.len().max(1)
}

proptest! {

    #![proptest_config(crate::model::test_cases::cases())]

    #[test]
    fn it_routes_as_matching_every_pattern_does(
        program in program(keys(), few_arguments(), few_arguments()),
    ) {
        check(ExchangeKind::Topic, program, |pattern, _, key, _| naive(pattern, key))?;
    }

    #[test]
    fn it_routes_long_keys_as_matching_every_pattern_does(
        program in program(long_keys(), Just(FieldTable::new()), Just(FieldTable::new())),
    ) {
        check(ExchangeKind::Topic, program, |pattern, _, key, _| naive(pattern, key))?;
    }

    #[test]
    fn nodes_edges_and_words_are_freed_with_their_last_binding(
        patterns in proptest::collection::vec(prop_oneof![keys(), long_keys()], 1..40),
        order in any::<prop::sample::Index>(),
    ) {
        let mut topic = Topic::new();
        let mut bound = Vec::new();
        for pattern in &patterns {
            topic.insert(0, pattern).unwrap();
            bound.push(pattern.clone());
            prop_assert!(topic.nodes.len() - topic.free.len() <= beginnings(&bound));
        }
        let most = topic.nodes.len();
        while !bound.is_empty() {
            let pattern = bound.swap_remove(order.index(bound.len()));
            topic.remove(0, &pattern);
            prop_assert!(topic.nodes.len() - topic.free.len() <= beginnings(&bound));
        }
        prop_assert_eq!(topic.nodes.len() - topic.free.len(), 1);
        prop_assert_eq!(topic.edges.len(), 0);
        prop_assert_eq!(topic.words.len(), 0);
        for pattern in &patterns {
            topic.insert(0, pattern).unwrap();
        }
        prop_assert_eq!(topic.nodes.len(), most, "freed nodes are used again");
    }
}

fn routes(pattern: &str, key: &str) -> bool {
    let mut topic = Topic::new();
    topic.insert(0, pattern).unwrap();
    let mut matches = Matches::new();
    topic.route(key, &mut matches);
    !matches.is_empty()
}

#[test]
fn the_empty_key_has_no_words() {
    assert!(routes("", ""));
    assert!(routes("#", ""));
    assert!(routes("#.#", ""));
    assert!(!routes("*", ""));
    assert!(!routes("#.*", ""));
    assert!(!routes("", "a"));
}

#[test]
fn empty_words_are_words() {
    assert!(routes("*", "a") && !routes("*", "a."));
    assert!(routes("a.*", "a."));
    assert!(routes("*.*", "."));
    assert!(routes("a..b", "a..b") && !routes("a.b", "a..b"));
    assert!(routes("a.*.b", "a..b"));
}

#[test]
fn wildcards_are_whole_words_of_a_pattern() {
    assert!(routes("a*", "a*") && !routes("a*", "ab"));
    assert!(routes("#a", "#a") && !routes("#a", "ba"));
    assert!(!routes("a", "*") && !routes("a", "#"));
    assert!(routes("*", "#"));
}

#[test]
fn hashes_on_both_sides_find_the_word_anywhere() {
    for (key, found) in [
        ("a", true),
        ("b.a", true),
        ("a.b", true),
        ("b.a.b", true),
        ("a.a.a", true),
        ("", false),
        ("b.b", false),
    ] {
        assert_eq!(routes("#.a.#", key), found, "{key}");
    }
}

/// A matcher that tries every length for each `#` in turn needs about 10^25 steps here. The trie
/// visits each of its nodes once per word.
#[test]
fn many_hashes_do_not_multiply() {
    let pattern = ["#.a"; 30].join(".");
    let key = ["a"; 100].join(".");
    assert!(routes(&pattern, &key));
    assert!(!routes(&format!("{pattern}.b"), &key));
}

#[test]
fn unbinding_what_is_not_bound_changes_nothing() {
    let mut topic = Topic::new();
    topic.insert(0, "a.*.#").unwrap();
    for pattern in ["a.*", "a.*.b", "", "#", "a.*.#.c"] {
        topic.remove(0, pattern);
    }
    topic.remove(1, "a.*.#");
    let mut matches = Matches::new();
    topic.route("a.b.c", &mut matches);
    assert_eq!(matches.numbers(), [0]);
    assert_eq!(
        topic.nodes.len() - topic.free.len(),
        2,
        "the root and a leaf"
    );
}

#[test]
fn at_most_two_words_of_a_pattern_are_hashes() {
    for pattern in ["", "#", "#.#", "a.#.b.#", "#a.##.#.#", "*.*.*"] {
        assert_eq!(validate(pattern), Ok(()), "{pattern}");
    }
    assert_eq!(
        validate("#.*.#.#").unwrap_err().to_string(),
        "PRECONDITION_FAILED - Topic binding key '#.*.#.#' uses 3 '#' wildcards, at most 2 are \
         allowed"
    );
}
