//! The codecs of other formats than JSON, and the compressions: they read what they wrote and what
//! other programs wrote, and refuse everything else.

#![cfg(any(
    feature = "cbor",
    feature = "gzip",
    feature = "msgpack",
    feature = "zstd"
))]

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::super::*;
use crate::model::{bytes::Bytes, test_cases::cases};

/// One of everything that serde knows.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Everything {
    unit: (),
    flag: bool,
    small: i8,
    large: i64,
    unsigned: u64,
    float: f64,
    letter: char,
    text: String,
    octets: Bytes,
    maybe: Option<u32>,
    pair: (u8, String),
    list: Vec<Choice>,
    by_name: BTreeMap<String, i32>,
    by_number: BTreeMap<u16, bool>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
enum Choice {
    Nothing,
    One(u32),
    Two(i32, String),
    Named { x: f32, inner: Option<Box<Choice>> },
}

fn choice() -> impl Strategy<Value = Choice> {
    let leaf = prop_oneof![
        Just(Choice::Nothing),
        any::<u32>().prop_map(Choice::One),
        (any::<i32>(), ".*").prop_map(|(number, text)| Choice::Two(number, text)),
    ];
    leaf.prop_recursive(4, 8, 1, |inner| {
        (-1e6..1e6_f32, prop::option::of(inner)).prop_map(|(x, inner)| Choice::Named {
            x,
            inner: inner.map(Box::new),
        })
    })
}

prop_compose! {
    fn everything()(
        (flag, small, large, unsigned) in any::<(bool, i8, i64, u64)>(),
        float in -1e300..1e300_f64,
        (letter, text) in (any::<char>(), ".{0,40}"),
        octets in prop::collection::vec(any::<u8>(), 0..300),
        maybe in any::<Option<u32>>(),
        pair in (any::<u8>(), "[a-z]*"),
        list in prop::collection::vec(choice(), 0..5),
        by_name in prop::collection::btree_map("[a-z]{0,5}", any::<i32>(), 0..4),
        by_number in prop::collection::btree_map(any::<u16>(), any::<bool>(), 0..4),
    ) -> Everything {
        Everything {
            unit: (), flag, small, large, unsigned, float, letter, text,
            octets: Bytes::from(octets), maybe, pair, list, by_name, by_number,
        }
    }
}

/// The codecs whose features are on.
fn codecs() -> Vec<Box<dyn Codec>> {
    vec![
        #[cfg(feature = "msgpack")]
        Box::new(MsgPack),
        #[cfg(feature = "cbor")]
        Box::new(Cbor),
        #[cfg(feature = "gzip")]
        Box::new(Gzip::new(Json)),
        #[cfg(feature = "gzip")]
        Box::new(Gzip::new(Json).level(0)),
        #[cfg(feature = "zstd")]
        Box::new(Zstd::new(Json)),
        #[cfg(feature = "zstd")]
        Box::new(Zstd::new(Json).level(1)),
        #[cfg(all(feature = "gzip", feature = "msgpack"))]
        Box::new(Gzip::new(MsgPack).level(99)),
        #[cfg(all(feature = "zstd", feature = "cbor"))]
        Box::new(Zstd::new(Cbor).level(-7)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..cases() })]

    #[test]
    fn a_codec_reads_what_it_wrote(value in everything()) {
        for codec in codecs() {
            let octets = codec.encode(Value::new(&value)).unwrap();
            let read: Everything = decode_with(&*codec, &octets).unwrap();
            prop_assert_eq!(&read, &value, "{:?}", codec);
        }
    }

    #[test]
    fn a_consumer_undoes_the_compression_before_the_codec_decodes(value in everything()) {
        for codec in codecs() {
            let octets = codec.encode(Value::new(&value)).unwrap();
            let (content_type, encoding) = (codec.content_type(), codec.content_encoding());
            let set = Codecs::default();
            #[cfg(feature = "msgpack")]
            let set = set.with(MsgPack);
            #[cfg(feature = "cbor")]
            let set = set.with(Cbor);
            let octets = set.undo_compression(&octets, Some(content_type), encoding).unwrap();
            let read: Everything = set.decode(&octets, Some(content_type)).unwrap();
            prop_assert_eq!(&read, &value, "{:?}", codec);
            // A set may have the wrapper itself.
            let read: Everything = decode_with(&*codec, &octets).unwrap();
            prop_assert_eq!(&read, &value, "{:?}", codec);
        }
    }

    #[test]
    fn octets_that_no_codec_wrote_are_an_error_or_a_value(
        octets in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        for codec in codecs() {
            let _ = decode_with::<Everything>(&*codec, &octets);
            let _ = decode_with::<serde_json::Value>(&*codec, &octets);
        }
        for encoding in ["gzip", "zstd"] {
            let _ = Codecs::default().undo_compression(&octets, None, Some(encoding));
        }
    }

    #[test]
    fn a_part_of_what_a_codec_wrote_is_an_error(
        value in everything(),
        cut in any::<prop::sample::Index>(),
    ) {
        for codec in codecs() {
            let octets = codec.encode(Value::new(&value)).unwrap();
            let part = &octets[..cut.index(octets.len())];
            prop_assert!(decode_with::<Everything>(&*codec, part).is_err(), "{:?}", codec);
        }
    }
}

