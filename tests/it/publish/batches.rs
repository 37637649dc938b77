//! Publishing many messages at once.

use leveret::{Broker, Consumer, Overflow, Result};

use crate::common::{queue, rest};

/// The numbers of the ready messages, in order.
fn left(broker: &Broker) -> Vec<u32> {
    rest(broker, "q")
        .into_iter()
        .map(|(number, _)| number)
        .collect()
}

#[test]
fn a_batch_longer_than_a_run_arrives_whole_and_in_order() {
    let broker = Broker::new();
    let producer = broker.producer::<u32>(&queue()).unwrap();
    let mut results = producer.publish_batch(0..1_000);
    assert_eq!(results.len(), 1_000);
    assert!(results.all(|result| result.unwrap().routed == 1));
    assert_eq!(left(&broker), (0..1_000).collect::<Vec<u32>>());
}

#[test]
fn each_payload_of_a_batch_to_a_deleted_queue_comes_back() {
    let broker = Broker::new();
    let producer = broker.producer::<String>(&queue()).unwrap();
    producer.publish("first".to_owned()).unwrap();
    broker.delete(&queue()).unwrap();
    let batch = ["a", "b", "c"].map(str::to_owned);
    let back = producer.publish_batch(batch.clone());
    let back: Vec<_> = back
        .map(|result| result.unwrap_err().into_parts())
        .collect();
    assert!(
        back.iter()
            .all(|(error, _)| error.reply_code() == Some(312))
    );
    assert!(
        back.into_iter()
            .filter_map(|(_, payload)| payload)
            .eq(batch)
    );
}

#[test]
fn a_batch_finds_the_queue_that_took_the_place_of_a_deleted_one() {
    let broker = Broker::new();
    let producer = broker.producer::<u32>(&queue()).unwrap();
    let _ = producer.publish_batch([1]);
    broker.delete(&queue()).unwrap();
    broker.declare(&queue()).unwrap();
    assert!(producer.publish_batch([2, 3]).iter().all(Result::is_ok));
    assert_eq!(left(&broker), [2, 3]);
}

#[test]
fn the_rest_of_a_batch_that_is_too_long_for_its_queue_is_refused() {
    let broker = Broker::new();
    let short = queue().max_length(2).overflow(Overflow::RejectPublish);
    let producer = broker.producer::<u32>(&short).unwrap();
    let refused: Vec<u32> = producer
        .publish_batch(0..5)
        .filter_map(|result| result.err()?.into_inner())
        .collect();
    assert_eq!(refused, [2, 3, 4]);
    assert_eq!(left(&broker), [0, 1]);
}

#[test]
fn a_drop_head_queue_keeps_the_last_messages_of_a_batch() {
    let broker = Broker::new();
    let ring = queue().max_length(3);
    let producer = broker.producer::<u32>(&ring).unwrap();
    assert!(producer.publish_batch(0..200).iter().all(Result::is_ok));
    assert_eq!(left(&broker), [197, 198, 199]);
}

#[test]
fn a_batch_with_a_measure_and_a_codec_of_its_own_carries_both() {
    let broker = Broker::builder().always_encode().build();
    let builder = broker.producer_builder::<String>(&queue());
    let producer = builder
        .sized_by(|text| text.len() as u64 + 100)
        .build()
        .unwrap();
    let _ = producer.publish_batch(["Ada".to_owned()]);
    let got = broker.simple_queue::<String>("q").unwrap();
    let delivery = got.try_get().unwrap();
    assert_eq!((delivery.as_str(), delivery.info().size()), ("Ada", 103));
    assert_eq!(delivery.info().type_name(), "leveret::Bytes");
}

#[test]
fn consumers_that_take_turns_share_a_batch() {
    let broker = Broker::new();
    let producer = broker.producer::<u32>(&queue()).unwrap();
    let consumers = [(); 2].map(|()| broker.consumer::<u32>(&queue()).unwrap());
    let share = |consumer: &Consumer<u32>| -> Vec<u32> {
        let share = std::iter::from_fn(|| consumer.try_recv().ok());
        share.map(|delivery| delivery.ack_into().unwrap()).collect()
    };
    // Their lists grow, so that the next batch goes into slots.
    (0..16).for_each(|number| assert!(producer.publish(number).is_ok()));
    consumers.iter().for_each(|consumer| drop(share(consumer)));
    assert!(producer.publish_batch(0..4).all(|result| result.is_ok()));
    let shares = consumers.each_ref().map(share);
    assert!(
        shares.contains(&vec![0, 2]) && shares.contains(&vec![1, 3]),
        "{shares:?}"
    );
}
