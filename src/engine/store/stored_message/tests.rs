use proptest::{collection::vec, option, prelude::*};

use super::*;
use crate::{
    message::properties::PropertyList,
    model::{
        field_value::{FieldTable, FieldValue},
        test_cases,
    },
};

fn value() -> impl Strategy<Value = FieldValue> {
    let leaf = prop_oneof![
        Just(FieldValue::Void),
        any::<bool>().prop_map(FieldValue::Bool),
        any::<i8>().prop_map(FieldValue::Octet),
        any::<u8>().prop_map(FieldValue::UnsignedOctet),
        any::<i16>().prop_map(FieldValue::Short),
        any::<u16>().prop_map(FieldValue::UnsignedShort),
        any::<i32>().prop_map(FieldValue::Int),
        any::<u32>().prop_map(FieldValue::UnsignedInt),
        any::<i64>().prop_map(FieldValue::Long),
        any::<f32>().prop_map(FieldValue::Float),
        any::<f64>().prop_map(FieldValue::Double),
        any::<(u8, i32)>().prop_map(|(scale, value)| FieldValue::Decimal { scale, value }),
        ".{0,9}".prop_map(FieldValue::LongString),
        vec(any::<u8>(), 0..9).prop_map(FieldValue::Bytes),
        any::<u64>().prop_map(FieldValue::Timestamp),
    ];
    leaf.prop_recursive(4, 24, 4, |value| {
        prop_oneof![
            vec(value.clone(), 0..4).prop_map(FieldValue::Array),
            vec((".{0,3}", value), 0..4)
                .prop_map(|all| FieldValue::Table(all.into_iter().collect())),
        ]
    })
}

fn headers() -> impl Strategy<Value = FieldTable> {
    vec((prop_oneof![".{0,4}", "x{300}"], value()), 0..20).prop_map(|all| all.into_iter().collect())
}

fn text() -> impl Strategy<Value = Option<String>> {
    option::of(prop_oneof![4 => ".{0,9}", 1 => ".{120,140}"])
}

fn properties() -> impl Strategy<Value = Properties> {
    let texts = vec(text(), 10);
    let rest = any::<(Option<u8>, Option<u8>, Option<u64>)>();
    (texts, rest, option::of(headers())).prop_map(|(texts, rest, headers)| {
        let mut texts = texts.into_iter();
        let mut next = || texts.next().flatten();
        let list = PropertyList {
            content_type: next(),
            content_encoding: next(),
            headers,
            delivery_mode: rest.0,
            priority: rest.1,
            correlation_id: next(),
            reply_to: next(),
            expiration: next(),
            message_id: next(),
            timestamp: rest.2,
            message_type: next(),
            user_id: next(),
            app_id: next(),
            cluster_id: next(),
        };
        list.into()
    })
}

fn head() -> impl Strategy<Value = MessageHead<'static>> {
    let names = (".{0,40}", ".{0,40}", vec(".{0,5}", 0..3));
    let numbers = any::<[Option<u64>; 5]>();
    let rest = any::<(bool, u32)>();
    let properties = prop_oneof![Just(Properties::new()), properties()];
    (names, numbers, rest, properties).prop_map(|(names, numbers, rest, properties)| {
        let (exchange, routing_key, bcc) = names;
        let [size, expires, len_before_deaths, due, body] = numbers;
        MessageHead {
            exchange: Name::new(exchange).unwrap(),
            routing_key: Cow::Owned(routing_key),
            properties: Cow::Owned(properties),
            size,
            bcc: Cow::Owned(bcc),
            expires,
            len_before_deaths,
            is_rerouted: rest.0,
            due,
            body,
            failed: rest.1,
        }
    })
}

/// What a byte of a message is replaced by, and where: the place is a part of the whole.
fn damage() -> impl Strategy<Value = (prop::sample::Index, u8)> {
    (any::<prop::sample::Index>(), any::<u8>())
}