#[test]
fn octets_behind_the_value_are_an_error() {
    for codec in codecs() {
        let mut octets = codec.encode(Value::new(&7_u32)).unwrap();
        octets.push(0);
        assert!(decode_with::<u32>(&*codec, &octets).is_err(), "{codec:?}");
    }
}

/// A list in a list in a list, and so on.
#[derive(Debug, Deserialize, Serialize)]
struct Nest(Vec<Nest>);

#[test]
fn deep_nesting_is_an_error() {
    #[cfg(feature = "msgpack")]
    assert!(decode_with::<Nest>(&MsgPack, &[0x91; 100_000]).is_err());
    #[cfg(feature = "cbor")]
    assert!(decode_with::<Nest>(&Cbor, &[0x81; 100_000]).is_err());
    #[cfg(feature = "cbor")]
    assert!(decode_with::<serde_json::Value>(&Cbor, &[0x81; 100_000]).is_err());
    #[cfg(feature = "cbor")]
    assert!(decode_with::<u32>(&Cbor, &[0xc1; 100_000]).is_err());
}

#[test]
fn a_length_that_is_only_claimed_takes_no_memory() {
    #[cfg(feature = "msgpack")]
    for octets in [
        &[0xdd, 0xff, 0xff, 0xff, 0xff][..],
        &[0xc6, 0xff, 0xff, 0xff, 0xff],
    ] {
        assert!(decode_with::<Vec<u64>>(&MsgPack, octets).is_err());
        assert!(decode_with::<Bytes>(&MsgPack, octets).is_err());
    }
    #[cfg(feature = "cbor")]
    for first in [0x9b, 0x5b, 0x7b] {
        let octets = [first, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert!(decode_with::<Vec<u64>>(&Cbor, &octets).is_err());
        assert!(decode_with::<Bytes>(&Cbor, &octets).is_err());
        assert!(decode_with::<String>(&Cbor, &octets).is_err());
    }
}

/// The value that other programs wrote, in the tests below.
#[cfg(any(feature = "cbor", feature = "msgpack"))]
#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Foreign {
    id: u32,
    name: String,
    raw: Bytes,
    list: (i32, i32, f64, Option<u32>, bool),
}

#[cfg(any(feature = "cbor", feature = "msgpack"))]
fn foreign() -> Foreign {
    Foreign {
        id: 7,
        name: "Ada".into(),
        raw: Bytes::from(&[0, 255][..]),
        list: (1, -2, 3.5, None, true),
    }
}

#[cfg(feature = "msgpack")]
#[test]
fn msgpack_has_the_names_and_the_octets_of_kombu() {
    // kombu 5.7.0: `registry.dumps({...}, serializer="msgpack")`.
    let octets = b"\x84\xa2id\x07\xa4name\xa3Ada\xa3raw\xc4\x02\x00\xff\
        \xa4list\x95\x01\xfe\xcb@\x0c\x00\x00\x00\x00\x00\x00\xc0\xc3";
    assert_eq!(decode_with::<Foreign>(&MsgPack, octets).unwrap(), foreign());
    assert_eq!(MsgPack.encode(Value::new(&foreign())).unwrap(), octets);
    assert_eq!(
        (
            MsgPack.name(),
            MsgPack.content_type(),
            MsgPack.content_encoding()
        ),
        ("msgpack", "application/x-msgpack", Some("binary"))
    );
}

