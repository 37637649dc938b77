//! Everything comes back as it was written, and no octets do harm.

use proptest::prelude::*;

use super::{
    BASIC, ContentHeader, Malformed, Method, MethodFault, NotEncodable,
    field::{Field, Reader, ShortOctets},
    frame::{self, Frame, FrameFault},
    properties::Checked,
    table_of, write_header,
};
use crate::{
    message::{
        headers::cc_bcc,
        properties::{Asked, Properties, PropertyList},
    },
    model::{
        field_value::{FieldTable, FieldValue},
        octets,
    },
};

/// Values for the fields of a method.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    number: u64,
    text: String,
    octets: Vec<u8>,
    /// Octets for a short string.
    short: Vec<u8>,
    table: FieldTable,
}

/// A type of a field, with the value that a sample has for it.
pub(super) trait Sampled<'a> {
    fn of(sample: &'a Sample) -> Self;
}

macro_rules! sampled {
    ($($type:ty: |$sample:ident| $value:expr;)*) => {$(
        impl<'a> Sampled<'a> for $type {
            fn of($sample: &'a Sample) -> $type {
                $value
            }
        }
    )*};
}

sampled! {
    u8: |sample| sample.number as u8;
    u16: |sample| sample.number as u16;
    u32: |sample| sample.number as u32;
    u64: |sample| sample.number;
    bool: |sample| sample.number % 2 == 1;
    &'a str: |sample| &sample.text;
    &'a [u8]: |sample| &sample.octets;
    ShortOctets<'a>: |sample| ShortOctets(octets::to_text(&sample.short));
    FieldTable: |sample| sample.table.clone();
}

impl<const N: usize> Sampled<'_> for [bool; N] {
    fn of(sample: &Sample) -> [bool; N] {
        std::array::from_fn(|bit| sample.number >> bit & 1 == 1)
    }
}

/// Text of at most 160 octets.
fn text() -> impl Strategy<Value = String> + Clone {
    "[a-zé€😀]{0,40}"
}

/// Text, or octets that are none, of at most 255.
pub(in crate::protocol::amqp) fn short_octets() -> impl Strategy<Value = String> + Clone {
    let octets = prop::collection::vec(any::<u8>(), 0..256);
    prop_oneof![
        text(),
        octets.prop_map(|octets| octets::to_text(&octets).into_owned()),
    ]
}

fn value() -> impl Strategy<Value = FieldValue> {
    let plain = prop_oneof![
        Just(FieldValue::Void),
        any::<bool>().prop_map(FieldValue::from),
        any::<i8>().prop_map(FieldValue::from),
        any::<u8>().prop_map(FieldValue::from),
        any::<i16>().prop_map(FieldValue::from),
        any::<u16>().prop_map(FieldValue::from),
        any::<i32>().prop_map(FieldValue::from),
        any::<u32>().prop_map(FieldValue::from),
        any::<i64>().prop_map(FieldValue::from),
        any::<f32>().prop_map(FieldValue::from),
        any::<f64>().prop_map(FieldValue::from),
        any::<u64>().prop_map(FieldValue::Timestamp),
        (any::<u8>(), any::<i32>()).prop_map(|(scale, value)| FieldValue::Decimal { scale, value }),
        short_octets().prop_map(FieldValue::from),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(FieldValue::from),
    ];
    plain.prop_recursive(3, 12, 4, |inner| {
        let array = prop::collection::vec(inner.clone(), 0..4);
        let entries = prop::collection::vec((text(), inner), 0..4);
        prop_oneof![
            array.prop_map(FieldValue::Array),
            entries.prop_map(|entries| FieldValue::Table(entries.into_iter().collect())),
        ]
    })
}

fn table() -> impl Strategy<Value = FieldTable> {
    let entries = prop::collection::vec((short_octets(), value()), 0..20);
    entries.prop_map(|entries| entries.into_iter().collect())
}

