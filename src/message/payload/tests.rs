use super::{lent::Lender, *};
use crate::message::codec::Json;
use serde::{Deserialize, Serialize};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Task {
    id: u32,
    name: String,
}

fn task() -> Task {
    Task {
        id: 7,
        name: "seven".into(),
    }
}

/// 48 bytes, with a niche in the string.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct FortyEight {
    name: String,
    numbers: [u64; 3],
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct OverAligned(u128);

/// Whether the value is stored inside the body: whether its address is there.
fn is_inline<T: Payload>(body: &Body) -> bool {
    let start = std::ptr::from_ref(body).addr();
    let value = std::ptr::from_ref(body.downcast_ref::<T>().unwrap()).addr();
    (start..start + size_of::<Body>()).contains(&value)
}

fn refused<T: Payload>(content_type: &str) -> String {
    T::decode(b"x", Some(content_type), &Codecs::default())
        .err()
        .unwrap()
        .to_string()
}

#[test]
fn a_body_is_56_bytes_and_may_cross_threads() {
    fn crosses<T: Send + Sync + 'static>() {}
    crosses::<Body>();
    assert_eq!(size_of::<Body>(), 56);
}

#[test]
fn a_value_of_48_bytes_with_a_niche_or_of_40_without_travels_inside() {
    assert_eq!(size_of::<FortyEight>(), 48);
    assert!(is_inline::<FortyEight>(&Body::new(FortyEight::default())));
    assert!(is_inline::<[u64; 5]>(&Body::new([1_u64; 5])));
    assert!(is_inline::<()>(&Body::new(())));
    assert!(is_inline::<String>(&Body::new(String::from("text"))));
    assert!(is_inline::<Bytes>(&Body::new(Bytes::from("text"))));
    assert!(!is_inline::<[u64; 6]>(&Body::new([1_u64; 6])));
    assert!(!is_inline::<[u64; 20]>(&Body::new([1_u64; 20])));
    assert!(!is_inline::<OverAligned>(&Body::new(OverAligned(1))));
}

#[test]
fn every_kind_of_value_comes_back_by_value() {
    fn back<T: Payload + Clone + PartialEq + std::fmt::Debug>(value: T) {
        let body = Body::new(value.clone());
        assert_eq!(body.downcast_ref::<T>(), Some(&value));
        assert_eq!(body.into_inner::<T>().unwrap().unwrap(), value);
    }
    back(task());
    back(FortyEight::default());
    back([1_u64, 2, 3, 4, 5]);
    back([7_u64; 20]);
    back(OverAligned(u128::MAX));
    back(String::from("text"));
    back(vec![1_u8, 2]);
    back(Bytes::from("bytes"));
    back(());
}

#[test]
fn a_body_of_another_type_is_given_back() {
    let body = Body::new(task());
    assert!(body.downcast_ref::<String>().is_none());
    let body = body.into_inner::<String>().unwrap_err();
    assert_eq!(body.into_inner::<Task>().unwrap().unwrap(), task());
}

#[test]
fn sharing_is_in_place_and_the_last_holder_gets_the_value() {
    for value in [
        task(),
        Task {
            id: 8,
            name: String::new(),
        },
    ] {
        let mut first = Body::new(value.clone());
        let second = first.share().unwrap();
        let third = first.share().unwrap();
        assert!(std::ptr::eq(
            first.downcast_ref::<Task>().unwrap(),
            second.downcast_ref::<Task>().unwrap()
        ));
        drop(third);
        let shared = second.into_inner::<Task>().unwrap().unwrap_err();
        assert_eq!(*shared, value);
        drop(shared);
        assert_eq!(first.into_inner::<Task>().unwrap().unwrap(), value);
    }
    let mut octets = Body::encoded(Bytes::from("abc"));
    assert_eq!(
        octets
            .share()
            .unwrap()
            .into_inner::<Bytes>()
            .unwrap()
            .unwrap(),
        "abc"
    );
}

