use super::*;

#[test]
fn an_error_is_small() {
    assert!(size_of::<Error>() <= 48, "{}", size_of::<Error>());
}
