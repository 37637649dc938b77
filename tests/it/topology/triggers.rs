//! Triggers and initiation queues.

use std::time::Duration;

use leveret::{
    AliasQueue, Broker, Error, FieldValue, ManualClock, Message, Queue, Result, Trigger,
    TriggerMessage, channel::AckMode,
};
use proptest::prelude::*;

use crate::common::{SECOND, advance_until, cases, channel_of};

const START: &str = "start";

fn broker_with(trigger: Trigger) -> (Broker, Queue) {
    let broker = Broker::new();
    broker.declare(&Queue::new(START)).unwrap();
    let queue = Queue::new("q").trigger(START, trigger);
    broker.declare(&queue).unwrap();
    (broker, queue)
}

/// The depths of the trigger messages since the last call.
fn started(broker: &Broker) -> Vec<u64> {
    let start = broker.simple_queue::<TriggerMessage>(START).unwrap();
    std::iter::from_fn(|| {
        let message = start.try_get().ok()?;
        assert_eq!(*message.queue, *"q");
        let depth = message.depth;
        message.ack().unwrap();
        Some(depth)
    })
    .collect()
}

fn take(broker: &Broker) -> Result<bool> {
    let got = channel_of(broker)?.basic_get("q", AckMode::Auto)?;
    Ok(got.is_some())
}

#[test]
fn the_first_message_triggers_and_again_when_the_queue_was_empty() -> Result {
    let (broker, queue) = broker_with(Trigger::First);
    let producer = broker.producer::<u32>(&queue)?;
    for number in 0..3 {
        producer.publish(number)?;
    }
    assert_eq!(started(&broker), [1]);
    assert!(take(&broker)? && take(&broker)?);
    producer.publish(3)?;
    assert!(started(&broker).is_empty());
    assert!(take(&broker)? && take(&broker)? && !take(&broker)?);
    producer.publish(4)?;
    assert_eq!(started(&broker), [1]);
    Ok(())
}

#[test]
fn a_consumer_keeps_the_trigger_quiet_and_its_end_triggers_for_what_is_left() -> Result {
    for (trigger, left) in [(Trigger::First, vec![2]), (Trigger::Depth(2), vec![2])] {
        let (broker, queue) = broker_with(trigger);
        let producer = broker.producer::<u32>(&queue)?;
        let consumer = broker.consumer::<u32>(&queue)?;
        for number in 0..3 {
            producer.publish(number)?;
        }
        consumer.recv()?.ack()?;
        assert!(started(&broker).is_empty());
        consumer.cancel();
        assert_eq!(started(&broker), left);
        // All messages are worked off, so the end of the consumer says nothing.
        let consumer = broker.consumer::<u32>(&queue)?;
        (0..2).try_for_each(|_| consumer.recv().unwrap().ack())?;
        consumer.cancel();
        assert!(started(&broker).is_empty());
    }
    Ok(())
}

#[test]
fn every_message_triggers_also_beside_a_consumer() -> Result {
    let (broker, queue) = broker_with(Trigger::Every);
    let producer = broker.producer::<u32>(&queue)?;
    producer.publish(0)?;
    producer.publish(1)?;
    assert_eq!(started(&broker), [1, 2]);
    let consumer = broker.consumer::<u32>(&queue)?;
    (0..2).try_for_each(|_| consumer.recv().unwrap().ack())?;
    producer.publish(2)?;
    assert_eq!(started(&broker).len(), 1);
    consumer.recv()?.ack()?;
    consumer.cancel();
    assert!(started(&broker).is_empty());
    Ok(())
}

#[test]
fn a_depth_triggers_once_until_it_is_armed_again() -> Result {
    let (broker, queue) = broker_with(Trigger::Depth(3));
    let producer = broker.producer::<u32>(&queue)?;
    for number in 0..5 {
        producer.publish(number)?;
    }
    assert_eq!(started(&broker), [3]);
    while take(&broker)? {}
    for number in 0..5 {
        producer.publish(number)?;
    }
    assert!(started(&broker).is_empty());
    broker.rearm_trigger("q")?;
    assert_eq!(started(&broker), [5]);
    while take(&broker)? {}
    broker.rearm_trigger("q")?;
    assert!(started(&broker).is_empty());
    for number in 0..5 {
        producer.publish(number)?;
    }
    assert_eq!(started(&broker), [3]);
    Ok(())
}

#[test]
fn a_delayed_message_triggers_when_it_is_due() -> Result {
    let clock = ManualClock::new();
    let broker = Broker::builder().clock(clock.clone()).build();
    let start = broker.simple_queue::<TriggerMessage>(START)?;
    let queue = Queue::new("q").trigger(START, Trigger::First);
    let producer = broker.producer::<u32>(&queue)?;
    producer.publish_message(Message::new(1).deliver_after(SECOND))?;
    assert!(start.is_empty().unwrap());
    clock.advance(SECOND);
    advance_until(&clock, || !start.is_empty().unwrap());
    Ok(())
}