#[test]
fn a_payload_is_dropped_exactly_once_in_every_form() {
    static DROPS: AtomicUsize = AtomicUsize::new(0);
    #[derive(Serialize, Deserialize)]
    struct Counted([u64; 2]);
    impl Drop for Counted {
        fn drop(&mut self) {
            DROPS.fetch_add(1, Ordering::Relaxed);
        }
    }
    drop(Body::new(Counted([0; 2])));
    assert_eq!(DROPS.load(Ordering::Relaxed), 1);
    let mut first = Body::new(Counted([0; 2]));
    let second = first.share().unwrap();
    drop(first);
    assert_eq!(DROPS.load(Ordering::Relaxed), 1);
    drop(second);
    assert_eq!(DROPS.load(Ordering::Relaxed), 2);
    drop(Body::new(Counted([0; 2])).into_inner::<Counted>());
    assert_eq!(DROPS.load(Ordering::Relaxed), 3);
    drop(Body::new(Local(Counted([0; 2]))));
    assert_eq!(DROPS.load(Ordering::Relaxed), 4);
}

#[test]
fn text_and_bytes_count_their_length_and_other_types_their_size() {
    assert_eq!(Body::new(String::from("héé")).size(), 5);
    assert_eq!(Body::new(vec![1_u8; 9]).size(), 9);
    assert_eq!(Body::new(Bytes::from("abc")).size(), 3);
    assert_eq!(Body::encoded(Bytes::from("abc")).size(), 3);
    assert_eq!(Body::new(task()).size(), size_of::<Task>());
    assert_eq!(Body::new(Local([0_u8; 3])).size(), 3);
    let mut shared = Body::new(String::from("abcd"));
    assert_eq!(shared.share().unwrap().size(), 4);
}

