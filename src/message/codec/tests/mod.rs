mod formats;

use super::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct Task {
    id: u32,
}

#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct Line(String);

#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct Blob(Vec<u8>);

fn round_trip<T: Serialize + DeserializeOwned>(codec: &dyn Codec, value: &T) -> (Vec<u8>, T) {
    let octets = codec.encode(Value::new(value)).unwrap();
    let back = decode_with(codec, &octets).unwrap();
    (octets, back)
}

#[test]
fn every_codec_reads_what_it_wrote() {
    assert_eq!(
        round_trip(&Json, &Task { id: 7 }),
        (br#"{"id":7}"#.to_vec(), Task { id: 7 })
    );
    assert_eq!(
        round_trip(&Text, &Line("hi".into())),
        (b"hi".to_vec(), Line("hi".into()))
    );
    assert_eq!(
        round_trip(&Raw, &Blob(vec![0, 255])),
        (vec![0, 255], Blob(vec![0, 255]))
    );
}

#[test]
fn json_keeps_the_last_digit_of_a_float() {
    let float = 9.859165821892252e299_f64;
    assert_eq!(round_trip(&Json, &float).1, float);
}

#[test]
fn text_and_raw_refuse_what_is_neither() {
    assert!(Text.encode(Value::new(&Task { id: 1 })).is_err());
    assert!(Raw.encode(Value::new(&Task { id: 1 })).is_err());
    assert!(decode_with::<Line>(&Text, &[0xff]).is_err());
    assert!(decode_with::<Task>(&Raw, b"{}").is_err());
}

#[test]
fn json_refuses_trailing_characters() {
    let error = decode_with::<Task>(&Json, br#"{"id":7} x"#).unwrap_err();
    assert_eq!(error.content_type(), "application/json");
}

#[test]
fn content_types_are_found_without_their_parameters_and_case() {
    let codecs = Codecs::default();
    assert!(codecs.accepts("application/json; charset=utf-8"));
    assert!(codecs.accepts("Text/Plain;charset=latin1"));
    assert!(!codecs.accepts("application/jsonx"));
    assert!(
        is_text("text/html; charset=utf-8")
            && is_text("TEXT/x")
            && !is_text("tex")
            && !is_text("application/text")
    );
}

#[test]
fn accept_takes_names_and_content_types_and_refuses_strangers() {
    let codecs = Codecs::default()
        .accept(["json", "application/json", "text/plain"])
        .unwrap();
    assert_eq!(
        codecs.content_types().collect::<Vec<_>>(),
        ["application/json", "text/plain"]
    );
    let error = Codecs::default().accept(["pickle"]).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("application/json, text/plain, application/octet-stream"),
        "{error}"
    );
}

#[test]
fn an_unknown_content_type_is_refused_with_the_accepted_ones() {
    let error = Codecs::default()
        .decode::<Task>(b"{}", Some("application/x-python-serialize"))
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("application/x-python-serialize")
            && text.contains("accepted: application/json"),
        "{text}"
    );
}

#[test]
fn a_message_without_a_content_type_is_read_by_the_first_codec() {
    assert_eq!(
        Codecs::default()
            .decode::<Task>(br#"{"id":1}"#, None)
            .unwrap(),
        Task { id: 1 }
    );
    assert!(Codecs::none().decode::<Task>(b"{}", None).is_err());
}

#[test]
fn a_codec_takes_the_place_of_one_with_the_same_content_type() {
    assert_eq!(Codecs::default().with(Json).content_types().count(), 3);
}

#[test]
fn only_a_restricted_set_refuses_a_native_message() {
    assert!(Codecs::default().check(Some("application/msgpack")).is_ok());
    let json = Codecs::default().accept(["json"]).unwrap();
    assert!(json.check(Some("application/msgpack")).is_err());
    assert!(json.check(Some("application/json")).is_ok());
    assert!(json.check(None).is_ok());
}

#[test]
fn a_codec_that_reads_nothing_or_twice_does_not_panic() {
    #[derive(Debug)]
    struct Odd(usize);
    impl Codec for Odd {
        fn content_type(&self) -> &str {
            "odd"
        }
        fn encode(&self, _: Value<'_>) -> Result<Vec<u8>, CodecError> {
            Ok(Vec::new())
        }
        fn decode(&self, octets: &[u8], reader: &mut Reader<'_>) -> Result<(), CodecError> {
            (0..self.0).try_for_each(|_| Json.decode(octets, reader))
        }
    }
    assert!(decode_with::<u32>(&Odd(0), b"1").is_err());
    assert_eq!(decode_with::<u32>(&Odd(2), b"1").unwrap(), 1);
    assert_eq!(Odd(0).name(), "odd");
}