#[cfg(feature = "cbor")]
#[test]
fn cbor_reads_what_another_program_wrote() {
    // cbor2 of Python: `dumps({...})`, and `dumps({...}, canonical=True)` with its short floats.
    let plain =
        b"\xa4bid\x07dnamecAdacrawB\x00\xffdlist\x85\x01!\xfb@\x0c\x00\x00\x00\x00\x00\x00\xf6\xf5";
    let canonical = b"\xa4bid\x07crawB\x00\xffdlist\x85\x01!\xf9C\x00\xf6\xf5dnamecAda";
    for octets in [&plain[..], canonical] {
        assert_eq!(decode_with::<Foreign>(&Cbor, octets).unwrap(), foreign());
    }
    assert_eq!(Cbor.encode(Value::new(&foreign())).unwrap(), plain);
    assert_eq!(
        (Cbor.name(), Cbor.content_type(), Cbor.content_encoding()),
        ("cbor", "application/cbor", Some("binary"))
    );
}

/// Undoes the compression of octets that have this content encoding.
#[cfg(any(feature = "gzip", feature = "zstd"))]
fn undo(octets: &[u8], encoding: &str, most: u64) -> Result<Vec<u8>, CodecError> {
    let codecs = Codecs::default().max_decompressed(most);
    let undone = codecs.undo_compression(octets, Some("application/json"), Some(encoding));
    undone.map(Cow::into_owned)
}

#[cfg(feature = "zstd")]
#[test]
fn zstd_reads_what_another_program_wrote() {
    // kombu 5.7.0: `compress(b"hello hello hello", "zstd")`.
    let octets = b"\x28\xb5\x2f\xfd\x20\x11\x65\x00\x00\x30hello \x01\x00\x31\x4a\x11";
    assert_eq!(undo(octets, "ZSTD", 17).unwrap(), b"hello hello hello");
    assert_eq!(
        undo(octets, "zstd", 16).unwrap_err().exceeded_limit(),
        Some(16)
    );
}

#[cfg(feature = "gzip")]
#[test]
fn gzip_reads_all_members_and_refuses_what_is_behind_them() {
    // `printf hello | gzip -n`, twice.
    let member = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xcb\x48\xcd\xc9\xc9\x07\x00\x86\xa6\x10\x36\x05\x00\x00\x00";
    let both = [&member[..], member].concat();
    for encoding in ["gzip", "x-gzip", " GZip "] {
        assert_eq!(undo(&both, encoding, 10).unwrap(), b"hellohello");
    }
    assert_eq!(
        undo(&both, "gzip", 9).unwrap_err().exceeded_limit(),
        Some(9)
    );
    assert!(undo(&[&both[..], b"!"].concat(), "gzip", 100).is_err());
    let mut wrong = *member;
    wrong[19] ^= 1; // the checksum
    let error = undo(&wrong, "gzip", 100).unwrap_err();
    assert_eq!(
        (error.content_type(), error.exceeded_limit()),
        ("application/json", None)
    );
}

#[cfg(any(feature = "gzip", feature = "zstd"))]
#[test]
fn a_small_message_that_decompresses_to_a_large_one_meets_the_limit() {
    let zeros = "0".repeat(1 << 20);
    let compressed: Vec<(Box<dyn Codec>, &str)> = vec![
        #[cfg(feature = "gzip")]
        (Box::new(Gzip::new(Text)), "gzip"),
        #[cfg(feature = "zstd")]
        (Box::new(Zstd::new(Text)), "zstd"),
    ];
    for (codec, encoding) in compressed {
        let octets = codec.encode(Value::new(&zeros)).unwrap();
        assert!(octets.len() < 4_000, "{}", octets.len());
        assert_eq!(undo(&octets, encoding, 1 << 20).unwrap().len(), 1 << 20);
        let error = undo(&octets, encoding, (1 << 20) - 1).unwrap_err();
        assert_eq!(error.exceeded_limit(), Some((1 << 20) - 1));
    }
}

#[test]
fn only_the_name_of_a_compression_is_one() {
    for other in ["utf-8", "binary", "br", "gzip2", "", "gzip, zstd"] {
        let octets = Codecs::default().undo_compression(b"\x1f\x8b", None, Some(other));
        assert_eq!(&*octets.unwrap(), b"\x1f\x8b", "{other}");
    }
    assert!(is_compression("gzip") && is_compression("zstd") && !is_compression("utf-8"));
}
