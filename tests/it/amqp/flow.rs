//! Peers that take more than they give: memory is bounded, and no other peer is harmed.

use std::task::{Context, Waker};

use leveret::{Broker, Budget, Queue, amqp::ServerConfig};

use super::client;
use crate::wire::{Arguments, Client, content, frame, method};

#[test]
fn a_client_that_does_not_read_costs_its_window_and_the_rest_stays_in_the_queue() {
    let broker = Broker::new();
    let mut client = client(&broker);
    client.declare(1, "q").unwrap();
    client
        .consume(1, "q", "c", [false, true, false, false])
        .unwrap();
    let producer = broker.producer::<leveret::Bytes>("q").unwrap();
    for _ in 0..1000 {
        producer.publish(vec![0; 4096].into()).unwrap();
    }
    let left = broker.purge(Queue::new("q")).unwrap();
    assert_eq!(left, 1000 - 200);
    client.pump();
    assert_eq!(client.take_ids().len(), 200);
}

#[test]
fn deliveries_are_taken_only_as_the_driver_takes_octets() {
    let broker = Broker::new();
    let mut client = client(&broker);
    client.declare(1, "q").unwrap();
    client.consume(1, "q", "c", [false; 4]).unwrap();
    let producer = broker.producer::<leveret::Bytes>("q").unwrap();
    for _ in 0..100 {
        producer.publish(vec![0; 4096].into()).unwrap();
    }
    let mut context = Context::from_waker(Waker::noop());
    let mut octets = Vec::new();
    let output = client.server.poll_output(&mut context, &mut octets);
    assert!(
        output.is_ready() && octets.len() <= (64 << 10) + 5000,
        "{}",
        octets.len()
    );
}

#[test]
fn a_client_that_asks_without_reading_is_not_heard_until_it_reads() {
    let broker = Broker::new();
    let mut client = client(&broker);
    let declare = Arguments::new().short(0).text("q").octet(0).long(0);
    let declare = method(1, (50, 10), declare).repeat(10_000);
    let taken = client.server.receive(&declare);
    assert!(taken < declare.len());
    let mut context = Context::from_waker(Waker::noop());
    assert!(client.server.poll_ready(&mut context).is_pending());
    assert_eq!(client.server.receive(&declare[taken..]), 0);
    client.pump();
    assert!(client.server.poll_ready(&mut context).is_ready());
    client.send(&declare[taken..]);
    assert_eq!(client.take_ids().len(), 10_000);
}

/// A client whose second message waits for room in a budget.
fn client_that_waits(broker: &Broker) -> Client {
    broker.declare(&Budget::new("small", 4).block()).unwrap();
    broker.declare(&Queue::new("q").budget("small")).unwrap();
    let mut client = client(broker);
    client.publish(1, "q", b"1234");
    client.publish(1, "q", b"5678");
    client
}

#[test]
fn a_publish_that_waits_for_a_budget_blocks_the_connection_and_no_thread() {
    let broker = Broker::new();
    let mut client = client_that_waits(&broker);
    assert_eq!(client.take_ids(), [(10, 60)]);
    let declare = Arguments::new().short(0).text("p").octet(0).long(0);
    let declare = method(1, (50, 10), declare);
    assert_eq!(client.server.receive(&declare), 0);
    // Another client goes on, and makes room.
    let mut other = super::client(&broker);
    let get = Arguments::new().short(0).text("q").octet(1);
    other.call(1, (60, 70), get, &[(60, 71)]).unwrap();
    assert_eq!(client.take_ids(), [(10, 61)]);
    client.send(&declare);
    assert_eq!(client.take_ids(), [(50, 11)]);
    assert_eq!(broker.purge(Queue::new("q")).unwrap(), 1);
}

#[test]
fn a_client_that_is_lost_while_its_publish_waits_gives_it_up() {
    let broker = Broker::new();
    let client = client_that_waits(&broker);
    drop(client);
    assert_eq!(broker.purge(Queue::new("q")).unwrap(), 1);
    assert_eq!(broker.purge(Queue::new("q")).unwrap(), 0);
}

