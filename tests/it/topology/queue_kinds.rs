//! Alias queues and model queues.

use std::collections::BTreeMap;

use leveret::{
    AliasQueue, AliasTarget, Broker, Credentials, EntityKind, Error, Exchange, FieldTable,
    ModelQueue, Policy, Precondition, Queue, Result,
    channel::{AckMode, ConsumeOptions, IfEmpty, IfUnused, PublishOptions},
};
use proptest::prelude::*;

use crate::common::{cases, channel_of};

fn drain(broker: &Broker, queue: &str) -> Vec<u32> {
    let queue = broker.simple_queue::<u32>(queue).unwrap();
    std::iter::from_fn(|| {
        let message = queue.try_get().ok()?;
        let number = *message;
        message.ack().unwrap();
        Some(number)
    })
    .collect()
}

fn broker_with(queues: &[&str]) -> Broker {
    let broker = Broker::new();
    for queue in queues {
        broker.declare(&Queue::new(*queue)).unwrap();
    }
    broker
}

fn kind_error(error: &Error) -> String {
    match error {
        Error::PreconditionFailed(why) => match &**why {
            Precondition::QueueKind(text) => text.clone(),
            other => panic!("{other}"),
        },
        other => panic!("{other}"),
    }
}

#[test]
fn every_verb_resolves_an_alias() -> Result {
    let broker = broker_with(&["real"]);
    broker.declare(&AliasQueue::of_queue("alias", "real"))?;
    let channel = channel_of(&broker)?;
    let publish = |body: &str| {
        let options = PublishOptions::new().mandatory();
        channel.basic_publish("", "alias", body.to_owned(), Default::default(), options)
    };
    publish("1")?;
    publish("2")?;
    let declared = channel.queue_declare_passive("alias")?;
    assert_eq!((&*declared.name, declared.message_count), ("real", 2));
    assert_eq!(channel.queue_purge("alias")?, 2);
    publish("3")?;
    let got = channel.basic_get("alias", AckMode::Auto)?.unwrap();
    assert_eq!((&*got.body()?, got.routing_key()), (&b"3"[..], "alias"));
    channel.queue_bind("alias", "amq.fanout", "", FieldTable::new())?;
    broker
        .producer::<u32>(Exchange::existing("amq.fanout"))?
        .publish(4)?;
    assert_eq!(drain(&broker, "real"), [4]);
    channel.queue_unbind("alias", "amq.fanout", "", FieldTable::new())?;
    let unbound = broker
        .producer::<u32>(Exchange::existing("amq.fanout"))?
        .publish(5)?;
    assert_eq!(unbound.routed, 0);
    let tag = channel.basic_consume("alias", ConsumeOptions::new())?;
    assert_eq!(channel.queue_declare_passive("real")?.consumer_count, 1);
    channel.basic_cancel(&tag)?;
    broker.simple_queue::<u32>("alias")?.put(6)?;
    assert_eq!(drain(&broker, "alias"), [6]);
    let dead = Queue::new("source").dead_letter_exchange("").max_length(0);
    broker.declare(&dead.dead_letter_routing_key("alias"))?;
    broker.producer::<u32>("source")?.publish(7)?;
    assert_eq!(drain(&broker, "real"), [7]);
    Ok(())
}

#[test]
fn a_deletion_deletes_the_alias_and_its_target_stays() -> Result {
    for by_name in [true, false] {
        let broker = broker_with(&["real"]);
        let alias = AliasQueue::of_queue("alias", "real");
        broker.declare(&alias)?;
        let producer = broker.producer::<u32>("alias")?;
        producer.publish(1)?;
        match by_name {
            true => {
                let deleted = channel_of(&broker)?.queue_delete("alias", IfUnused::No, IfEmpty::No);
                assert_eq!(deleted?, 0);
            }
            false => broker.delete(&alias)?,
        }
        let refused = producer.publish(2).unwrap_err();
        assert!(matches!(refused.error(), Error::NoRoute { .. }));
        assert_eq!(drain(&broker, "real"), [1]);
        assert!(broker.snapshot()?.vhosts[0].aliases.is_empty());
        let error = broker.repoint(&alias).unwrap_err();
        assert_eq!(
            kind_error(&error),
            "queue 'alias' in vhost '/' is no alias queue"
        );
    }
    Ok(())
}

