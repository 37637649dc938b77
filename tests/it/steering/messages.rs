//! Looking at ready messages, and deleting single ones.

use leveret::{
    Broker, Error, ExportedMessage, Local, Message, MessageOutcome, Properties, Queue, Result,
    Selection,
};

use super::counts;
use crate::common::{SECOND, assert_conserved, on_a_manual_clock};

fn filled(queue: &Queue, numbers: impl IntoIterator<Item = u32>) -> Broker {
    let broker = Broker::new();
    let producer = broker.producer::<u32>(queue).unwrap();
    for number in numbers {
        producer
            .publish_message(Message::new(number).header("number", number))
            .unwrap();
    }
    broker
}

fn number(message: &ExportedMessage) -> u32 {
    serde_json::from_slice(message.body().unwrap()).unwrap()
}

fn of_header(properties: &Properties) -> u32 {
    let number = properties.header_value("number").and_then(|it| it.as_i64());
    number.unwrap().try_into().unwrap()
}

#[test]
fn a_look_takes_nothing_out_and_marks_nothing() {
    for queue in [Queue::new("q"), Queue::quorum("q"), Queue::stream("q")] {
        let broker = filled(&queue, 0..600);
        assert_eq!(broker.peek("q", 0).unwrap().len(), 0);
        let first: Vec<_> = broker.peek("q", 3).unwrap().iter().map(number).collect();
        assert_eq!(first, [0, 1, 2]);
        assert_eq!(broker.peek("q", 1_000).unwrap().len(), 600);
        let even = broker
            .browse("q", |message| number(message).is_multiple_of(2))
            .unwrap();
        let even: Result<Vec<_>> = even.collect();
        let even = even.unwrap();
        assert_eq!(even.len(), 300);
        assert!(
            even.iter()
                .all(|message| !message.redelivered() && message.id().is_some())
        );
        assert_eq!(counts(&broker, "q").ready.messages, 600);
        assert_eq!(counts(&broker, "q").unsettled.messages, 0);
    }
}

#[test]
fn a_filter_that_panics_is_an_error_and_everything_stays() {
    let broker = filled(&Queue::new("q"), 0..10);
    let mut browse = broker
        .browse("q", |message| {
            assert_ne!(number(message), 3, "an accident");
            true
        })
        .unwrap();
    assert_eq!(browse.by_ref().take_while(Result::is_ok).count(), 3);
    assert!(browse.next().is_none(), "it has ended");
    let panics = |_: &Properties| panic!("an accident");
    let deleted = broker.delete_messages("q", Selection::all().filter(panics));
    assert_eq!(deleted, Err(Error::Panicked("the filter")));
    broker.declare(&Queue::new("to")).unwrap();
    let moved = broker.move_messages("q", "to", Selection::all().filter(panics));
    assert_eq!(moved, Err(Error::Panicked("the filter")));
    assert_eq!(counts(&broker, "q").ready.messages, 10);
    let third = Selection::all().filter(|properties| match of_header(properties) {
        3 => panic!("an accident"),
        _ => true,
    });
    broker.delete_messages("q", third).unwrap_err();
    assert_eq!(
        counts(&broker, "q").purged.messages,
        3,
        "those before it are deleted"
    );
    assert_conserved(&counts(&broker, "q"));
}

#[test]
fn the_filter_may_use_the_queue() {
    let broker = filled(&Queue::new("q"), 0..5);
    let queue = broker.simple_queue::<u32>("q").unwrap();
    let deleted = broker.delete_messages(
        "q",
        Selection::all().filter(|properties| {
            if of_header(properties) == 0 {
                queue.get().unwrap().ack().unwrap();
                queue
                    .put_message(Message::new(9).header("number", 9))
                    .unwrap();
            }
            true
        }),
    );
    // The first was taken by the filter, and the last has come after the call began.
    assert_eq!(deleted, Ok(4));
    assert_eq!(*queue.get().unwrap(), 9);
}

#[test]
fn a_message_is_deleted_once_and_only_while_it_is_ready() {
    for queue in [Queue::new("q"), Queue::quorum("q")] {
        let broker = filled(&queue, 0..3);
        let ids: Vec<_> = broker
            .peek("q", 3)
            .unwrap()
            .iter()
            .map(|it| it.id().unwrap())
            .collect();
        let simple = broker.simple_queue::<u32>(&queue).unwrap();
        let held = simple.get().unwrap();
        let delete = |at: usize| broker.delete_message("q", ids[at]).unwrap();
        assert_eq!(delete(0), MessageOutcome::NotReady, "it is delivered");
        assert_eq!(delete(2), MessageOutcome::Done);
        assert_eq!(delete(2), MessageOutcome::NotReady);
        held.ack().unwrap();
        assert_eq!(delete(0), MessageOutcome::NotReady);
        assert_eq!(*simple.get().unwrap(), 1);
        let counts = counts(&broker, "q");
        assert_eq!((counts.purged.messages, counts.acked.messages), (1, 1));
        assert_conserved(&counts);
    }
}

