//! The topic permissions of a user for one exchange, compiled.

use super::pattern::Pattern;
use crate::model::{access::TopicPermissions, error::InvalidPattern, name::Name};

#[derive(Clone, Debug)]
pub(super) struct Topic {
    /// As they were set.
    permissions: TopicPermissions,
    pub(super) write: Pattern,
    pub(super) read: Pattern,
}

impl Topic {
    /// Compiles both patterns, with the names of the user and of the virtual host in them.
    ///
    /// # Errors
    /// A pattern does not compile.
    pub(super) fn new(
        permissions: &TopicPermissions,
        user: &Name,
        vhost: &Name,
    ) -> Result<Topic, InvalidPattern> {
        let compiled = |pattern: &str| {
            let compiled = Pattern::new(&expand(pattern, user, vhost));
            // The text of the error has the pattern that was given.
            compiled.map_err(|error| error.of(pattern))
        };
        Ok(Topic {
            write: compiled(&permissions.write)?,
            read: compiled(&permissions.read)?,
            permissions: permissions.clone(),
        })
    }

    pub(super) fn permissions(&self) -> &TopicPermissions {
        &self.permissions
    }
}

/// Replaces `{username}` and `{vhost}`. The names stand for themselves, as in RabbitMQ 4.3: what
/// they contain is no expression.
fn expand(pattern: &str, user: &Name, vhost: &Name) -> String {
    let mut expanded = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some(at) = rest.find('{') {
        let (before, variable) = rest.split_at(at);
        expanded.push_str(before);
        let variables = [("{username}", user), ("{vhost}", vhost)];
        let found = variables
            .iter()
            .find(|(name, _)| variable.starts_with(name));
        rest = match found {
            Some((name, value)) => {
                push_escaped(&mut expanded, value);
                &variable[name.len()..]
            }
            None => {
                expanded.push('{');
                &variable[1..]
            }
        };
    }
    expanded.push_str(rest);
    expanded
}

fn push_escaped(pattern: &mut String, name: &str) {
    for character in name.chars() {
        if character.is_ascii() && !character.is_ascii_alphanumeric() {
            pattern.push('\\');
        }
        pattern.push(character);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_stands_for_the_letters_of_its_name() {
        let name = |name| Name::new(name).unwrap();
        let expanded = |pattern| expand(pattern, &name("al.ice"), &name("/"));
        assert_eq!(expanded(r"^{username}\.{vhost}$"), r"^al\.ice\.\/$");
        assert_eq!(expanded("{username}{username}"), r"al\.iceal\.ice");
        assert_eq!(expanded("{client_id}.{}{"), "{client_id}.{}{");
        assert_eq!(expanded("a{2}"), "a{2}");
    }
}