fn sample() -> impl Strategy<Value = Sample> {
    let octets = prop::collection::vec(any::<u8>(), 0..300);
    let short = prop::collection::vec(any::<u8>(), 0..256);
    let parts = (any::<u64>(), text(), octets, short, table());
    parts.prop_map(|(number, text, octets, short, table)| Sample {
        number,
        text,
        octets,
        short,
        table,
    })
}

pub(in crate::protocol::amqp) fn properties() -> impl Strategy<Value = Properties> {
    let texts = prop::collection::vec(prop::option::of(short_octets()), 10);
    let octets = (prop::option::of(any::<u8>()), prop::option::of(any::<u8>()));
    let others = (prop::option::of(table()), prop::option::of(any::<u64>()));
    (texts, octets, others).prop_map(|(texts, octets, (headers, timestamp))| {
        let mut texts = texts.into_iter();
        let mut text = || texts.next().flatten();
        let list = PropertyList {
            content_type: text(),
            content_encoding: text(),
            headers,
            delivery_mode: octets.0,
            priority: octets.1,
            correlation_id: text(),
            reply_to: text(),
            expiration: text(),
            message_id: text(),
            timestamp,
            message_type: text(),
            user_id: text(),
            app_id: text(),
            cluster_id: text(),
        };
        Properties::from(list)
    })
}

/// The names in a table, in their order, with those of the tables in it.
fn names(table: &FieldTable) -> Vec<String> {
    fn of_value(value: &FieldValue) -> Vec<String> {
        match value {
            FieldValue::Table(table) => names(table),
            FieldValue::Array(values) => values.iter().flat_map(of_value).collect(),
            _ => Vec::new(),
        }
    }
    let entries = table.iter();
    let entries = entries.map(|(name, value)| [vec![name.to_owned()], of_value(value)].concat());
    entries.flatten().collect()
}

/// The largest payload in these tests.
const MOST: u32 = 1 << 20;

fn one_frame(octets: &[u8]) -> Frame<'_> {
    let (frame, length) = frame::split(octets, MOST).unwrap().unwrap();
    assert_eq!(length, octets.len());
    frame
}

