//! The regular expression of a policy, with a limit of steps for each match.

use std::cell::Cell;

use crate::runtime::regex::Regex;

/// After this many matches that took too many steps, a pattern is not tried again in the same pass.
const MAX_UNFINISHED: u32 = 8;

#[derive(Clone, Debug)]
pub(super) struct Pattern {
    regex: Regex,
    /// How many matches took too many steps or were not tried.
    unfinished: Cell<u64>,
    /// How many of them are of this pass.
    unfinished_in_pass: Cell<u32>,
}

impl Pattern {
    /// # Errors
    /// The fault of the pattern.
    pub(super) fn new(pattern: &str) -> Result<Self, String> {
        Ok(Self {
            regex: Regex::new(pattern)?,
            unfinished: Cell::new(0),
            unfinished_in_pass: Cell::new(0),
        })
    }

    /// Begins a pass over many names.
    ///
    /// A pattern that takes too many steps for some names takes them for many. So after
    /// [`MAX_UNFINISHED`] such names it is in no other name of the pass, and the pass ends soon.
    pub(super) fn begin_pass(&self) {
        self.unfinished_in_pass.set(0);
    }

    /// Whether the pattern is anywhere in the name. A match that takes too many steps, or is not
    /// tried in this pass any more, is counted, and is none.
    pub(super) fn is_in(&self, name: &str) -> bool {
        let tried = self.unfinished_in_pass.get() < MAX_UNFINISHED;
        let matched = tried.then(|| self.regex.is_in(name)).flatten();
        matched.unwrap_or_else(|| {
            self.unfinished.set(self.unfinished.get() + 1);
            if tried {
                let unfinished = self.unfinished_in_pass.get() + 1;
                self.unfinished_in_pass.set(unfinished);
            }
            false
        })
    }

    pub(super) fn unfinished(&self) -> u64 {
        self.unfinished.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Erlang 29, which RabbitMQ 4.3.6 was recorded on, takes all of them (PCRE2 10.47).
    #[test]
    fn a_pattern_may_look_around_and_refer_back() {
        for (pattern, fitting, other) in [
            (r"^(?!amq\.).*", "orders", "amq.orders"),
            (r"^(.*(?<![E|e]rror))?$", "orders", "orders.error"),
            (r"^(?!(foo|bar)\.).+$", "baz.foo", "foo.baz"),
            (r"^(?=.*\.eu\.)(?=.*\.v2$)", "orders.eu.v2", "orders.v2.eu"),
            (r"(?<=a|bc)d", "bcd", "cd"),
            (r"^(.)\1$", "aa", "ab"),
            (r"^(?<n>a|b)\k<n>$", "bb", "ab"),
            (r"^(?>a+)b", "aab", "aac"),
            (r"^a++b", "aab", "aac"),
            (r"^(a)?(?(1)b|c)$", "c", "b"),
            (r"(?i)^ABC$", "abc", "abd"),
            (r"^[[:alpha:]]+\d$", "abc1", "abc"),
            (r"\Aab\z", "ab", "abc"),
            (r"^a{,3}$", "aaa", "aaaa"),
        ] {
            let compiled = Pattern::new(pattern).unwrap();
            assert!(compiled.is_in(fitting), "{pattern} in {fitting}");
            assert!(!compiled.is_in(other), "{pattern} in {other}");
        }
    }

    #[test]
    fn some_syntax_has_another_meaning_than_in_pcre() {
        for (pattern, fitting, others) in [
            (r"^\h$", ["a", "9"], [" ", "\t"]),
            ("^[a-z&&[^b]]$", ["a", "c"], ["b", "a]"]),
            ("^[a-z--b]$", ["a", "c"], ["b", "-"]),
            (r"^\d$", ["1", "٣"], ["a", "-"]),
            (r"^\w$", ["a", "é"], ["-", ""]),
        ] {
            let compiled = Pattern::new(pattern).unwrap();
            for name in fitting {
                assert!(compiled.is_in(name), "{pattern} in {name}");
            }
            for name in others {
                assert!(!compiled.is_in(name), "{pattern} in {name}");
            }
        }
    }

    #[test]
    fn some_syntax_of_pcre_is_refused() {
        for pattern in [
            r"\Qa.b\E",
            r"\cA",
            r"\123",
            r"\X",
            r"(?|(a)|(b))",
            r"(a|b)(?1)",
            r"a(?R)?b",
            r"(?&n)(?<n>a)",
            r"(?(?=a)ab|cd)",
            r"(?J)a",
            r"a(?C1)b",
            r"(*UTF8)a",
        ] {
            assert!(Pattern::new(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn a_match_that_takes_too_many_steps_is_none_and_is_counted() {
        // There are many ways to cut the name into these parts, and none of them ends with `c`.
        let pattern = Pattern::new("(a|b|ab)*(?>c)").unwrap();
        assert!(!pattern.is_in("ba"));
        assert_eq!(pattern.unfinished(), 0);
        let long = "ab".repeat(127);
        for round in 1..3 {
            assert!(!pattern.is_in(&long));
            assert_eq!(pattern.unfinished(), round);
        }
    }

    #[test]
    fn a_pattern_is_not_tried_again_in_a_pass_after_a_few_unfinished_matches() {
        let pattern = Pattern::new("(a|b|ab)*(?>c)").unwrap();
        let long = "ab".repeat(127);
        for _ in 1..MAX_UNFINISHED {
            assert!(!pattern.is_in(&long));
            assert!(pattern.is_in("abc"));
        }
        assert!(!pattern.is_in(&long));
        assert_eq!(pattern.unfinished(), 8);
        // Each name that is not tried is counted.
        assert!(!pattern.is_in("abc"));
        assert!(!pattern.is_in(&long));
        assert_eq!(pattern.unfinished(), 10);
        pattern.begin_pass();
        assert!(pattern.is_in("abc"));
        assert!(!pattern.is_in(&long));
        assert!(pattern.is_in("abc"));
        assert_eq!(pattern.unfinished(), 11);
    }

    #[test]
    fn a_pattern_that_grows_without_end_is_refused() {
        let calls = (0..30).map(|at| format!(r"(?<g{at}>\g<g{0}>\g<g{0}>)", at + 1));
        for growing in [
            format!("(?=a){}b{}", "(?:".repeat(1_000), "){100}".repeat(1_000)),
            // Each group calls the next one twice.
            format!("{}(?<g30>(?=a)a)", calls.collect::<String>()),
            "(".repeat(100_000),
        ] {
            assert!(Pattern::new(&growing).is_err());
        }
    }
}