#[test]
fn a_body_that_is_announced_as_too_large_closes_its_channel() {
    let broker = Broker::new();
    let mut client = Client::open(&broker, ServerConfig::new().max_message_size(1000));
    client.open_channel(1).unwrap();
    client.declare(1, "q").unwrap();
    client.publish(1, "q", &[0; 1000]);
    let publish = Arguments::new().short(0).text("").text("q").octet(0);
    client.send(&method(1, (60, 40), publish));
    client.send(&content(1, &[0, 0], &[0; 1001], 500));
    let closed = client.await_reply(1, &[]).unwrap_err();
    let text = "CONTENT_TOO_LARGE - message size 1001 is larger than configured max size 1000";
    assert_eq!((closed.reply_code, &*closed.reply_text), (311, text));
    assert_eq!((closed.of_connection, closed.method), (false, (60, 40)));
    assert_eq!(broker.purge(Queue::new("q")).unwrap(), 1);
}

#[test]
fn bodies_that_begin_on_many_channels_and_never_end_close_the_connection() {
    let broker = Broker::new();
    let mut client = Client::open(&broker, ServerConfig::new().max_message_size(10_000));
    let mut begun = 0;
    let closed = (1..=2047).find_map(|channel| {
        client.open_channel(channel).unwrap();
        let publish = Arguments::new().short(0).text("").text("q").octet(0);
        client.send(&method(channel, (60, 40), publish));
        let whole = content(channel, &[0, 0], &[0; 10_000], 9_000);
        client.send(&whole[..whole.len() - 1008]);
        begun += 9_000;
        client.pump();
        let closed = client.incoming.iter().any(|it| it.id == (10, 50));
        closed.then(|| client.await_reply(0, &[]).unwrap_err())
    });
    let closed = closed.unwrap();
    assert_eq!((closed.reply_code, closed.of_connection), (506, true));
    assert!(begun <= 5 * 10_000);
}

#[test]
fn a_client_may_open_as_many_channels_as_were_agreed_on() {
    let broker = Broker::new();
    let mut client = Client::open(&broker, ServerConfig::new().channel_max(100));
    for channel in 1..=100 {
        client.open_channel(channel).unwrap();
    }
    let closed = client.open_channel(101).unwrap_err();
    let text = "NOT_ALLOWED - number of channels opened (100) has reached the negotiated \
                channel_max (100)";
    assert_eq!((closed.reply_code, &*closed.reply_text), (530, text));
    assert!(closed.of_connection && client.is_over);
}

#[test]
fn a_frame_that_comes_octet_by_octet_and_never_ends_takes_no_more_than_its_size() {
    let broker = Broker::new();
    let mut client = Client::open(&broker, ServerConfig::new().frame_max(4096));
    client.open_channel(1).unwrap();
    let whole = frame(3, 1, &[0; 4000]);
    for octet in &whole[..whole.len() - 1] {
        assert_eq!(client.server.receive(&[*octet]), 1);
    }
    client.pump();
    assert!(client.incoming.is_empty());
    client.send(&whole[whole.len() - 1..]);
    assert_eq!(client.await_reply(0, &[]).unwrap_err().reply_code, 505);
}

/// A client with a consumer without acknowledgements, of a queue with 1000 messages. The first
/// octets of their bodies are their numbers.
fn client_of_a_deep_queue(broker: &Broker) -> Client {
    let mut client = client(broker);
    client.declare(1, "q").unwrap();
    let no_ack = [false, true, false, false];
    client.consume(1, "q", "c", no_ack).unwrap();
    let producer = broker.producer::<leveret::Bytes>("q").unwrap();
    for number in 0_u32..1000 {
        let mut body = number.to_be_bytes().to_vec();
        body.resize(4096, 0);
        producer.publish(body.into()).unwrap();
    }
    client
}