proptest! {
    #[test]
    fn every_method_comes_back(sample in sample(), channel: u16) {
        for method in Method::all(&sample) {
            let mut octets = Vec::new();
            frame::write_method(channel, &method, &mut octets);
            let frame = one_frame(&octets);
            prop_assert_eq!((frame.kind, frame.channel), (frame::METHOD, channel));
            prop_assert_eq!(&Method::read(frame.payload).unwrap(), &method);
        }
    }

    /// It comes with every message, and has a reader of its own.
    #[test]
    fn an_acknowledgement_is_read_as_any_other_method(
        tag: u64,
        bits: u8,
        change in prop::option::of((0..12usize, any::<u8>())),
        length in prop_oneof![Just(13), 0..15usize],
    ) {
        let mut payload = [&[0, 60, 0, 80][..], &tag.to_be_bytes(), &[bits, 0]].concat();
        if let Some((place, octet)) = change {
            payload[place] = octet;
        }
        payload.truncate(length);
        let read = match Method::read(&payload) {
            Ok(Method::BasicAck { delivery_tag, multiple }) => Some((delivery_tag, multiple)),
            _ => None,
        };
        prop_assert_eq!(Method::read_ack(&payload), read);
    }

    #[test]
    fn a_method_that_is_cut_off_or_goes_on_is_refused(sample in sample(), at: u16, more: u8) {
        for method in Method::all(&sample) {
            let mut octets = Vec::new();
            frame::write_method(1, &method, &mut octets);
            let payload = one_frame(&octets).payload;
            let cut = Method::read(&payload[..usize::from(at) % payload.len()]).unwrap_err();
            let is_cut = matches!(
                cut,
                MethodFault::NoId
                    | MethodFault::Malformed(_, Malformed::Length | Malformed::TableLength)
            );
            prop_assert!(is_cut, "{:?}", cut);
            let longer = [payload, &[more]].concat();
            let refused = MethodFault::Malformed(method.id(), Malformed::Length);
            prop_assert_eq!(Method::read(&longer), Err(refused));
        }
    }

    #[test]
    fn a_table_comes_back_in_its_order(table in table()) {
        let mut octets = Vec::new();
        Field::write(&table, &mut octets);
        prop_assert_eq!(octets.len() as u64, table.encoded_len());
        let mut from = Reader::new(&octets);
        let read: FieldTable = from.field().unwrap();
        prop_assert_eq!(names(&read), names(&table));
        prop_assert_eq!(read, table);
        prop_assert!(from.is_empty());
    }

    #[test]
    fn properties_come_back(properties in properties(), body_size: u64, at: u16) {
        let mut octets = Vec::new();
        write_header(body_size, &properties, &mut octets).unwrap();
        prop_assert_eq!(octets.len() as u64, 12 + properties.encoded_len());
        let header = ContentHeader::read(&octets).unwrap();
        prop_assert_eq!((header.class, header.weight), (BASIC, 0));
        prop_assert_eq!(header.body_size, body_size);
        prop_assert_eq!(header.properties().unwrap(), properties);
        let cut = &octets[..usize::from(at) % octets.len()];
        let cut = ContentHeader::read(cut).and_then(|header| header.properties());
        prop_assert!(cut.is_err());
    }

    /// Properties are checked when they come, and decoded later. Both find the same octets right.
    #[test]
    fn properties_that_pass_the_check_can_be_decoded(
        properties in properties(),
        cut: u16,
        changes in prop::collection::vec((any::<u16>(), any::<u8>()), 0..3),
    ) {
        let mut octets = Vec::new();
        write_header(0, &properties, &mut octets).unwrap();
        octets.drain(..12);
        for (place, octet) in changes {
            let place = usize::from(place) % octets.len();
            octets[place] = octet;
        }
        octets.truncate(octets.len() - usize::from(cut % 4).min(octets.len()));
        let checked = super::properties::check(Reader::new(&octets));
        let read = super::properties::read(Reader::new(&octets));
        prop_assert_eq!(checked.as_ref().err(), read.as_ref().err());
        if let (Ok(checked), Ok(read)) = (checked, read) {
            let reply_to = read.reply_to.as_ref();
            let is_for_publish = read.expiration.is_some()
                || read.user_id.is_some()
                || reply_to.is_some_and(|address| address.starts_with("amq."))
                || cc_bcc::is_selected_by_sender(read.headers.as_ref());
            let asked = Asked {
                delivery_mode: read.delivery_mode,
                priority: read.priority,
            };
            prop_assert_eq!(checked, match is_for_publish {
                true => Checked::ForPublish,
                false if octets.starts_with(&[0, 0]) => Checked::Empty,
                false => Checked::Plain(asked),
            });
        }
    }

    #[test]
    fn properties_that_nobody_changes_go_out_as_they_came(
        properties in properties(),
        is_looked_at: bool,
    ) {
        let mut came = Vec::new();
        write_header(7, &properties, &mut came).unwrap();
        let mut opaque = ContentHeader::read(&came).unwrap().properties().unwrap();
        if is_looked_at {
            prop_assert_eq!(&opaque, &properties);
        }
        if opaque.octets().is_some() {
            // These two are done at each publish.
            prop_assert!(cc_bcc::take_bcc(&mut opaque).is_empty());
            opaque.rewrite_expiration();
            prop_assert!(opaque.octets().is_some());
        }
        let mut went = Vec::new();
        write_header(7, &opaque, &mut went).unwrap();
        prop_assert_eq!(&went, &came);
        opaque.priority = Some(9);
        let (mut changed, mut expected) = (Vec::new(), Vec::new());
        write_header(7, &opaque, &mut changed).unwrap();
        write_header(7, &properties.priority(9), &mut expected).unwrap();
        prop_assert_eq!(changed, expected);
    }

    #[test]
    fn a_body_comes_back_in_frames_that_fit(
        body in prop::collection::vec(any::<u8>(), 0..2000),
        most in 1..600usize,
    ) {
        let mut octets = Vec::new();
        frame::write_body(7, &body, most, &mut octets);
        let (mut rest, mut parts) = (&octets[..], Vec::new());
        while let Some((frame, length)) = frame::split(rest, most as u32).unwrap() {
            prop_assert_eq!((frame.kind, frame.channel), (frame::BODY, 7));
            parts.extend_from_slice(frame.payload);
            rest = &rest[length..];
        }
        prop_assert_eq!(parts, body);
        prop_assert!(rest.is_empty());
    }

    #[test]
    fn random_octets_are_read_or_refused(
        octets in prop::collection::vec(any::<u8>(), 0..300),
        sample in sample(),
    ) {
        let _ = frame::split(&octets, MOST);
        let _ = table_of(&octets);
        if let Ok(header) = ContentHeader::read(&octets) {
            let _ = header.properties();
        }
        for method in Method::all(&sample) {
            let (class, number) = method.id();
            let ids = [class.to_be_bytes(), number.to_be_bytes()].concat();
            let _ = Method::read(&[ids, octets.clone()].concat());
        }
    }

    #[test]
    fn a_changed_octet_is_read_or_refused(sample in sample(), at: usize, octet: u8) {
        for method in Method::all(&sample) {
            let mut octets = Vec::new();
            frame::write_method(1, &method, &mut octets);
            let at = at % octets.len();
            octets[at] = octet;
            if let Ok(Some((frame, _))) = frame::split(&octets, MOST) {
                let _ = Method::read(frame.payload);
            }
        }
    }
}

