//! A user of a broker.

use serde::{Deserialize, Serialize};

use super::{HashingAlgorithm, PasswordHash, UserLimits};
use crate::model::error::{Error, Result};

/// A user of a [`Broker`](crate::Broker): the name, the hash of the password, tags and limits.
///
/// What a user may do in a virtual host is in [`Permissions`](crate::Permissions).
///
/// # Tags
/// - `impersonator`: the property `user_id` of messages may name anyone.
/// - `policymaker` or `administrator`: policies may be set and cleared.
/// - `administrator`: operator policies, too.
/// - `management` or `monitoring`: policies may be read, and so may those with the tags above.
///
/// Other tags have no meaning here, and are kept.
///
/// # RabbitMQ
/// A user of `rabbitmqctl list_users`, and an item of `users` in `definitions.json`. The tags are
/// those of the management plugin.
///
/// # Examples
/// ```
/// use leveret::{Broker, User};
/// let broker = Broker::new();
/// broker.add_user(User::new("ada").password("secret").tag("policymaker"))?;
/// let names: Vec<String> = broker.users()?.iter().map(|user| user.name().to_owned()).collect();
/// assert_eq!(names, ["ada", "guest"]);
/// assert!(broker.authenticate_user("ada", "secret").is_ok());
/// assert_eq!(broker.authenticate_user("ada", "guess").unwrap_err().reply_code(), Some(403));
/// # Ok::<(), leveret::Error>(())
/// ```
///
/// A user reads the item of a user in [definitions](crate::guide::definitions):
///
/// ```
/// # use leveret::User;
/// let exported = r#"{"name": "ada", "tags": ["monitoring"], "limits": {},
///     "password_hash": "kI3GCqG+cq65rBQ9tiUUCREygKhmilKrZEWKSz+H0FJ1fk4/",
///     "hashing_algorithm": "rabbit_password_hashing_sha256"}"#;
/// let ada: User = serde_json::from_str(exported)?;
/// assert!(ada.has_tag("monitoring") && ada.hash().unwrap().matches("secret"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Item", into = "Item")]
pub struct User {
    name: String,
    password: Option<PasswordHash>,
    tags: Vec<String>,
    limits: UserLimits,
}

/// A user in definitions.
#[derive(Serialize, Deserialize)]
struct Item {
    name: String,
    /// Empty if there is none.
    #[serde(default)]
    password_hash: String,
    #[serde(default)]
    hashing_algorithm: HashingAlgorithm,
    tags: Vec<String>,
    #[serde(default)]
    limits: UserLimits,
}

impl TryFrom<Item> for User {
    type Error = Error;

    fn try_from(item: Item) -> Result<User> {
        let password = match item.password_hash.is_empty() {
            true => None,
            false => Some(PasswordHash::from_base64(
                item.password_hash,
                item.hashing_algorithm,
            )?),
        };
        Ok(User {
            name: item.name,
            password,
            tags: item.tags,
            limits: item.limits,
        })
    }
}

impl From<User> for Item {
    fn from(user: User) -> Item {
        let password = user.password.as_ref();
        Item {
            password_hash: password.map_or_else(String::new, |hash| hash.as_base64().to_owned()),
            hashing_algorithm: password
                .map_or_else(HashingAlgorithm::default, |hash| hash.algorithm().clone()),
            name: user.name,
            tags: user.tags,
            limits: user.limits,
        }
    }
}

impl User {
    /// A user without password, tags and limits. Without a password no login succeeds.
    pub fn new(name: impl Into<String>) -> User {
        User {
            name: name.into(),
            password: None,
            tags: Vec::new(),
            limits: UserLimits::default(),
        }
    }

    /// Sets the password, of which only a hash is kept. The empty password is none.
    #[must_use]
    pub fn password(mut self, password: &str) -> User {
        self.password = (!password.is_empty()).then(|| PasswordHash::of(password));
        self
    }

    /// Sets the hash of the password, `None` for none.
    #[must_use]
    pub fn password_hash(mut self, hash: impl Into<Option<PasswordHash>>) -> User {
        self.password = hash.into();
        self
    }

    /// Adds a tag.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> User {
        self.tags.push(tag.into());
        self
    }

    /// Sets all tags. As in RabbitMQ, they stay as they are given, twice the same tag included.
    #[must_use]
    pub fn tags<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> User {
        self.tags = tags.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the limits.
    #[must_use]
    pub fn limits(mut self, limits: UserLimits) -> User {
        self.limits = limits;
        self
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The hash of the password. `None` if no login can succeed.
    pub fn hash(&self) -> Option<&PasswordHash> {
        self.password.as_ref()
    }

    /// The tags, in the order in which they were given.
    pub fn tag_list(&self) -> &[String] {
        &self.tags
    }

    /// Whether the user has this tag, in these letters.
    pub fn has_tag(&self, tag: &str) -> bool {
        self.tags.iter().any(|own| own == tag)
    }

    /// The limits.
    pub fn user_limits(&self) -> UserLimits {
        self.limits
    }
}
