//! The hashes of passwords.

use leveret::{Broker, Error, HashingAlgorithm, PasswordHash, User};
use proptest::prelude::*;
use serde::Deserialize;

use crate::common::cases;

#[derive(Deserialize)]
struct Vectors {
    vectors: Vec<Vector>,
}

/// A hash that RabbitMQ 3.10.8 and 4.3.6 take for the password, and not for another one.
#[derive(Deserialize)]
struct Vector {
    password: String,
    hashing_algorithm: String,
    salt_hex: String,
    password_hash: String,
}

fn vectors() -> Vec<Vector> {
    let read: Vectors = serde_json::from_str(include_str!("password-vectors.json")).unwrap();
    assert!(read.vectors.len() > 10);
    read.vectors
}

fn salt(vector: &Vector) -> [u8; 4] {
    u32::from_str_radix(&vector.salt_hex, 16)
        .unwrap()
        .to_be_bytes()
}

#[test]
fn the_hashes_of_rabbitmq_are_those_of_their_passwords() {
    for vector in vectors() {
        let algorithm = HashingAlgorithm::named(&vector.hashing_algorithm);
        let own = PasswordHash::with(algorithm.clone(), salt(&vector), &vector.password);
        assert_eq!(own.as_base64(), vector.password_hash);
        let exported = PasswordHash::from_base64(vector.password_hash, algorithm).unwrap();
        assert!(exported.matches(&vector.password), "{}", vector.password);
        assert!(!exported.matches(&format!("{}x", vector.password)));
        assert!(!exported.matches(""));
    }
}

#[test]
fn an_exported_user_logs_in() {
    for vector in vectors() {
        let broker = Broker::new();
        let algorithm = HashingAlgorithm::named(&vector.hashing_algorithm);
        let hash = PasswordHash::from_base64(vector.password_hash, algorithm).unwrap();
        broker
            .add_user(User::new("exported").password_hash(hash))
            .unwrap();
        let login = |password: &str| broker.authenticate_user("exported", password);
        assert_eq!(login(&vector.password).unwrap().name(), "exported");
        let wrong = format!("{}x", vector.password);
        assert!(matches!(
            login(&wrong).unwrap_err(),
            Error::LoginRefused { .. }
        ));
    }
}

#[test]
fn no_password_has_a_hash_of_another_kind() {
    let unknown = HashingAlgorithm::named("rabbit_password_hashing_sha3");
    for (hash, algorithm) in [
        ("", HashingAlgorithm::Sha256),
        ("AAAA", HashingAlgorithm::Sha256),
        ("AAAAAA==", HashingAlgorithm::Sha256),
        ("kI3GCqG+cq65rBQ9tiUUCREygKhmilKrZEWKSz+H0FJ1fk4/", unknown),
        (
            "kI3GCqG+cq65rBQ9tiUUCREygKhmilKrZEWKSz+H0FJ1fk4/",
            HashingAlgorithm::Md5,
        ),
    ] {
        let hash = PasswordHash::from_base64(hash, algorithm).unwrap();
        assert!(!hash.matches("secret") && !hash.matches(""), "{hash:?}");
    }
    let invalid = PasswordHash::from_base64("no base64", HashingAlgorithm::Sha256);
    assert_eq!(invalid.unwrap_err().reply_code(), Some(406));
}

#[test]
fn nothing_shows_a_hash() {
    let user = User::new("ada").password("secret");
    let shown = format!("{user:?}");
    assert!(!shown.contains(user.hash().unwrap().as_base64()), "{shown}");
    assert!(!format!("{:?}", Broker::builder().user("ada", "secret")).contains("secret"));
}

#[test]
fn the_empty_password_is_none() {
    let broker = Broker::new();
    broker.add_user(User::new("ada").password("")).unwrap();
    assert_eq!(broker.user("ada").unwrap().hash(), None);
    // RabbitMQ refuses it too, whatever the hash is of.
    let empty = PasswordHash::of("");
    broker
        .put_user(User::new("ada").password_hash(empty))
        .unwrap();
    let login = broker.authenticate_user("ada", "");
    assert!(matches!(login.unwrap_err(), Error::LoginRefused { .. }));
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_password_matches_its_own_hash_only(password in ".{1,40}", other in ".{1,40}") {
        let hash = PasswordHash::of(&password);
        prop_assert!(hash.matches(&password));
        prop_assert_eq!(hash.matches(&other), password == other);
        let algorithm = hash.algorithm().clone();
        let copy = PasswordHash::from_base64(hash.as_base64(), algorithm).unwrap();
        prop_assert_eq!(copy, hash);
    }
}