#[test]
fn a_frame_that_is_not_whole_asks_for_more() {
    let mut octets = Vec::new();
    frame::write_heartbeat(&mut octets);
    frame::write_method(1, &Method::TxSelect {}, &mut octets);
    let whole = [frame::OVERHEAD, octets.len() - frame::OVERHEAD];
    for end in 0..whole[0] {
        assert_eq!(frame::split(&octets[..end], MOST), Ok(None));
    }
    let (first, length) = frame::split(&octets, MOST).unwrap().unwrap();
    assert_eq!((first.kind, length), (frame::HEARTBEAT, whole[0]));
    let (second, length) = frame::split(&octets[length..], MOST).unwrap().unwrap();
    assert_eq!((second.kind, length), (frame::METHOD, whole[1]));
}

#[test]
fn a_frame_that_is_too_large_or_ends_otherwise_is_refused() {
    let mut octets = Vec::new();
    frame::write_body(1, &[7; 100], 100, &mut octets);
    let too_large = FrameFault::TooLarge {
        kind: frame::BODY,
        size: 100,
        most: 99,
    };
    assert_eq!(frame::split(&octets[..7], 99), Err(too_large));
    let last = octets.len() - 1;
    octets[last] = 0x11;
    let fault = frame::split(&octets, 100).unwrap_err();
    assert!(matches!(fault, FrameFault::End { marker: 0x11, .. }));
}

/// As RabbitMQ 4.3.6 does it.
#[test]
fn a_text_that_is_too_long_is_cut_behind_a_character_and_ends_with_dots() {
    for (text, written) in [
        ("a".repeat(255), "a".repeat(255)),
        ("a".repeat(256), "a".repeat(252) + "..."),
        ("a".repeat(251) + "ééé", "a".repeat(251) + "..."),
    ] {
        let mut octets = Vec::new();
        text.as_str().write(&mut octets);
        assert_eq!(Reader::new(&octets).field::<&str>().unwrap(), written);
    }
}