#[test]
fn text_and_bytes_are_encoded_as_they_are_and_the_rest_by_the_codec() {
    assert_eq!(
        Body::new(String::from("a\"b")).encode(&Json).unwrap(),
        "a\"b"
    );
    assert_eq!(Body::new(vec![0_u8, 255]).encode(&Json).unwrap(), [0, 255]);
    assert_eq!(
        Body::encoded(Bytes::from("{}")).encode(&Json).unwrap(),
        "{}"
    );
    let mut body = Body::new(task());
    assert!(!body.is_encoded());
    assert_eq!(body.encode(&Json).unwrap(), r#"{"id":7,"name":"seven"}"#);
    assert_eq!(
        body.share().unwrap().encode(&Json).unwrap(),
        r#"{"id":7,"name":"seven"}"#
    );
    assert!(
        Body::new(Bytes::default()).is_encoded() && Body::encoded(Bytes::default()).is_encoded()
    );
}

#[test]
fn the_content_type_is_that_of_the_payload_or_of_the_codec() {
    assert_eq!(
        Body::new(String::new()).content_type(&Json),
        Some("text/plain")
    );
    assert_eq!(
        Body::new(Vec::<u8>::new()).content_type(&Json),
        Some("application/octet-stream")
    );
    assert_eq!(
        Body::new(Bytes::default()).content_type(&Json),
        Some("application/octet-stream")
    );
    assert_eq!(
        Body::new(task()).content_type(&Json),
        Some("application/json")
    );
    assert_eq!(Task::content_type(&Json), Some("application/json"));
    assert_eq!(Body::new(Local(task())).content_type(&Json), None);
}

#[test]
fn a_consumer_of_another_type_decodes() {
    let codecs = Codecs::default();
    let body = Body::new(task());
    let json = Some("application/json");
    assert!(
        Task::open(&body, &Json, json, None, &codecs)
            .unwrap()
            .is_none()
    );
    let value = serde_json::Value::open(&body, &Json, json, None, &codecs)
        .unwrap()
        .unwrap();
    assert_eq!(value["id"], 7);
    assert_eq!(
        **Bytes::open(&body, &Json, json, None, &codecs)
            .unwrap()
            .unwrap(),
        *br#"{"id":7,"name":"seven"}"#
    );
    assert_eq!(
        Vec::<u8>::open(&body, &Json, json, None, &codecs)
            .unwrap()
            .unwrap()
            .len(),
        23
    );
    assert!(u32::open(&body, &Json, json, None, &codecs).is_err());
    assert_eq!(body.into_inner::<Task>().unwrap().unwrap(), task());
}

#[test]
fn text_is_read_from_any_text_and_from_json_and_bytes_from_anything() {
    let codecs = Codecs::default();
    assert_eq!(
        String::decode(b"hi", Some("text/html; charset=utf-8"), &codecs).unwrap(),
        "hi"
    );
    assert_eq!(String::decode(b"hi", None, &codecs).unwrap(), "hi");
    assert_eq!(
        String::decode(br#""hi""#, Some("application/json"), &codecs).unwrap(),
        "hi"
    );
    assert!(String::decode(&[0xff], Some("text/plain"), &codecs).is_err());
    assert_eq!(
        Vec::<u8>::decode(b"hi", Some("image/png"), &codecs).unwrap(),
        b"hi"
    );
    assert_eq!(
        Bytes::decode(b"hi", Some("image/png"), &codecs).unwrap(),
        "hi"
    );
    let text = refused::<Task>("image/png");
    assert!(
        text.contains("image/png") && text.contains("application/json, text/plain"),
        "{text}"
    );
    assert!(refused::<String>("image/png").contains("accepted:"));
}

#[test]
fn a_restricted_set_holds_for_native_messages_text_and_bytes_too() {
    let json = Codecs::default().accept(["json"]).unwrap();
    assert!(
        Task::open(
            &Body::new(task()),
            &Json,
            Some("application/msgpack"),
            None,
            &json
        )
        .is_err()
    );
    assert!(
        Task::open(
            &Body::new(task()),
            &Json,
            Some("application/json"),
            None,
            &json
        )
        .unwrap()
        .is_none()
    );
    assert!(
        String::open(
            &Body::new(String::new()),
            &Json,
            Some("text/plain"),
            None,
            &json
        )
        .is_err()
    );
    assert!(String::decode(b"", Some("text/html"), &json).is_err());
    assert!(Bytes::decode(b"", Some("image/png"), &json).is_err());
}

#[test]
fn a_local_is_taken_out_and_put_back() {
    let body = Body::new(Local(Box::new(|| 42) as Box<dyn Fn() -> i32 + Send>));
    type Job = Local<Box<dyn Fn() -> i32 + Send>>;
    assert!(body.downcast_ref::<Job>().is_none());
    let codecs = Codecs::default().accept(["json"]).unwrap();
    let job = Job::open(&body, &Json, None, None, &codecs)
        .unwrap()
        .unwrap();
    assert_eq!(job(), 42);
    // While it is taken out, no other call gets it.
    assert!(Job::open(&body, &Json, None, None, &codecs).is_err());
    Job::restore(&body, job);
    assert_eq!(
        Job::open(&body, &Json, None, None, &codecs)
            .unwrap()
            .unwrap()(),
        42
    );
    assert!(body.into_inner::<Job>().is_err());
    assert_eq!(
        Body::new(Local(5))
            .into_inner::<Local<i32>>()
            .unwrap()
            .unwrap(),
        Local(5)
    );
}

#[test]
fn a_local_is_neither_shared_nor_encoded_nor_read_as_something_else() {
    let mut body = Body::new(Local(task()));
    assert!(body.share().unwrap_err().to_string().contains("Local<"));
    assert!(
        body.encode(&Json)
            .unwrap_err()
            .to_string()
            .contains("Task>` cannot be encoded")
    );
    assert!(Task::open(&body, &Json, None, None, &Codecs::default()).is_err());
    let other = Local::<u8>::open(&body, &Json, None, None, &Codecs::default())
        .unwrap_err()
        .to_string();
    assert!(
        other.contains("Task") && other.contains("Local<u8>"),
        "{other}"
    );
    assert_eq!(body.into_inner::<Local<Task>>().unwrap().unwrap().0, task());
}

#[test]
fn a_local_arc_is_shared_but_not_encoded() {
    let greet: Arc<dyn Fn() -> i32 + Send + Sync> = Arc::new(|| 1);
    type Greet = LocalArc<dyn Fn() -> i32 + Send + Sync>;
    let mut body = Body::new(LocalArc(Arc::clone(&greet)));
    let second = body.share().unwrap();
    assert_eq!(second.downcast_ref::<Greet>().unwrap()(), 1);
    assert!(
        Greet::open(&second, &Json, None, None, &Codecs::none())
            .unwrap()
            .is_none()
    );
    assert!(second.encode(&Json).is_err());
    drop((greet, body));
    let last = second.into_inner::<Greet>().unwrap().unwrap().into_inner();
    assert_eq!(Arc::strong_count(&last), 1);
}

#[test]
fn a_failing_serializer_is_an_error() {
    use std::collections::HashMap;
    let body = Body::new(HashMap::from([((1_u8, 2_u8), 3_u8)]));
    assert!(body.encode(&Json).is_err());
}

#[test]
fn a_body_whose_value_was_taken_out_keeps_its_size_and_its_type() {
    let mut body = Body::new("hello".to_owned());
    let copied = |_: &Body| unreachable!("nothing shares it");
    assert_eq!(body.take_out::<String>(None, copied).unwrap(), "hello");
    assert!(body.is_gone());
    assert_eq!(
        (body.size(), body.type_name()),
        (5, "alloc::string::String")
    );
    assert_eq!(body.content_type(&Json), Some("text/plain"));
    assert!(!body.is_shareable());
    assert!(body.downcast_ref::<String>().is_none() && !body.holds::<String>());
    assert!(body.encode(&Json).is_err() && body.share().unwrap().is_gone());
    assert!(body.into_inner::<String>().is_err());
}

#[test]
fn a_shared_value_is_taken_out_as_a_copy_until_the_last_one_moves() {
    let mut first = Body::new(task());
    let mut second = first.share().unwrap();
    let refused = || CodecError::new("none", "no copy");
    assert!(first.take_out::<Task>(None, |_| Err(refused())).is_err());
    assert_eq!(first.downcast_ref::<Task>(), Some(&task()));
    let copied = first.take_out::<Task>(None, |body| {
        let octets = body.encode(&Json)?;
        Task::decode(&octets, None, &Codecs::default())
    });
    assert_eq!(copied.unwrap(), task());
    assert!(first.is_gone());
    let moved = second.take_out::<Task>(None, |_| Err(refused()));
    assert_eq!(moved.unwrap(), task());
}

#[test]
fn a_value_outside_of_its_body_is_taken_out_with_it() {
    let mut body = Body::encoded(Bytes::from("7"));
    let value = body.take_out::<u32>(Some(Box::new(7)), |_| unreachable!("it is there"));
    assert_eq!(value.unwrap(), 7);
    assert_eq!((body.is_gone(), body.size()), (true, 1));
}

/// Has one payload to lend.
struct OneBody(Body);

impl Lender for OneBody {
    fn body(&self, _index: u32) -> Option<&Body> {
        Some(&self.0)
    }
}

#[test]
fn a_form_that_can_be_shared_gives_handles_and_no_other_does() {
    fn check<T: Payload>(make: impl Fn() -> Body, when_full: bool, when_empty: bool) {
        let is_shareable = |body: &mut Body| {
            let can_be = body.make_shareable().is_ok();
            assert_eq!(can_be, body.another().is_some(), "{body:?}");
            can_be
        };
        let mut body = make();
        assert_eq!(is_shareable(&mut body), when_full, "{body:?}");
        let mut body = make();
        drop(body.give::<T>());
        assert_eq!(is_shareable(&mut body), when_empty, "{body:?} is empty");
    }
    let shared = |mut body: Body| {
        drop(body.share().unwrap());
        body
    };
    let gone = |mut body: Body| {
        drop(body.take_out::<u8>(None, |_| unreachable!("nothing shares it")));
        body
    };
    check::<u8>(|| Body::new(7_u8), true, false);
    check::<Task>(|| Body::new(task()), true, false);
    check::<[u64; 20]>(|| Body::new([7_u64; 20]), true, false);
    check::<OverAligned>(|| Body::new(OverAligned(7)), true, false);
    check::<u8>(|| shared(Body::new(7_u8)), true, false);
    check::<Bytes>(|| Body::encoded(Bytes::from("7")), true, true);
    check::<Bytes>(|| Body::untyped(Bytes::from("7")), true, true);
    check::<Local<u8>>(|| Body::new(Local(7_u8)), false, false);
    let arc = || LocalArc::new(Arc::new(7_u8));
    check::<LocalArc<u8>>(|| Body::new(arc()), true, false);
    check::<u8>(|| gone(Body::new(7_u8)), true, true);
    let lender: Arc<dyn Lender> = Arc::new(OneBody(Body::new(7_u8)));
    check::<u8>(|| Body::lent(&lender, 0), true, true);
}