#[test]
fn the_initiation_queue_may_be_an_alias_and_may_be_missing() -> Result {
    let broker = Broker::new();
    let lost = broker.simple_queue::<TriggerMessage>("lost")?;
    broker
        .vhost("/")?
        .set_dead_letter_queue(Some(&Queue::new("lost")))?;
    let queue = Queue::new("q").trigger("alias", Trigger::Every);
    let producer = broker.producer::<u32>(&queue)?;
    producer.publish(1)?;
    assert_eq!(lost.len().unwrap(), 1);
    broker.declare(&Queue::new(START))?;
    broker.declare(&AliasQueue::of_queue("alias", START))?;
    producer.publish(2)?;
    assert_eq!(started(&broker), [2]);
    Ok(())
}

#[test]
fn an_initiation_queue_may_have_a_trigger_itself() -> Result {
    let broker = Broker::new();
    let first = Queue::new("first").trigger("second", Trigger::First);
    let second = Queue::new("second").trigger("third", Trigger::Every);
    broker.declare(&first)?;
    broker.declare(&second)?;
    let third = broker.simple_queue::<TriggerMessage>("third")?;
    broker.producer::<u32>(&first)?.publish(1)?;
    let message = third.get_timeout(Duration::ZERO)?;
    assert_eq!(
        (&*message.queue, message.trigger),
        ("second", Trigger::Every)
    );
    message.ack()?;
    Ok(())
}

#[test]
fn invalid_triggers_are_refused() -> Result {
    let broker = Broker::new();
    let queue = || Queue::new("q");
    let argument = |queue: Queue, value: FieldValue| queue.argument("x-leveret-trigger", value);
    let named = || queue().argument("x-leveret-initiation-queue", START);
    for invalid in [
        queue().trigger(START, Trigger::Depth(0)),
        queue().trigger("", Trigger::First),
        argument(queue(), "first".into()),
        named(),
        argument(named(), "sometimes".into()),
        argument(named(), (-1).into()),
        argument(
            queue().argument("x-leveret-initiation-queue", 5),
            "first".into(),
        ),
    ] {
        let error = broker.declare(&invalid).unwrap_err();
        assert_eq!(error.reply_code(), Some(406), "{error}");
    }
    broker.declare(&queue())?;
    let error = broker.rearm_trigger("q").unwrap_err();
    assert!(matches!(error, Error::PreconditionFailed(_)));
    assert!(broker.rearm_trigger("missing").unwrap_err().is_not_found());
    let other = queue().trigger(START, Trigger::First);
    assert!(matches!(
        broker.declare(&other).unwrap_err(),
        Error::Inequivalent(_)
    ));
    Ok(())
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Publish,
    Take,
    Purge,
    Rearm,
}

proptest! {

    #![proptest_config(cases())]

    /// The model: the number of messages, and whether the trigger by depth is armed.
    #[test]
    fn triggers_come_when_the_rules_say(
        at in 1..5_u64,
        steps in proptest::collection::vec(
            prop_oneof![
                5 => Just(Step::Publish), 3 => Just(Step::Take), 1 => Just(Step::Purge),
                1 => Just(Step::Rearm),
            ],
            0..60,
        ),
    ) {
        for trigger in [Trigger::First, Trigger::Every, Trigger::Depth(at)] {
            let (broker, queue) = broker_with(trigger);
            let producer = broker.producer::<u32>(&queue).unwrap();
            let (mut depth, mut armed) = (0_u64, true);
            let mut expected = Vec::new();
            for step in steps.iter().copied() {
                match step {
                    Step::Publish => {
                        producer.publish(1).unwrap();
                        depth += 1;
                        let due = match trigger {
                            Trigger::First => depth == 1,
                            Trigger::Every => true,
                            _ => armed && depth >= at,
                        };
                        if due {
                            expected.push(depth);
                            armed = false;
                        }
                    }
                    Step::Take => {
                        prop_assert_eq!(take(&broker).unwrap(), depth > 0);
                        depth = depth.saturating_sub(1);
                    }
                    Step::Purge => {
                        broker.purge("q").unwrap();
                        depth = 0;
                    }
                    Step::Rearm => {
                        let rearmed = broker.rearm_trigger("q").is_ok();
                        prop_assert_eq!(rearmed, matches!(trigger, Trigger::Depth(_)));
                        armed |= rearmed;
                        if rearmed && depth >= at {
                            expected.push(depth);
                            armed = false;
                        }
                    }
                }
            }
            prop_assert_eq!(started(&broker), expected);
        }
    }
}
