//! Delayed exchanges: publishing to them, and routing at the end of the delay.

use leveret::{
    Budget, Error, FieldValue, Local, Message, Queue, Selection,
    channel::{ConfirmOutcome, Event, PublishOptions},
};

use crate::common::channel_of;

use super::*;

/// A delayed fanout exchange "x" with a queue "q" bound to it.
fn fanout() -> (Exchange, Queue) {
    let exchange = Exchange::fanout("x").delayed();
    let queue = Queue::new("q").bind(&exchange, "");
    (exchange, queue)
}

#[test]
fn delayed_messages_arrive_when_they_are_due_and_in_that_order() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let (exchange, queue) = fanout();
    let consumer = broker.consumer::<String>(&queue)?;
    let producer = broker.producer::<String>(&exchange)?;
    for (name, delay) in [("third", 30), ("first", 10), ("second", 20), ("fourth", 30)] {
        let published = producer.publish_message(text(name, delay))?;
        assert_eq!(
            (published.routed, published.refused, published.delayed),
            (0, 0, 1)
        );
    }
    assert_eq!(kept_back(&broker, &exchange)?, (4, 5 + 5 + 6 + 6));
    clock.advance(ms(9));
    assert_eq!(all(&consumer), [""; 0]);
    clock.advance(ms(1));
    assert_eq!(all(&consumer), ["first"]);
    clock.advance(ms(20));
    assert_eq!(all(&consumer), ["second", "third", "fourth"]);
    assert_eq!(kept_back(&broker, &exchange)?, (0, 0));
    Ok(())
}

#[test]
fn a_delayed_message_shows_its_delay_negated_and_others_show_what_they_were_given() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let (exchange, queue) = fanout();
    let consumer = broker.consumer::<String>(&queue)?;
    let producer = broker.producer::<String>(&exchange)?;
    let given: [(FieldValue, FieldValue); 8] = [
        (5_000.into(), FieldValue::Int(-5_000)),
        (
            FieldValue::UnsignedInt(3_000_000_000),
            FieldValue::Long(-3_000_000_000),
        ),
        ("700".into(), FieldValue::Int(-700)),
        (0.5.into(), 0.5.into()),
        (0.into(), 0.into()),
        ((-7).into(), (-7).into()),
        (true.into(), true.into()),
        ("soon".into(), "soon".into()),
    ];
    for (given, shown) in given {
        let delayed = shown != given;
        let message = Message::new(String::new()).properties(x_delay(given));
        assert_eq!(
            producer.publish_message(message)?.delayed,
            usize::from(delayed)
        );
        clock.advance(Duration::from_secs(3_000_000));
        let delivery = consumer.try_recv()?;
        assert_eq!(
            delivery.info().properties().header_value("x-delay"),
            Some(&shown)
        );
        delivery.ack()?;
    }
    assert_eq!(producer.publish("at once".to_owned())?.routed, 1);
    assert_eq!(all(&consumer), ["at once"]);
    Ok(())
}

#[test]
fn a_delayed_message_is_routed_by_the_bindings_at_the_end_of_its_delay() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let exchange = Exchange::direct("x").delayed();
    let before = Queue::new("before").bind(&exchange, "k");
    broker.declare(&before)?;
    let message = text("m", 10).routing_key("k");
    broker
        .producer::<String>(&exchange)?
        .publish_message(message)?;
    broker.delete(&before)?;
    let after = broker.consumer::<String>(&Queue::new("after").bind(&exchange, "k"))?;
    clock.advance(ms(10));
    assert_eq!(all(&after), ["m"]);
    Ok(())
}

#[test]
fn every_type_routes_as_it_does_without_a_delay() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let direct = Exchange::direct("direct").delayed();
    let topic = Exchange::topic("topic").delayed();
    let headers = Exchange::headers("headers").delayed();
    let blue = leveret::Binding::new(&headers, "").argument("colour", "blue");
    let queue = Queue::new("q")
        .bind(&direct, "a.b")
        .bind(&topic, "*.b")
        .binding(blue);
    let consumer = broker.consumer::<String>(&queue)?;
    for exchange in [&direct, &topic, &headers] {
        let producer = broker.producer::<String>(exchange)?;
        for (key, colour) in [("a.b", "blue"), ("a.c", "red")] {
            let message = text(exchange.name(), 10)
                .routing_key(key)
                .header("colour", colour);
            assert_eq!(producer.publish_message(message)?.delayed, 1);
        }
    }
    clock.advance(ms(10));
    assert_eq!(all(&consumer), ["direct", "topic", "headers"]);
    Ok(())
}

