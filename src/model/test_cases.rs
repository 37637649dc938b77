//! The number of cases of the random unit tests.

use proptest::test_runner::Config;

/// The number that `PROPTEST_CASES` says, else 32. The gate sets it to 256.
pub(crate) fn cases() -> Config {
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => Config::default(),
        None => Config::with_cases(32),
    }
}
