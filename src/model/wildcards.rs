//! Patterns with `*` and `?`.

/// Whether a text fits a pattern with `*` and `?`. The time is the product of the lengths at most.
pub(crate) fn fits(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    // Behind the last star, and the text that it does not cover yet.
    let mut star = None;
    loop {
        let (before, next) = (text.clone(), text.next());
        match (pattern.clone().next(), next) {
            (Some('*'), _) => {
                pattern.next();
                text = before;
                star = Some((pattern.clone(), text.clone()));
            }
            (Some('?'), Some(_)) => {
                pattern.next();
            }
            (Some(wanted), Some(found)) if wanted == found => {
                pattern.next();
            }
            (None, None) => return true,
            _ => {
                // The star covers one more character.
                let Some((behind, rest)) = &mut star else {
                    return false;
                };
                if rest.next().is_none() {
                    return false;
                }
                (pattern, text) = (behind.clone(), rest.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// By recursion, character by character.
    fn fits_simply(pattern: &[char], text: &[char]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            (['*', rest @ ..], _) => {
                (0..=text.len()).any(|covered| fits_simply(rest, &text[covered..]))
            }
            (['?', rest @ ..], [_, others @ ..]) => fits_simply(rest, others),
            ([wanted, rest @ ..], [found, others @ ..]) => {
                wanted == found && fits_simply(rest, others)
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn a_pattern_fits_as_by_recursion(pattern in "[ab*?]{0,7}", text in "[ab?*ä]{0,8}") {
            let [of_pattern, of_text] = [&pattern, &text].map(|it| it.chars().collect::<Vec<_>>());
            prop_assert_eq!(fits(&pattern, &text), fits_simply(&of_pattern, &of_text));
        }
    }
}