#[test]
fn a_message_from_another_exchange_is_kept_back_where_it_meets_a_delayed_one_and_only_once()
-> Result {
    let (broker, clock) = on_a_manual_clock();
    let source = Exchange::topic("source");
    let first = Exchange::fanout("first").delayed().bind(&source, "#");
    let second = Exchange::fanout("second").delayed().bind(&first, "");
    let direct = broker.consumer::<String>(&Queue::new("direct").bind(&source, "#"))?;
    let late = broker.consumer::<String>(&Queue::new("late").bind(&second, ""))?;
    let producer = broker.producer::<String>(&source)?;
    let published = producer.publish_message(text("m", 10).routing_key("a.b"))?;
    assert_eq!((published.routed, published.delayed), (1, 1));
    assert_eq!(all(&direct), ["m"]);
    assert_eq!(kept_back(&broker, &first)?, (1, 1));
    clock.advance(ms(10));
    let delivery = late.try_recv()?;
    // The message was published to the first of the two exchanges, and its delivery still says so.
    assert_eq!(
        (&*delivery.info().exchange(), delivery.info().routing_key()),
        ("source", "a.b")
    );
    delivery.ack()?;
    assert_eq!(
        (kept_back(&broker, &first)?, kept_back(&broker, &second)?),
        ((0, 0), (0, 0))
    );
    Ok(())
}

#[test]
fn several_delayed_exchanges_on_the_way_each_keep_a_copy() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let source = Exchange::fanout("source");
    let [a, b] = ["a", "b"].map(|name| Exchange::fanout(name).delayed().bind(&source, ""));
    let one = broker.consumer::<String>(&Queue::new("one").bind(&a, ""))?;
    let other = broker.consumer::<String>(&Queue::new("other").bind(&b, ""))?;
    let producer = broker.producer::<String>(&source)?;
    assert_eq!(producer.publish_message(text("m", 10))?.delayed, 2);
    broker.delete(&a)?;
    clock.advance(ms(10));
    assert_eq!((all(&one), all(&other)), (vec![], vec!["m".to_owned()]));
    Ok(())
}

#[test]
fn an_alternate_exchange_gets_an_unroutable_message_when_its_delay_ends() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let unrouted = Exchange::fanout("unrouted");
    let exchange = Exchange::direct("x").delayed().alternate("unrouted");
    let found = broker.consumer::<String>(&Queue::new("found").bind(&unrouted, ""))?;
    let producer = broker.producer::<String>(&exchange)?;
    producer.publish_message(text("m", 10).routing_key("nowhere"))?;
    assert_eq!(all(&found), [""; 0]);
    clock.advance(ms(10));
    assert_eq!(all(&found), ["m"]);
    // A delayed exchange can also be the alternate exchange of another one.
    let late = Exchange::fanout("late").delayed();
    let consumer = broker.consumer::<String>(&Queue::new("q").bind(&late, ""))?;
    let plain = broker.producer::<String>(&Exchange::direct("plain").alternate("late"))?;
    assert_eq!(plain.publish_message(text("n", 10))?.delayed, 1);
    clock.advance(ms(10));
    assert_eq!(all(&consumer), ["n"]);
    Ok(())
}

#[test]
fn a_mandatory_message_that_is_kept_back_is_not_returned_and_is_confirmed() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let exchange = Exchange::direct("x").delayed();
    let channel = channel_of(&broker)?;
    channel.exchange_declare(&exchange)?;
    channel.confirm_select()?;
    let mandatory = PublishOptions::new().mandatory();
    channel.basic_publish("x", "nowhere", "m", x_delay(10), mandatory)?;
    let events = channel.events();
    let confirmed = events.try_recv()?;
    assert!(matches!(confirmed, Event::Confirm(confirm) if confirm.outcome == ConfirmOutcome::Ack));
    clock.advance(ms(10));
    assert!(matches!(events.try_recv(), Err(TryRecvError::Empty)));
    // A message without a delay is returned as usual.
    channel.basic_publish("x", "nowhere", "m", x_delay(0), mandatory)?;
    assert!(matches!(events.try_recv()?, Event::Return(_)));
    let producer = broker
        .producer_builder::<String>(&exchange)
        .mandatory()
        .build()?;
    assert_eq!(producer.publish_message(text("m", 10))?.delayed, 1);
    let error = producer.publish("m".to_owned()).unwrap_err();
    assert!(matches!(error.error(), Error::NoRoute { .. }));
    Ok(())
}

