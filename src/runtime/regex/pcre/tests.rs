use super::translate;
use crate::runtime::regex::BytesRegex;

fn compiled(pattern: &str) -> Result<BytesRegex, String> {
    translate(pattern).and_then(|translated| BytesRegex::new(&translated))
}

/// Whether PCRE2 10.47 finds the pattern in the bytes of the name.
fn is_in(pattern: &str, name: &str) -> bool {
    let regex = compiled(pattern).unwrap_or_else(|fault| panic!("{pattern}: {fault}"));
    regex.is_in(name.as_bytes()).unwrap()
}

#[test]
fn a_pattern_means_what_it_means_to_pcre() {
    for (pattern, fitting, other) in [
        ("q", "xqx", "Q"),
        ("^q$", "q", "q1"),
        ("^q$", "q\n", "q\n\n"),
        (r"^q\Z", "q\n", "q1"),
        (r"^q\z", "q", "q\n"),
        ("^a|b$", "zb", "zbz"),
        ("^a.c$", "abc", "a\nc"),
        ("^k..se$", "käse", "kase"),
        ("^käse$", "käse", "kase"),
        ("^k[ä]+se$", "käse", "kse"),
        (r"^k\p{L}.se$", "käse", "k1xse"),
        (r"^\p{Lu}\P{Lu}$", "Aa", "aA"),
        (r"^[\p{Lu}1]\p{^Lu}\pL$", "1aa", "aAa"),
        (r"^\w+$", "ab_1", "ä"),
        (r"^[[:alpha:]]+\d$", "abc1", "abc"),
        ("^[[:^digit:]]$", "a", "1"),
        (r"^\h\H\v\V$", " a\na", "a a\n"),
        (r"^a\Nb$", "axb", "a\nb"),
        (r"^a\Rb$", "a\r\nb", "ab"),
        (r"^\cA$", "\u{1}", "A"),
        (r"^\Qa.b\E$", "a.b", "axb"),
        (r"^\x41\x{42}\103\o{104}$", "ABCD", "ABC"),
        (r"^\060\e\a\f\t$", "0\u{1b}\u{7}\u{c}\t", "0"),
        (r"^\<\>\#\/\ $", "<>#/ ", "a"),
        ("^{username}-", "{username}-q", "alice-q"),
        ("^a{,3}$", "aaa", "aaaa"),
        ("^a{2}$", "aa", "a"),
        ("^a{x}$", "a{x}", "ax"),
        ("^a{ 1, 2 }$", "aa", "aaa"),
        ("^(?P<n>a|b)(?P=n)$", "aa", "ab"),
        (r"^(?'n'a|b)\k{n}$", "bb", "ba"),
        (r"^(a|b)\g{-1}\g1$", "aaa", "aab"),
        (r"^(a|b)(?1)$", "ab", "ac"),
        (r"^(?<n>a|b)(?&n)(?P>n)\g<n>$", "abab", "abac"),
        (r"^(a|b)(?-1)(?+1)(c)$", "abcc", "abc"),
        (r"^(?>a+)b$", "aab", "aac"),
        (r"^a++b$", "aab", "aac"),
        (r"^(?!amq\.).*", "orders", "amq.orders"),
        (r"(?<=ab|c)d", "cd", "bd"),
        (r"^(?(?=a)ab|cd)$", "cd", "ad"),
        (r"^(a)?(?(1)b|c)$", "ab", "b"),
        (r"^x(?(?!a)b)y$", "xby", "xay"),
        (r"^x(?(?!a)b)ay$", "xay", "xby"),
        ("a(?R)?b", "aabb", "ax"),
        ("^a(?C1)b$", "ab", "a"),
        ("[[:<:]]a[[:>:]]", "b a", "ab"),
        (r"^(?n)(a)(?<b>c)\1$", "acc", "aca"),
        ("(?i)^ABC$", "abc", "abd"),
        ("^(?i:a)B$", "AB", "Ab"),
        ("(?x)^ a b # a comment (\n c $", "abc", "a b"),
        ("(?m)^b$", "a\nb\nc", "ab"),
        ("(?-i)a(?#nothing)b", "ab", "a"),
        ("^[a&&b]$", "&", "c"),
        ("^[a[b]$", "[", "c"),
        ("^[]a]$", "]", "b"),
        ("^[^]a]$", "b", "]"),
        ("^[a-]$", "-", "b"),
        ("^[+--]$", ",", "."),
        (r"^[\Qa-\E]$", "-", "b"),
        (r"^[\b\]\\]$", "\u{8}", "b"),
        (r"^[\x41-\x43\n]$", "B", "D"),
        (r"^[\d\-z]$", "-", "y"),
    ] {
        assert!(is_in(pattern, fitting), "{pattern} in {fitting:?}");
        assert!(!is_in(pattern, other), "{pattern} in {other:?}");
    }
}

