//! Octets where AMQP has text: a property, a routing key, a header.
//!
//! AMQP 0-9-1 has octets there, and nearly all programs write UTF-8. This crate has text. So octets
//! that are no UTF-8 have a form as text, from which they come back unchanged: each such octet is
//! one of the 128 characters from U+EF80 to U+EFFF, which are for private use. A program that looks
//! at text sees them only if a program outside has sent such octets.
//!
//! # RabbitMQ
//! RabbitMQ passes octets on as they are. Python has the same idea as `surrogateescape`.
//!
//! # Examples
//! ```
//! use leveret::octets;
//!
//! assert_eq!(octets::to_text(b"id-7"), "id-7");
//! let text = octets::to_text(b"id-\xff");
//! assert_eq!(text, "id-\u{efff}");
//! assert_eq!(&*octets::of_text(&text), b"id-\xff");
//! ```

use std::borrow::Cow;

/// The character of the octet 0.
const BASE: u32 = 0xef00;

/// The first octet of the characters that stand for octets, in UTF-8.
const LEAD: u8 = 0xee;

/// The octets of such a character, in UTF-8: `LEAD` and these two.
const SECOND: [u8; 2] = [0xbe, 0xbf];

/// The text of octets. UTF-8 is its own text.
#[inline]
pub fn to_text(octets: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(octets) {
        Ok(text) if !may_stand_for_octets(text) => Cow::Borrowed(text),
        _ => Cow::Owned(escaped(octets)),
    }
}

/// The octets of a text.
#[inline]
pub fn of_text(text: &str) -> Cow<'_, [u8]> {
    match may_stand_for_octets(text) {
        false => Cow::Borrowed(text.as_bytes()),
        true => Cow::Owned(unescaped(text)),
    }
}

/// The number of [the octets of a text](of_text).
#[inline]
pub(crate) fn len_of(text: &str) -> usize {
    match may_stand_for_octets(text) {
        false => text.len(),
        true => text
            .chars()
            .map(|c| octet_of(c).map_or(c.len_utf8(), |_| 1))
            .sum(),
    }
}

#[inline]
fn may_stand_for_octets(text: &str) -> bool {
    text.as_bytes().contains(&LEAD)
}

/// The octet that a character stands for.
fn octet_of(character: char) -> Option<u8> {
    let octet = u32::from(character).checked_sub(BASE)?;
    u8::try_from(octet).ok().filter(|octet| !octet.is_ascii())
}

/// The character that stands for an octet.
fn character_of(octet: u8) -> char {
    char::from_u32(BASE + u32::from(octet)).unwrap_or(char::REPLACEMENT_CHARACTER)
}

#[cold]
fn escaped(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len() + 8);
    for chunk in octets.utf8_chunks() {
        for character in chunk.valid().chars() {
            match octet_of(character) {
                None => text.push(character),
                // Such a character would come back as one octet.
                Some(octet) => {
                    let [first, last] = [SECOND[usize::from(octet >= 0xc0)], octet & 0x3f | 0x80];
                    text.extend([LEAD, first, last].map(character_of));
                }
            }
        }
        text.extend(chunk.invalid().iter().map(|octet| character_of(*octet)));
    }
    text
}

#[cold]
fn unescaped(text: &str) -> Vec<u8> {
    let mut octets = Vec::with_capacity(text.len());
    for character in text.chars() {
        match octet_of(character) {
            Some(octet) => octets.push(octet),
            None => octets.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    octets
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_without_characters_for_octets_is_its_own_octets() {
        for text in ["", "tasks", "Grüße", "\u{ee80}\u{ef7f}\u{f000}"] {
            assert_eq!(&*of_text(text), text.as_bytes());
            assert_eq!(to_text(text.as_bytes()), text);
            assert_eq!(len_of(text), text.len());
        }
    }

    #[test]
    fn a_character_for_an_octet_that_comes_as_utf8_comes_back_as_utf8() {
        for character in ['\u{ef80}', '\u{efbf}', '\u{efc0}', '\u{efff}'] {
            let octets = format!("a{character}b").into_bytes();
            let text = to_text(&octets);
            assert_eq!(text.chars().count(), 5);
            assert_eq!(*of_text(&text), octets);
        }
    }

    fn octets() -> impl Strategy<Value = Vec<u8>> {
        let octet = prop_oneof![any::<u8>(), Just(0xee), Just(0xbe), Just(0xbf), Just(b'a')];
        prop::collection::vec(octet, 0..40)
    }

    proptest! {
        #[test]
        fn octets_come_back_unchanged(octets in octets()) {
            let text = to_text(&octets);
            prop_assert_eq!(&*of_text(&text), &octets[..]);
            prop_assert_eq!(len_of(&text), octets.len());
        }

        #[test]
        fn two_texts_of_octets_are_equal_if_the_octets_are(one in octets(), other in octets()) {
            prop_assert_eq!(to_text(&one) == to_text(&other), one == other);
        }
    }
}