#[test]
fn a_message_that_is_unroutable_after_its_delay_goes_to_the_dead_letter_queue() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let lost = Queue::new("lost");
    broker.vhost("/")?.set_dead_letter_queue(Some(&lost))?;
    let producer = broker.producer::<String>(&Exchange::direct("x").delayed())?;
    producer.publish_message(text("m", 10))?;
    clock.advance(ms(10));
    let delivery = broker.consumer::<String>(&lost)?.try_recv()?;
    let reason = delivery
        .info()
        .properties()
        .header_value("x-undeliverable-reason")
        .cloned();
    assert_eq!((&**delivery, reason), ("m", Some("no-route".into())));
    Ok(())
}

#[test]
fn cc_and_bcc_keys_route_at_the_end_of_the_delay() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let exchange = Exchange::direct("x").delayed();
    let [a, b, c] = ["a", "b", "c"].map(|name| {
        broker
            .consumer::<String>(&Queue::new(name).bind(&exchange, name))
            .unwrap()
    });
    let keys = |key: &str| FieldValue::Array(vec![key.into()]);
    let message = text("m", 10)
        .routing_key("a")
        .header("CC", keys("b"))
        .header("BCC", keys("c"));
    let producer = broker.producer::<String>(&exchange)?;
    assert_eq!(producer.publish_message(message)?.delayed, 1);
    clock.advance(ms(10));
    assert_eq!(
        (all(&a), all(&b)),
        (vec!["m".to_owned()], vec!["m".to_owned()])
    );
    let hidden = c.try_recv()?;
    assert_eq!(hidden.info().properties().header_value("BCC"), None);
    hidden.ack()
}

#[test]
fn dead_letters_can_wait_in_a_delayed_exchange_before_they_come_again() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let retry = Exchange::fanout("retry").delayed();
    let queue = Queue::new("tasks")
        .bind(&retry, "")
        .dead_letter_exchange("retry");
    let consumer = broker.consumer::<String>(&queue)?;
    let message = Message::new("m".to_owned()).properties(x_delay(10));
    broker
        .producer::<String>(&queue)?
        .publish_message(message)?;
    consumer.try_recv()?.reject()?;
    assert_eq!(kept_back(&broker, &retry)?, (1, 1));
    clock.advance(ms(10));
    let again = consumer.try_recv()?;
    assert!(again.info().properties().header_value("x-death").is_some());
    again.ack()?;
    assert_eq!(broker.vhost("/")?.redrive(&queue, Selection::all())?, 0);
    Ok(())
}

#[test]
fn an_expiration_begins_when_the_delay_is_over() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let (exchange, queue) = fanout();
    let mailbox = broker.simple_queue::<String>(&queue)?;
    let producer = broker.producer::<String>(&exchange)?;
    producer.publish_message(text("m", 100).expiration(ms(10)))?;
    clock.advance(ms(109));
    assert_eq!(mailbox.len().unwrap(), 1);
    clock.advance(ms(1));
    assert_eq!(mailbox.len().unwrap(), 0);
    Ok(())
}

#[test]
fn a_message_with_x_delay_and_deliver_after_waits_for_both() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let (exchange, queue) = fanout();
    let consumer = broker.consumer::<String>(&queue)?;
    let producer = broker.producer::<String>(&exchange)?;
    producer.publish_message(text("b", 10).deliver_after(ms(20)))?;
    producer.publish_message(text("a", 20).deliver_after(ms(10)))?;
    // The exchange does not hold a message that has only a `deliver_after`. Its queue holds it.
    let message = Message::new("c".to_owned()).deliver_after(ms(20));
    let published = producer.publish_message(message)?;
    assert_eq!((published.routed, published.delayed), (1, 0));
    clock.advance(ms(19));
    assert_eq!(all(&consumer), [""; 0]);
    clock.advance(ms(1));
    let mut came = all(&consumer);
    came.sort();
    assert_eq!(came, ["a", "b", "c"]);
    Ok(())
}

