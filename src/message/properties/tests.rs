use super::*;

#[test]
fn empty_properties_are_two_words_and_allocate_nothing() {
    assert_eq!(size_of::<Properties>(), 2 * size_of::<usize>());
    assert!(Properties::new().is_absent());
    assert!(Properties::new().is_empty());
    assert!(
        serde_json::from_str::<Properties>("{}")
            .unwrap()
            .is_absent()
    );
    assert!(!Properties::new().priority(0).is_empty());
}

#[test]
fn properties_that_were_emptied_equal_empty_ones() {
    let mut properties = Properties::new().priority(1);
    properties.priority = None;
    assert_eq!(properties, Properties::new());
    assert!(properties.is_empty());
}

#[test]
fn every_property_is_written_under_its_amqp_name_and_reads_back() {
    let properties = Properties::new()
        .content_type("a")
        .content_encoding("b")
        .headers(FieldTable::from([("k", 1)]))
        .persistent()
        .priority(3)
        .correlation_id("c")
        .reply_to("d")
        .expiration("4")
        .message_id("e")
        .timestamp(5)
        .message_type("f")
        .user_id("g")
        .app_id("h")
        .cluster_id("i");
    let json = serde_json::to_value(&properties).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "content_type": "a", "content_encoding": "b", "headers": {"k": 1},
            "delivery_mode": 2, "priority": 3, "correlation_id": "c", "reply_to": "d",
            "expiration": "4", "message_id": "e", "timestamp": 5, "type": "f",
            "user_id": "g", "app_id": "h", "cluster_id": "i"
        })
    );
    assert_eq!(
        serde_json::from_value::<Properties>(json).unwrap(),
        properties
    );
    assert_eq!(serde_json::to_string(&Properties::new()).unwrap(), "{}");
}

#[test]
fn an_expiration_is_a_number_of_milliseconds() {
    let millis = |text: &str| Properties::new().expiration(text).expiration_millis();
    assert_eq!(Properties::new().expiration_millis(), Ok(None));
    assert_eq!(millis("0"), Ok(Some(0)));
    assert_eq!(millis("60000"), Ok(Some(60_000)));
    assert_eq!(millis("000000000000000000000000000030"), Ok(Some(30)));
    assert_eq!(millis("+5"), Ok(Some(5)));
    assert_eq!(millis("-0"), Ok(Some(0)));
    assert_eq!(millis("315360000000"), Ok(Some(315_360_000_000)));
}

#[test]
fn an_invalid_expiration_is_refused_in_rabbitmqs_words() {
    for (text, reason) in [
        ("", "no_integer"),
        ("x", "no_integer"),
        (" 5", "no_integer"),
        ("-", "no_integer"),
        ("5 ", "{leftover_string,\" \"}"),
        ("5.0", "{leftover_string,\".0\"}"),
        ("-1", "{value_negative,-1}"),
        ("315360000001", "{value_too_large,315360000001}"),
        (
            "99999999999999999999999",
            "{value_too_large,99999999999999999999999}",
        ),
    ] {
        let error = Properties::new()
            .expiration(text)
            .expiration_millis()
            .unwrap_err();
        assert_eq!(error.reply_code(), Some(406));
        assert_eq!(
            error.to_string(),
            format!("PRECONDITION_FAILED - invalid expiration '{text}': {reason}")
        );
    }
}

#[test]
fn an_expiration_is_rewritten_without_a_sign_and_without_leading_zeros() {
    for (given, rewritten) in [
        ("60000", "60000"),
        ("0060000", "60000"),
        ("+60000", "60000"),
        ("+0", "0"),
        ("-0", "0"),
        ("0", "0"),
        ("000", "0"),
        ("soon", "soon"),
        ("1x", "1x"),
        ("-5", "-5"),
        ("", ""),
    ] {
        let mut properties = Properties::new().expiration(given);
        properties.rewrite_expiration();
        assert_eq!(properties.expiration.as_deref(), Some(rewritten));
    }
    let mut empty = Properties::new();
    empty.rewrite_expiration();
    assert!(empty.is_empty());
}

#[test]
fn any_delivery_mode_is_valid_and_only_two_is_persistent() {
    for mode in [0, 1, 2, 3, 255] {
        let properties = Properties::new().delivery_mode(mode);
        assert_eq!(properties.validate(), Ok(()));
        assert_eq!(properties.is_persistent(), mode == 2);
    }
    assert!(Properties::new().persistent().is_persistent());
}