#[test]
fn consumers_stay_with_the_old_target_and_publishes_go_to_the_new_one() -> Result {
    let broker = broker_with(&["old", "new"]);
    broker.declare(&AliasQueue::of_queue("alias", "old"))?;
    let producer = broker.producer::<u32>("alias")?;
    let consumer = broker.consumer::<u32>("alias")?;
    producer.publish(1)?;
    broker.repoint(&AliasQueue::of_queue("alias", "new"))?;
    producer.publish(2)?;
    broker.producer::<u32>("old")?.publish(3)?;
    for number in [1, 3] {
        let delivery = consumer.try_recv()?;
        assert_eq!(*delivery, number);
        delivery.ack()?;
    }
    assert!(consumer.try_recv().is_err());
    assert_eq!(drain(&broker, "new"), [2]);
    Ok(())
}

#[test]
fn an_alias_of_an_exchange_publishes_and_binds_and_has_no_messages() -> Result {
    let broker = broker_with(&["q", "p"]);
    let all = Exchange::fanout("all");
    broker.declare(&Queue::new("q").bind(&all, ""))?;
    broker.declare(&AliasQueue::of_exchange("alias", "all"))?;
    let producer = broker.producer::<u32>("alias")?;
    assert_eq!(producer.publish(1)?.routed, 1);
    let channel = channel_of(&broker)?;
    channel.queue_bind("p", "all", "", FieldTable::new())?;
    assert_eq!(producer.publish(2)?.routed, 2);
    channel.queue_bind("alias", "amq.direct", "key", FieldTable::new())?;
    let direct = broker.producer::<u32>(Exchange::existing("amq.direct"))?;
    assert_eq!(direct.publish_to("key", 3)?.routed, 2);
    assert_eq!(drain(&broker, "q"), [1, 2, 3]);
    assert_eq!(channel.queue_declare_passive("alias")?.message_count, 0);
    let error = channel.basic_get("alias", AckMode::Auto).unwrap_err();
    let text = "queue 'alias' in vhost '/' is an alias of exchange 'all', which has no messages";
    assert_eq!(kind_error(&error), text);
    let channel = channel_of(&broker)?;
    assert!(channel.queue_purge("alias").is_err());
    assert!(broker.consumer::<u32>("alias").is_err());
    broker.repoint(&AliasQueue::of_queue("alias", "p"))?;
    assert_eq!(producer.publish(4)?.routed, 1);
    assert_eq!(drain(&broker, "p"), [2, 3, 4]);
    Ok(())
}

#[test]
fn an_alias_of_an_internal_exchange_takes_no_publish() -> Result {
    let broker = Broker::new();
    broker.declare(&Exchange::fanout("inner").internal())?;
    broker.declare(&AliasQueue::of_exchange("alias", "inner"))?;
    let error = broker.producer::<u32>("alias")?.publish(1).unwrap_err();
    assert_eq!(error.error().reply_code(), Some(403));
    Ok(())
}

#[test]
fn names_are_taken_once_and_bad_ones_are_refused() -> Result {
    let broker = broker_with(&["q"]);
    let alias = AliasQueue::of_queue("alias", "q");
    let model = ModelQueue::new("model", Queue::new(""));
    broker.declare(&alias)?;
    broker.declare(&alias)?;
    broker.declare(&model)?;
    broker.declare(&model)?;
    let text = |error: Error| kind_error(&error);
    let other = broker
        .declare(&AliasQueue::of_queue("alias", "p"))
        .unwrap_err();
    assert!(matches!(other, Error::Inequivalent(_)));
    let is = |name: &str, kind: &str| format!("queue '{name}' in vhost '/' is {kind}");
    let queue = |name: &str| broker.declare(&Queue::new(name)).unwrap_err();
    assert_eq!(text(queue("alias")), is("alias", "an alias queue"));
    assert_eq!(text(queue("model")), is("model", "a model queue"));
    for name in ["q", "model"] {
        let error = broker
            .declare(&AliasQueue::of_queue(name, "p"))
            .unwrap_err();
        assert!(text(error).starts_with(&is(name, "a ")));
    }
    for name in ["q", "alias"] {
        let error = broker
            .declare(&ModelQueue::new(name, Queue::new("")))
            .unwrap_err();
        assert!(text(error).starts_with(&is(name, "a")));
    }
    let changed = model.clone().permanent();
    assert_eq!(
        text(broker.declare(&changed).unwrap_err()),
        is("model", "another model queue")
    );
    assert!(broker.consumer::<u32>("model").is_err());
    let long = "x".repeat(256);
    for (name, target) in [
        ("", "q"),
        ("a", ""),
        ("amq.a", "q"),
        (&*long, "q"),
        ("a", &*long),
    ] {
        assert!(broker.declare(&AliasQueue::of_queue(name, target)).is_err());
    }
    for pattern in [
        "",
        "no star",
        "two ** stars",
        "amq.*",
        &*format!("{}*", "x".repeat(240)),
    ] {
        let model = ModelQueue::new("m", Queue::new("")).pattern(pattern);
        assert!(broker.declare(&model).is_err(), "{pattern}");
    }
    let invalid = ModelQueue::new("m", Queue::new("").argument("x-max-length", "five"));
    assert_eq!(
        broker.declare(&invalid).unwrap_err().reply_code(),
        Some(406)
    );
    assert!(
        broker
            .declare(&ModelQueue::new("m", Queue::quorum("")))
            .is_err()
    );
    Ok(())
}