proptest! {
    #![proptest_config(test_cases::cases())]

    #[test]
    fn every_message_comes_back_as_it_was(head in head(), body in vec(any::<u8>(), 0..99)) {
        let (bytes, shared) = StoredMessage::new(&head, &body).unwrap().into_parts();
        prop_assert_eq!(shared, head.body);
        let (read, read_body) = StoredMessage::read(&bytes).unwrap();
        prop_assert_eq!(read_body, if shared.is_some() { &[] } else { &body[..] });
        prop_assert_eq!(read, head);
    }

    #[test]
    fn messages_that_share_a_head_come_back_as_each_does_alone(
        messages in vec((0..3usize, vec(any::<u8>(), 0..9)), 0..20),
        heads in vec(head(), 3),
    ) {
        let mut reader = MessageReader::default();
        let mut last: Option<(usize, Arc<MessageHead<'_>>)> = None;
        for (which, body) in messages {
            let (bytes, _) = StoredMessage::new(&heads[which], &body).unwrap().into_parts();
            let (head, read_body) = reader.read(&bytes).unwrap();
            let (alone, body_alone) = StoredMessage::read(&bytes).unwrap();
            prop_assert_eq!((&*head, read_body), (&alone, body_alone));
            if let Some((before, of_before)) = last {
                prop_assert_eq!(Arc::ptr_eq(&of_before, &head), heads[before] == heads[which]);
            }
            last = Some((which, head));
        }
    }

    #[test]
    fn a_message_that_ends_in_its_head_is_refused(
        head in head(),
        cut in any::<prop::sample::Index>(),
    ) {
        let (bytes, _) = StoredMessage::new(&head, &[]).unwrap().into_parts();
        let cut = cut.index(bytes.len());
        prop_assert!(StoredMessage::read(&bytes[..cut]).is_err());
    }

    /// Another message, or an error. Whatever is read can be written again.
    #[test]
    fn altered_bytes_are_read_as_some_message_or_refused(
        head in head(),
        body in vec(any::<u8>(), 0..20),
        damage in vec(damage(), 1..4),
    ) {
        let (bytes, _) = StoredMessage::new(&head, &body).unwrap().into_parts();
        let mut bytes = bytes.to_vec();
        for (at, octet) in damage {
            let at = at.index(bytes.len());
            bytes[at] = octet;
        }
        if let Ok((head, body)) = StoredMessage::read(&bytes) {
            let (again, _) = StoredMessage::new(&head, body).unwrap().into_parts();
            let (read, _) = StoredMessage::read(&again).unwrap();
            prop_assert_eq!(read, head);
        }
    }

    #[test]
    fn any_bytes_are_read_as_some_message_or_refused(bytes in vec(any::<u8>(), 0..60)) {
        let versioned = [&[VERSION][..], &bytes].concat();
        let few = [&[VERSION][..], &[bytes.len() as u8, 0x3f, 0xff, 3], &bytes].concat();
        for bytes in [bytes, versioned, few] {
            let _ = StoredMessage::read(&bytes);
        }
    }
}

#[test]
fn each_reason_for_which_bytes_are_no_message_has_an_error() {
    let bytes =
        |present: u32, fields: &[u8]| [&[VERSION][..], &present.to_le_bytes(), fields].concat();
    let long_name = [&[0x80, 2][..], &[b'x'; 256]].concat();
    let read = |bytes: &[u8]| StoredMessage::read(bytes).map(drop);
    for (bytes, error) in [
        (vec![], Unreadable::End),
        (vec![9], Unreadable::Version(9)),
        (bytes(1 << 15, &[]), Unreadable::Fields(1 << 15)),
        (bytes(1 << 30, &[]), Unreadable::Fields(1 << 30)),
        (bytes(EXCHANGE, &long_name), Unreadable::LongName(256)),
        (bytes(ROUTING_KEY, &long_name), Unreadable::LongName(256)),
        (bytes(EXCHANGE, &[1, 0xff]), Unreadable::Text),
        (bytes(SIZE, &[0x80]), Unreadable::End),
        (
            bytes(FAILED, &[0xff, 0xff, 0xff, 0xff, 0x1f]),
            Unreadable::TooLarge(0x1_ffff_ffff),
        ),
        (bytes(DUE, &[0xff; 10]), Unreadable::Number),
    ] {
        assert_eq!(read(&bytes), Err(error), "{bytes:?}");
    }
}

#[test]
fn headers_that_are_nested_too_deeply_are_not_written() {
    let mut table = FieldTable::new();
    for _ in 0..FieldTable::MAX_DEPTH {
        table = FieldTable::from([("inner", table)]);
    }
    let head = MessageHead {
        properties: Cow::Owned(Properties::new().headers(table)),
        ..MessageHead::default()
    };
    assert_eq!(StoredMessage::new(&head, &[]), Err(TableTooDeep));
}

#[test]
fn a_plain_persistent_message_takes_few_bytes() {
    let head = MessageHead {
        routing_key: "orders".into(),
        properties: Cow::Owned(Properties::new().persistent()),
        ..MessageHead::default()
    };
    let (bytes, _) = StoredMessage::new(&head, &[7; 100]).unwrap().into_parts();
    assert_eq!(bytes.len(), 1 + 4 + 1 + 7 + 100);
}