#[test]
fn a_fault_has_the_words_and_the_place_of_pcre() {
    for (pattern, fault) in [
        ("(", "missing closing parenthesis at 1"),
        (")", "unmatched closing parenthesis at 1"),
        ("*", "quantifier does not follow a repeatable item at 1"),
        ("a+++", "quantifier does not follow a repeatable item at 4"),
        ("(|*)", "quantifier does not follow a repeatable item at 3"),
        ("[a", "missing terminating ] for character class at 2"),
        ("a{2,1}", "numbers out of order in {} quantifier at 5"),
        ("a{65536}", "number too big in {} quantifier at 7"),
        (
            "(?<=a+)b",
            "length of lookbehind assertion is not limited at 0",
        ),
        (
            "x(?<!(a{2,}))",
            "length of lookbehind assertion is not limited at 1",
        ),
        ("[z-a]", "range out of order in character class at 4"),
        (r"[a-\d]", "invalid range in character class at 5"),
        (r"[\d-z]", "invalid range in character class at 4"),
        (r"\", r"\ at end of pattern at 1"),
        (r"\y", r"unrecognized character follows \ at 2"),
        (
            r"\x{100}",
            r"character code point value in \x{} or \o{} is too large at 6",
        ),
        ("[[:foo:]]", "unknown POSIX class name at 8"),
        ("[[.a.]]", "POSIX collating elements are not supported at 6"),
        ("^*a", "quantifier does not follow a repeatable item at 2"),
        (r"\b+a", "quantifier does not follow a repeatable item at 3"),
        (
            "(?#c)*",
            "quantifier does not follow a repeatable item at 6",
        ),
        ("{1}", "quantifier does not follow a repeatable item at 3"),
        (
            "a{1}{2}",
            "quantifier does not follow a repeatable item at 7",
        ),
        (
            "(?<1a>b)",
            "subpattern name must start with a non-digit at 4",
        ),
        (
            "(?<n",
            "syntax error in subpattern name (missing terminator?) at 4",
        ),
        (r"\1", "reference to non-existent subpattern at 2"),
        (r"(a)\2", "reference to non-existent subpattern at 5"),
        ("(?1)a", "reference to non-existent subpattern at 3"),
        (r"(?n)(a)\1", "reference to non-existent subpattern at 9"),
        (
            r"\400",
            r"octal value is greater than \377 in 8-bit non-UTF-8 mode at 4",
        ),
        (r"\p", r"malformed \P or \p sequence at 2"),
        (r"\p{Foo}", r"unknown property after \P or \p at 7"),
        ("(?#a", "missing ) after (?# comment at 4"),
        ("(?", "missing closing parenthesis at 2"),
        ("(?y)", "unrecognized character after (? or (?- at 3"),
    ] {
        assert_eq!(
            compiled(pattern).map(drop),
            Err(fault.to_owned()),
            "{pattern}"
        );
    }
}

#[test]
fn a_pattern_that_calls_itself_first_is_in_no_name() {
    let regex = compiled("(?R)?a").unwrap();
    for name in ["", "a", "aa"] {
        assert_eq!(regex.is_in(name.as_bytes()), Some(false));
    }
}

#[test]
fn no_pattern_brings_the_reader_down() {
    use proptest::prelude::*;
    let words = proptest::sample::select(vec![
        "(", ")", "(?", "(?<", "(?P<n>", "(?#", "[", "]", "[^", "[:", ":]", "\\", "\\Q", "\\E",
        "\\p{", "\\g{", "\\k<", "\\c", "\\x{", "\\o{", "{", "}", "1", ",", "-", "+", "*", "?", "|",
        "^", "$", "n", ">", "a", "ä", "R", "=", "!", ":", "&", "'", " ", "#", "x",
    ]);
    proptest!(|(words in proptest::collection::vec(words, 0..12), name in "[a-z(ä]{0,4}")| {
        if let Ok(regex) = compiled(&words.concat()) {
            regex.is_in(name.as_bytes());
        }
    });
}