#[test]
fn temporary_queues_end_with_their_connection_and_permanent_ones_stay() -> Result {
    let broker = Broker::new();
    let template = Queue::new("unused").max_length(1).bind("amq.fanout", "");
    let temporary = ModelQueue::new("temporary", template.clone());
    let permanent = ModelQueue::new("permanent", template)
        .pattern("p-*-p")
        .permanent();
    broker.declare(&temporary)?;
    broker.declare(&permanent)?;
    let connection = broker.connect("/", Credentials::guest())?;
    let first = connection.open_model_queue("temporary")?;
    let second = connection.open_model_queue("temporary")?;
    let stays = connection.open_model_queue("permanent")?;
    assert_ne!(first.name(), second.name());
    assert!(stays.name().starts_with("p-") && stays.name().ends_with("-p"));
    let producer = broker.producer::<u32>(Exchange::existing("amq.fanout"))?;
    assert_eq!(producer.publish(1)?.routed, 3);
    assert_eq!(
        broker.consumer::<u32>(&first).unwrap_err().reply_code(),
        Some(405)
    );
    producer.publish(2)?;
    connection.close()?;
    assert_eq!(producer.publish(3)?.routed, 1);
    assert_eq!(drain(&broker, stays.name()), [3]);
    broker.delete(&permanent)?;
    assert_eq!(producer.publish(4)?.routed, 1);
    let error = broker.open_model_queue("permanent").unwrap_err();
    assert_eq!(
        kind_error(&error),
        "queue 'permanent' in vhost '/' is no model queue"
    );
    let shown = &broker.snapshot()?.vhosts[0].model_queues;
    assert_eq!(shown, &[temporary]);
    Ok(())
}

#[test]
fn the_permission_of_the_target_is_asked_too() -> Result {
    let broker = broker_with(&["q"]);
    broker.declare(&AliasQueue::of_queue("alias", "q"))?;
    // The guest may do everything. That the target is asked shows in its exclusive lock.
    let owner = broker.connect("/", Credentials::guest())?;
    owner.declare(&Queue::new("own").exclusive_flag())?;
    broker.repoint(&AliasQueue::of_queue("alias", "own"))?;
    let error = broker.consumer::<u32>("alias").unwrap_err();
    assert!(matches!(error, Error::ResourceLocked { .. }), "{error}");
    Ok(())
}

#[test]
fn a_policy_applies_to_the_queue_and_not_to_its_alias() -> Result {
    let broker = broker_with(&["q"]);
    broker.declare(&AliasQueue::of_queue("alias", "q"))?;
    let vhost = broker.vhost("/")?;
    vhost.set_policy(
        Policy::new("short", "^alias$").definition(FieldTable::from([("max-length", 0)])),
    )?;
    broker.producer::<u32>("alias")?.publish(1)?;
    assert_eq!(drain(&broker, "alias"), [1]);
    assert_eq!(EntityKind::Queue.to_string(), "queue");
    Ok(())
}

#[derive(Clone, Debug)]
enum Step {
    Declare(u8, AliasTarget),
    Repoint(u8, AliasTarget),
    Delete(u8),
    Queue(u8),
    DeleteQueue(u8),
    Publish(u8),
}

/// Names 0 to 3 are mostly aliases, and 4 to 6 mostly queues.
fn name(number: u8) -> String {
    format!("n{number}")
}

