//! Whether one pattern fits one key, without a trie.

use super::words::words_of;

/// Whether a pattern of a topic exchange fits a routing key. The time is the product of the numbers
/// of words at most.
pub(crate) fn fits(pattern: &str, key: &str) -> bool {
    let (mut pattern, mut key) = (words_of(pattern), words_of(key));
    // Behind the last `#`, and the words that it does not cover yet.
    let mut hash = None;
    loop {
        let (before, word) = (key.clone(), key.next());
        match (pattern.clone().next(), word) {
            (Some(b"#"), _) => {
                pattern.next();
                key = before;
                hash = Some((pattern.clone(), key.clone()));
            }
            (Some(wanted), Some(word)) if wanted == b"*" || wanted == word => {
                pattern.next();
            }
            (None, None) => return true,
            _ => {
                // The `#` covers one more word.
                let Some((behind, rest)) = &mut hash else {
                    return false;
                };
                if rest.next().is_none() {
                    return false;
                }
                (pattern, key) = (behind.clone(), rest.clone());
            }
        }
    }
}