#[test]
fn the_delay_of_a_transaction_begins_when_it_is_committed() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let (exchange, queue) = fanout();
    let consumer = broker.consumer::<String>(&queue)?;
    let channel = channel_of(&broker)?;
    channel.tx_select()?;
    let text = |delay: i32| x_delay(delay).content_type("text/plain");
    channel.basic_publish("x", "", "never", text(10), PublishOptions::new())?;
    channel.tx_rollback()?;
    channel.basic_publish("x", "", "m", text(10), PublishOptions::new())?;
    clock.advance(ms(10));
    assert_eq!(kept_back(&broker, &exchange)?, (0, 0));
    channel.tx_commit()?;
    clock.advance(ms(9));
    assert_eq!(all(&consumer), [""; 0]);
    clock.advance(ms(1));
    assert_eq!(all(&consumer), ["m"]);
    Ok(())
}

#[test]
fn a_local_waits_too_and_reaches_one_queue() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let (exchange, queue) = fanout();
    let consumer = broker.consumer::<Local<u32>>(&queue)?;
    let other = broker.simple_queue::<Local<u32>>(&Queue::new("other").bind(&exchange, ""))?;
    let producer = broker.producer::<Local<u32>>(&exchange)?;
    producer.publish_message(Message::new(Local(7)).delay(ms(10)))?;
    clock.advance(ms(10));
    let came = [consumer.try_recv().is_ok(), other.try_get().is_ok()];
    assert_eq!(came.iter().filter(|came| **came).count(), 1);
    // A `Local` payload cannot go to a delayed exchange and to a queue. It comes back to its
    // publisher.
    let source = Exchange::fanout("source");
    broker.declare(&Exchange::fanout("y").delayed().bind(&source, ""))?;
    broker.declare(&Queue::new("now").bind(&source, ""))?;
    let producer = broker.producer::<Local<u32>>(&source)?;
    let error = producer
        .publish_message(Message::new(Local(7)).delay(ms(10)))
        .unwrap_err();
    assert!(matches!(
        error.error(),
        Error::NotShareable { queues: 2, .. }
    ));
    assert_eq!(error.payload().unwrap().payload().0, 7);
    Ok(())
}

#[test]
fn an_enormous_delay_never_comes_and_does_not_overflow() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let (exchange, queue) = fanout();
    let consumer = broker.consumer::<String>(&queue)?;
    let producer = broker.producer::<String>(&exchange)?;
    producer.publish_message(Message::new(String::new()).delay(Duration::MAX))?;
    producer.publish_message(Message::new(String::new()).properties(x_delay(i64::MAX)))?;
    clock.advance(Duration::from_secs(1 << 32));
    assert_eq!(
        (all(&consumer).len(), kept_back(&broker, &exchange)?.0),
        (0, 2)
    );
    Ok(())
}

#[test]
fn a_delayed_message_counts_against_the_budget_of_the_whole_virtual_host() -> Result {
    let (broker, clock) = on_a_manual_clock();
    broker.declare(&Budget::new("b", 3).whole_vhost())?;
    let (exchange, queue) = fanout();
    let mailbox = broker.simple_queue::<String>(&queue)?;
    let producer = broker.producer::<String>(&exchange)?;
    producer.publish_message(text("two", 10))?;
    assert_eq!(broker.budget("b")?.used, 3);
    let refused = producer.publish_message(text("more", 10)).unwrap_err();
    assert!(matches!(refused.error(), Error::Refused { queue, .. } if queue == "x"));
    clock.advance(ms(10));
    assert_eq!((mailbox.len().unwrap(), broker.budget("b")?.used), (1, 3));
    mailbox.get()?.ack()?;
    assert_eq!(broker.budget("b")?.used, 0);
    producer.publish_message(text("end", 10))?;
    broker.delete(&exchange)?;
    assert_eq!(broker.budget("b")?.used, 0);
    Ok(())
}