fn target() -> impl Strategy<Value = AliasTarget> {
    prop_oneof![
        4 => (0..7_u8).prop_map(|number| AliasTarget::Queue(name(number))),
        1 => Just(AliasTarget::Exchange("all".to_owned())),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..5_u8, target()).prop_map(|(name, target)| Step::Declare(name, target)),
        3 => (0..5_u8, target()).prop_map(|(name, target)| Step::Repoint(name, target)),
        1 => (0..5_u8).prop_map(Step::Delete),
        2 => (3..7_u8).prop_map(Step::Queue),
        1 => (3..7_u8).prop_map(Step::DeleteQueue),
        6 => (0..7_u8).prop_map(Step::Publish),
    ];
    proptest::collection::vec(step, 0..60)
}

fn alias(name: &str, target: &AliasTarget) -> AliasQueue {
    match target {
        AliasTarget::Exchange(exchange) => AliasQueue::of_exchange(name, exchange),
        queue => AliasQueue::of_queue(name, queue.name()),
    }
}

/// The end of a name in the model; `None` for a cycle.
fn end(aliases: &BTreeMap<String, AliasTarget>, start: &str) -> Option<AliasTarget> {
    let mut here = AliasTarget::Queue(start.to_owned());
    for _ in 0..=aliases.len() {
        let AliasTarget::Queue(queue) = &here else {
            return Some(here);
        };
        match aliases.get(queue) {
            None => return Some(here),
            Some(next) => here = next.clone(),
        }
    }
    None
}

proptest! {

    #![proptest_config(cases())]

    #[test]
    fn aliases_lead_where_a_table_of_names_says(steps in steps()) {
        let broker = Broker::new();
        let all = Exchange::fanout("all");
        broker.declare(&Queue::new("of all").bind(&all, "")).unwrap();
        let mut aliases: BTreeMap<String, AliasTarget> = BTreeMap::new();
        let mut queues: BTreeMap<String, Vec<u32>> = BTreeMap::new();
        queues.insert("of all".to_owned(), Vec::new());
        // Remembered routes are the point, so each producer stays.
        let producer = broker.producer::<u32>(Exchange::existing("")).unwrap();
        for (number, step) in (0..).zip(steps) {
            match step {
                Step::Declare(at, target) => {
                    let at = name(at);
                    let mut with = aliases.clone();
                    with.insert(at.clone(), target.clone());
                    let fits = match aliases.get(&at) {
                        Some(there) => *there == target,
                        None => !queues.contains_key(&at) && end(&with, &at).is_some(),
                    };
                    prop_assert_eq!(broker.declare(&alias(&at, &target)).is_ok(), fits);
                    if fits {
                        aliases = with;
                    }
                }
                Step::Repoint(at, target) => {
                    let at = name(at);
                    let mut with = aliases.clone();
                    let there = with.insert(at.clone(), target.clone()).is_some();
                    let fits = there && end(&with, &at).is_some();
                    prop_assert_eq!(broker.repoint(&alias(&at, &target)).is_ok(), fits);
                    if fits {
                        aliases = with;
                    }
                }
                Step::Delete(at) => {
                    let at = name(at);
                    aliases.remove(&at);
                    broker.delete(&AliasQueue::of_queue(&*at, "any")).unwrap();
                }
                Step::Queue(at) => {
                    let at = name(at);
                    let fits = !aliases.contains_key(&at);
                    prop_assert_eq!(broker.declare(&Queue::new(&*at)).is_ok(), fits);
                    if fits {
                        queues.entry(at).or_default();
                    }
                }
                Step::DeleteQueue(at) => {
                    let at = name(at);
                    broker.delete(&Queue::new(&*at)).unwrap();
                    if aliases.remove(&at).is_none() {
                        queues.remove(&at);
                    }
                }
                Step::Publish(at) => {
                    let to = match end(&aliases, &name(at)).unwrap() {
                        AliasTarget::Queue(queue) => queue,
                        _ => "of all".to_owned(),
                    };
                    let routed = producer.publish_to(&name(at), number).unwrap().routed;
                    prop_assert_eq!(routed, usize::from(queues.contains_key(&to)));
                    if let Some(messages) = queues.get_mut(&to) {
                        messages.push(number);
                    }
                }
            }
        }
        for (queue, messages) in queues {
            prop_assert_eq!(drain(&broker, &queue), messages);
        }
    }
}