#[test]
fn an_id_belongs_to_one_queue_only() {
    let broker = filled(&Queue::new("q"), 0..2);
    let id = broker.peek("q", 1).unwrap()[0].id().unwrap();
    let other = broker.simple_queue::<u32>("other").unwrap();
    other.put(7).unwrap();
    assert_eq!(
        broker.delete_message("other", id).unwrap(),
        MessageOutcome::NotReady
    );
    broker.delete(&Queue::new("q")).unwrap();
    let again = broker.simple_queue::<u32>("q").unwrap();
    again.put(8).unwrap();
    assert_eq!(
        broker.delete_message("q", id).unwrap(),
        MessageOutcome::NotReady
    );
    assert_eq!(
        broker.move_message("q", id, "other").unwrap(),
        MessageOutcome::NotReady
    );
    assert_eq!((again.len().unwrap(), other.len().unwrap()), (1, 1));
}

#[test]
fn a_deletion_makes_room_for_a_publisher_that_waits_and_gives_the_head_its_place() {
    let (broker, clock) = on_a_manual_clock();
    let queue = Queue::new("q")
        .max_length(1)
        .overflow(leveret::Overflow::RejectPublish);
    let simple = broker.simple_queue::<u32>(&queue).unwrap();
    simple.put(1).unwrap();
    assert!(simple.put(2).is_err());
    let id = broker.peek("q", 1).unwrap()[0].id().unwrap();
    assert_eq!(
        broker.delete_message("q", id).unwrap(),
        MessageOutcome::Done
    );
    simple.put(3).unwrap();
    let expiring = Message::new(4_u32).expiration(SECOND);
    let short = broker.simple_queue::<u32>("short").unwrap();
    short.put(0).unwrap();
    short.put_message(expiring).unwrap();
    clock.advance(2 * SECOND);
    let first = broker.peek("short", 1).unwrap()[0].id().unwrap();
    broker.delete_message("short", first).unwrap();
    assert!(
        broker.peek("short", 9).unwrap().is_empty(),
        "the next one has expired behind it"
    );
}

#[test]
fn what_does_not_apply_is_a_typed_error() {
    let broker = filled(&Queue::stream("log"), 0..3);
    let stream = || Queue::existing("log");
    let id = broker.peek(stream(), 1).unwrap()[0].id().unwrap();
    broker.declare(&Queue::new("to")).unwrap();
    let code = |error: Error| error.reply_code();
    assert_eq!(
        code(broker.delete_message(stream(), id).unwrap_err()),
        Some(540)
    );
    assert_eq!(
        code(
            broker
                .delete_messages(stream(), Selection::all())
                .unwrap_err()
        ),
        Some(540)
    );
    assert_eq!(
        code(broker.move_message(stream(), id, "to").unwrap_err()),
        Some(540)
    );
    assert_eq!(code(broker.pause_queue(stream()).unwrap_err()), Some(540));
    for error in [
        broker.peek("nowhere", 1).unwrap_err(),
        broker.browse("nowhere", |_| true).unwrap_err(),
        broker.delete_message("nowhere", id).unwrap_err(),
        broker
            .move_messages("nowhere", "to", Selection::all())
            .unwrap_err(),
        broker
            .move_messages("to", "nowhere", Selection::all())
            .unwrap_err(),
        broker.pause_queue("nowhere").unwrap_err(),
        broker.resume_queue("nowhere").unwrap_err(),
    ] {
        assert!(error.is_not_found(), "{error}");
    }
    let same = broker
        .move_messages("to", "to", Selection::all())
        .unwrap_err();
    assert_eq!(same.reply_code(), Some(406));
    let theirs = broker.connect("/", leveret::Credentials::guest()).unwrap();
    let exclusive = theirs.declare(&Queue::exclusive()).unwrap();
    for error in [
        broker.peek(&exclusive, 1).unwrap_err(),
        broker
            .move_messages("to", &exclusive, Selection::all())
            .unwrap_err(),
        broker.pause_queue(&exclusive).unwrap_err(),
    ] {
        assert_eq!(error.reply_code(), Some(405));
    }
}

#[test]
fn a_local_message_is_looked_at_deleted_and_moved() {
    let broker = Broker::new();
    let from = broker.simple_queue::<Local<u32>>("from").unwrap();
    let to = broker.simple_queue::<Local<u32>>("to").unwrap();
    for number in [7, 8] {
        from.put(Local::new(number)).unwrap();
    }
    let seen = broker.peek("from", 2).unwrap();
    assert!(seen[0].body().is_err() && seen[0].type_name().contains("u32"));
    broker
        .delete_message("from", seen[0].id().unwrap())
        .unwrap();
    broker
        .move_message("from", seen[1].id().unwrap(), "to")
        .unwrap();
    assert_eq!(**to.get().unwrap(), 8);
    from.put(Local::new(9)).unwrap();
    broker.declare(&Queue::stream("log")).unwrap();
    let moved = broker
        .move_messages("from", Queue::existing("log"), Selection::all())
        .unwrap();
    assert_eq!(
        (moved.moved, moved.refused),
        (0, 1),
        "a stream takes no such message"
    );
    assert_eq!(**from.get().unwrap(), 9);
}
