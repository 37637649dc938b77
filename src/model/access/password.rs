//! The hash that is kept instead of a password, in RabbitMQ's format.

use std::{
    collections::hash_map::RandomState,
    fmt,
    hash::{BuildHasher, Hasher},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use md5::Md5;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;

use crate::model::error::{Precondition, Result};

/// The bytes of a salt.
const SALT: usize = 4;

/// The algorithm of a [`PasswordHash`].
///
/// # RabbitMQ
/// The modules `rabbit_password_hashing_sha256`, `rabbit_password_hashing_sha512` and
/// `rabbit_password_hashing_md5`.
///
/// # Examples
/// ```
/// use leveret::HashingAlgorithm;
/// let algorithm = HashingAlgorithm::named("rabbit_password_hashing_sha512");
/// assert_eq!(algorithm, HashingAlgorithm::Sha512);
/// assert_eq!(HashingAlgorithm::default().to_string(), "rabbit_password_hashing_sha256");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HashingAlgorithm {
    /// SHA-256, which is RabbitMQ's default.
    #[default]
    Sha256,
    /// SHA-512.
    Sha512,
    /// MD5, for hashes that RabbitMQ 3.5 has made. It is broken: change such passwords.
    Md5,
    /// Another module. It is kept, and no password has such a hash.
    Other(String),
}

impl HashingAlgorithm {
    /// The algorithm with the name of this module.
    pub fn named(module: &str) -> HashingAlgorithm {
        match module {
            "rabbit_password_hashing_sha256" => HashingAlgorithm::Sha256,
            "rabbit_password_hashing_sha512" => HashingAlgorithm::Sha512,
            "rabbit_password_hashing_md5" => HashingAlgorithm::Md5,
            other => HashingAlgorithm::Other(other.to_owned()),
        }
    }

    /// The name of the module.
    pub fn as_str(&self) -> &str {
        match self {
            HashingAlgorithm::Sha256 => "rabbit_password_hashing_sha256",
            HashingAlgorithm::Sha512 => "rabbit_password_hashing_sha512",
            HashingAlgorithm::Md5 => "rabbit_password_hashing_md5",
            HashingAlgorithm::Other(module) => module,
        }
    }

    /// The hash of a salt and a password. `None` for an unknown algorithm.
    fn hash(&self, salt: &[u8], password: &str) -> Option<Vec<u8>> {
        fn digest<D: Digest>(salt: &[u8], password: &str) -> Vec<u8> {
            D::new()
                .chain_update(salt)
                .chain_update(password)
                .finalize()
                .to_vec()
        }
        match self {
            HashingAlgorithm::Sha256 => Some(digest::<Sha256>(salt, password)),
            HashingAlgorithm::Sha512 => Some(digest::<Sha512>(salt, password)),
            HashingAlgorithm::Md5 => Some(digest::<Md5>(salt, password)),
            HashingAlgorithm::Other(_) => None,
        }
    }
}

impl fmt::Display for HashingAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for HashingAlgorithm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for HashingAlgorithm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<HashingAlgorithm, D::Error> {
        String::deserialize(deserializer).map(|module| HashingAlgorithm::named(&module))
    }
}

/// The hash of a password: base64 of a salt of 4 bytes, and of the hash of salt and password.
///
/// The password itself is kept nowhere. A hash prints as nothing but its algorithm.
///
/// # RabbitMQ
/// The `password_hash` and `hashing_algorithm` of a user in `definitions.json`, and the result of
/// `rabbitmqctl hash_password`.
///
/// # Examples
/// ```
/// use leveret::{HashingAlgorithm, PasswordHash};
/// let text = "kI3GCqG+cq65rBQ9tiUUCREygKhmilKrZEWKSz+H0FJ1fk4/";
/// let exported = PasswordHash::from_base64(text, HashingAlgorithm::Sha256)?;
/// assert!(exported.matches("secret"));
/// assert!(!exported.matches("Secret"));
/// // Each hash has a salt of its own.
/// assert_ne!(PasswordHash::of("secret"), PasswordHash::of("secret"));
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordHash {
    hash: String,
    algorithm: HashingAlgorithm,
}

impl PasswordHash {
    /// Hashes a password by SHA-256, with a new salt.
    pub fn of(password: &str) -> PasswordHash {
        PasswordHash::with(HashingAlgorithm::Sha256, salt(), password)
    }

    /// Hashes a password by this algorithm, with this salt. With an unknown algorithm no password
    /// matches.
    ///
    /// # Examples
    /// ```
    /// use leveret::{HashingAlgorithm, PasswordHash};
    /// let salt = [0x90, 0x8d, 0xc6, 0x0a];
    /// let hash = PasswordHash::with(HashingAlgorithm::Md5, salt, "secret");
    /// assert_eq!(hash.as_base64(), "kI3GCjp/4GmDJUepnA1+aCzaba4=");
    /// ```
    pub fn with(algorithm: HashingAlgorithm, salt: [u8; SALT], password: &str) -> PasswordHash {
        let mut bytes = salt.to_vec();
        bytes.extend(algorithm.hash(&salt, password).unwrap_or_default());
        PasswordHash {
            hash: STANDARD.encode(bytes),
            algorithm,
        }
    }

    /// Takes a hash that was made elsewhere. Any base64 is taken, as in RabbitMQ: no password
    /// matches a hash of another length.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`](crate::Error::PreconditionFailed) for a text that is not
    /// base64.
    pub fn from_base64(
        hash: impl Into<String>,
        algorithm: HashingAlgorithm,
    ) -> Result<PasswordHash> {
        let hash = hash.into();
        match STANDARD.decode(&hash) {
            Ok(_) => Ok(PasswordHash { hash, algorithm }),
            Err(error) => Err(Precondition::InvalidPasswordHash(error.to_string()).into()),
        }
    }

    /// Whether it is the hash of this password. The time of the comparison does not tell where they
    /// differ.
    pub fn matches(&self, password: &str) -> bool {
        let Ok(bytes) = STANDARD.decode(&self.hash) else {
            return false;
        };
        let Some((salt, kept)) = bytes.split_at_checked(SALT) else {
            return false;
        };
        let hash = self.algorithm.hash(salt, password);
        hash.is_some_and(|hash| hash.ct_eq(kept).into())
    }

    /// The salt and the hash, in base64.
    pub fn as_base64(&self) -> &str {
        &self.hash
    }

    /// The algorithm of the hash.
    pub fn algorithm(&self) -> &HashingAlgorithm {
        &self.algorithm
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordHash")
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// A salt. Its bits are those of the system's random keys for hash maps.
fn salt() -> [u8; SALT] {
    let number = match cfg!(shuttle) {
        // Interleaving tests repeat a test step by step.
        true => 0,
        false => RandomState::new().build_hasher().finish(),
    };
    let [a, b, c, d, ..] = number.to_be_bytes();
    [a, b, c, d]
}