/// The numbers of the messages that the client has got, which are taken.
fn numbers(client: &mut Client) -> Vec<usize> {
    let incoming = client.incoming.drain(..).filter(|it| it.id == (60, 60));
    let number = |body: &[u8]| u32::from_be_bytes(body[..4].try_into().unwrap()) as usize;
    incoming.map(|delivery| number(&delivery.body)).collect()
}

#[test]
fn deliveries_that_find_the_output_full_go_on_in_their_order() {
    let broker = Broker::new();
    let mut client = client_of_a_deep_queue(&broker);
    let mut context = Context::from_waker(Waker::noop());
    let mut octets = Vec::new();
    let output = client.server.poll_output(&mut context, &mut octets);
    assert!(output.is_ready());
    let left = broker.purge(Queue::new("q")).unwrap() as usize;
    client.pump();
    let numbers = numbers(&mut client);
    let (read, delivered) = (numbers[0], 1000 - left);
    assert!((1..30).contains(&read), "{read}");
    // The peer may have as many more as it has read.
    assert!((200..=200 + read).contains(&delivered), "{delivered}");
    assert!(numbers.into_iter().eq(read..delivered));
}

#[test]
fn what_a_queue_delivers_while_a_channel_closes_stays_out_of_the_output() {
    let broker = Broker::new();
    let mut client = client_of_a_deep_queue(&broker);
    let mut other = super::client(&broker);
    let arguments = Arguments::new().short(200).text("bye").short(0).short(0);
    let close = method(1, (20, 40), arguments);
    assert_eq!(client.server.receive(&close), close.len());
    client.pump();
    assert_eq!(client.incoming.back().map(|it| it.id), Some((20, 41)));
    assert!(numbers(&mut client).into_iter().eq(0..200));
    let left = other.declare(1, "q").unwrap();
    let mut fields = left.fields();
    assert_eq!((fields.text().as_str(), fields.long() >= 600), ("q", true));
}

#[test]
fn a_get_waits_for_no_more_deliveries_of_another_channel_than_are_there() {
    let broker = Broker::new();
    let mut client = client_of_a_deep_queue(&broker);
    client.server.handle_disconnect();
    let mut client = super::client(&broker);
    client.open_channel(2).unwrap();
    let no_ack = [false, true, false, false];
    client.declare(2, "got").unwrap();
    let producer = broker.producer::<String>("got").unwrap();
    producer.publish("m".to_owned()).unwrap();
    let consume = Arguments::new().short(0).text("q").text("c");
    let consume = method(1, (60, 20), consume.bits(no_ack).long(0));
    let get = Arguments::new().short(0).text("got").octet(1);
    let both = [consume, method(2, (60, 70), get)].concat();
    assert_eq!(client.server.receive(&both), both.len());
    client.pump();
    let answered = client.incoming.iter().position(|it| it.id == (60, 71));
    assert!(answered.is_some_and(|at| at <= 201), "{answered:?}");
    let (all, next) = (numbers(&mut client), 200..1000);
    assert!(all.into_iter().eq(next));
}

/// A payload whose drop fails.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct Fragile;

impl Drop for Fragile {
    fn drop(&mut self) {
        panic!("it breaks");
    }
}

#[test]
fn a_payload_that_panics_when_it_is_dropped_keeps_no_other_message_back() {
    let broker = Broker::new();
    let mut client = client(&broker);
    client.declare(1, "q").unwrap();
    let no_ack = [false, true, false, false];
    client.consume(1, "q", "c", no_ack).unwrap();
    broker.producer("q").unwrap().publish(Fragile).unwrap();
    let producer = broker.producer::<leveret::Bytes>("q").unwrap();
    for _ in 0..100 {
        producer.publish(vec![0; 4096].into()).unwrap();
    }
    // The panic may be contained.
    let pumped = || client.pump();
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(pumped));
    client.pump();
    assert_eq!(client.take_ids(), [(60, 60); 101]);
}