#[test]
fn values_that_amqp_cannot_carry_are_not_written() {
    let long = "é".repeat(128);
    let deep = |depth| (1..depth).fold(FieldTable::new(), |it, _| FieldTable::from([("k", it)]));
    let deepest = Properties::new().headers(deep(FieldTable::MAX_DEPTH));
    assert_eq!(write_header(0, &deepest, &mut Vec::new()), Ok(()));
    for properties in [
        Properties::new().message_id(&long),
        Properties::new().header(&long, 1),
        Properties::new().headers(deep(FieldTable::MAX_DEPTH + 1)),
    ] {
        let written = write_header(0, &properties, &mut Vec::new());
        assert_eq!(written, Err(NotEncodable));
    }
}

#[test]
fn faulty_octets_have_the_codes_of_amqp() {
    for (table, fault, reply_code) in [
        (&b"\x01k?"[..], Malformed::FieldType(b'?'), 502),
        (b"\x01kI\0\0\0", Malformed::TableLength, 502),
        (b"\x01kS\0\0\0\x02a", Malformed::TableLength, 502),
        (b"\x05k", Malformed::TableLength, 502),
    ] {
        assert_eq!(table_of(table), Err(fault));
        assert_eq!(fault.reply_code(), reply_code);
    }
    assert_eq!(Malformed::Length.reply_code(), 501);
    assert_eq!(Malformed::Text.reply_code(), 501);
    let name: Result<&str, Malformed> = Reader::new(b"\x01\xff").field();
    assert_eq!(name, Err(Malformed::Text));
    // A property that class basic does not have.
    let header = [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let header = ContentHeader::read(&header).unwrap();
    assert_eq!(header.properties(), Err(Malformed::PropertyFlags));
}

#[test]
fn a_table_may_be_as_deep_as_the_broker_takes_and_no_deeper() {
    let nested = |depth: usize| {
        (1..depth).fold(Vec::new(), |inner: Vec<u8>, _| {
            let length = (inner.len() as u32).to_be_bytes();
            [b"\x01kF", &length[..], &inner].concat()
        })
    };
    assert!(table_of(&nested(FieldTable::MAX_DEPTH)).is_ok());
    let deeper = table_of(&nested(FieldTable::MAX_DEPTH + 1));
    assert_eq!(deeper, Err(Malformed::TooDeep));
    // No stack is needed for the octets of a frame.
    assert_eq!(table_of(&nested(10_000)), Err(Malformed::TooDeep));
}

#[test]
fn the_first_value_of_a_name_counts_and_both_letters_of_a_long_are_read() {
    let table = table_of(b"\x01ab\x01\x01ab\x02").unwrap();
    assert_eq!(table, FieldTable::from([("a", 1_i8)]));
    for letter in *b"lL" {
        let octets = [&[1, b'k', letter][..], &5_i64.to_be_bytes()].concat();
        assert_eq!(table_of(&octets), Ok(FieldTable::from([("k", 5_i64)])));
    }
}

#[test]
fn properties_that_a_publish_checks_are_decoded_at_once_and_others_stay_octets() {
    let are_octets = |properties: Properties| {
        let mut octets = Vec::new();
        write_header(7, &properties, &mut octets).unwrap();
        let read = ContentHeader::read(&octets).unwrap().properties().unwrap();
        assert_eq!(read, properties);
        read.octets().is_some()
    };
    let plain = || Properties::new().message_id("m").reply_to("answers");
    assert!(are_octets(plain()));
    assert!(are_octets(plain().header("cc", 1).priority(3)));
    for checked in [
        plain().reply_to("amq.rabbitmq.reply-to"),
        plain().expiration("1"),
        plain().user_id("guest"),
        plain().header("CC", FieldValue::Array(vec!["k".into()])),
        plain().header("BCC", 1),
    ] {
        assert!(!are_octets(checked));
    }
}
