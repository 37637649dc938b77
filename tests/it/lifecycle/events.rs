//! The events of a broker: those that RabbitMQ sends, in its order.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use leveret::{
    AliasQueue, ApplyTo, Broker, BrokerEvent, CancelReason, Channel, Clock, Connection,
    ConnectionOptions, Credentials, EventKind, Exchange, Feed, FieldTable, FieldValue, ManualClock,
    Permissions, Policy, Properties, Queue, RecvError, RecvTimeoutError, TopicPermissions,
    TryRecvError, User, UserLimits, VhostLimits, VhostMetadata,
    channel::{AckMode, ConsumeOptions, IfEmpty, IfUnused, PublishOptions},
};
use serde_json::Value;

use crate::common::{channel_of, connect};

/// The events of a RabbitMQ 4.3.6 (`amq.rabbitmq.event`), without the fields of a server only.
const RECORDED: &str = include_str!("events-4.3.6.json");

/// What a step leaves for later ones.
#[derive(Default)]
struct Site {
    connection: Option<Connection>,
    channel: Option<Channel>,
    second: Option<Channel>,
}

impl Site {
    fn channel(&self) -> &Channel {
        self.channel.as_ref().unwrap()
    }

    fn connection(&self) -> &Connection {
        self.connection.as_ref().unwrap()
    }

    /// Does what the recording did. `false` if that cannot be done here.
    fn act(&mut self, broker: &Broker, step: &str) -> bool {
        let none = FieldTable::new;
        match step {
            "user created" => broker
                .add_user(User::new("ev").password("a").tag("monitoring"))
                .unwrap(),
            "user tags changed" => {
                let tags = ["administrator", "impersonator"];
                broker
                    .put_user(User::new("ev").password("b").tags(tags))
                    .unwrap();
            }
            "password changed" => {
                broker
                    .put_user(User::new("ev").password("c").tag("administrator"))
                    .unwrap();
            }
            "vhost created" => {
                broker.create_vhost("evv").unwrap();
            }
            "vhost metadata changed" => {
                let metadata = VhostMetadata::new().description("e");
                broker.set_vhost_metadata("evv", metadata).unwrap();
            }
            "permission set" => {
                let permissions = Permissions::new("a", "b", ".*");
                broker.set_permissions("evv", "ev", &permissions).unwrap();
            }
            "guest permission" => {
                broker
                    .set_permissions("evv", "guest", &Permissions::all())
                    .unwrap();
            }
            "topic permission set" => {
                let permissions = TopicPermissions::new("amq.topic", "a", "b");
                broker
                    .set_topic_permissions("evv", "ev", &permissions)
                    .unwrap();
            }
            "topic permission deleted" => {
                assert!(broker.clear_topic_permissions("evv", "ev", None).unwrap());
            }
            "policy set" | "policy changed" => {
                let limit = if step == "policy set" { 9 } else { 8 };
                let policy = Policy::new("p", "^q").setting("max-length", limit);
                let policy = policy.apply_to(ApplyTo::Queues).priority(2);
                broker.vhost("evv").unwrap().set_policy(policy).unwrap();
            }
            "operator policy set" => {
                let policy = Policy::new("o", "^none").setting("max-length", 9);
                let policy = policy.apply_to(ApplyTo::Queues);
                broker
                    .vhost("evv")
                    .unwrap()
                    .set_operator_policy(policy)
                    .unwrap();
            }
            "vhost limit set" => {
                let limits = VhostLimits::new().max_queues(100);
                broker.set_vhost_limits("evv", limits).unwrap();
            }
            "user limit set" => {
                let limits = UserLimits::new().max_channels(100);
                broker.set_user_limits("ev", limits).unwrap();
            }
            "global parameter set" => broker.set_global_parameter("gp", Value::from(1)).unwrap(),
            "connection opened" => {
                let guest = broker.authenticate(Credentials::guest()).unwrap();
                let connection = broker.connect_as(&guest, "evv", ConnectionOptions::new());
                self.connection = Some(connection.unwrap());
            }
            "channel opened" => self.channel = Some(self.connection().open_channel().unwrap()),
            "exchange declared" | "exchange declared again" => {
                let exchange = Exchange::topic("x").durable().alternate("ae");
                self.channel().exchange_declare(&exchange).unwrap();
            }
            "queue declared" => {
                let queue = Queue::new("q").durable().max_length(5);
                self.channel().queue_declare(&queue).unwrap();
            }
            "quorum queue declared" => {
                self.channel().queue_declare(&Queue::quorum("qq")).unwrap();
            }
            "exclusive queue declared" => {
                self.channel()
                    .queue_declare(&Queue::new("ex").exclusive_flag())
                    .unwrap();
            }
            "auto-delete queue declared" => {
                self.channel()
                    .queue_declare(&Queue::new("ad").auto_delete())
                    .unwrap();
            }
            "bound" => {
                let arguments = FieldTable::from([("n", 1)]);
                self.channel()
                    .queue_bind("q", "x", "a.#", arguments)
                    .unwrap();
            }
            "bound again" => {
                let arguments = FieldTable::from([("n", 1)]);
                self.channel()
                    .queue_bind("q", "x", "a.#", arguments)
                    .unwrap();
            }
            "exchange bound" => {
                self.channel()
                    .exchange_bind("x", "amq.direct", "k", none())
                    .unwrap();
            }
            "consumer" => {
                let options = ConsumeOptions::new().tag("t").priority(3);
                self.channel().basic_consume("q", options).unwrap();
            }
            "consumer cancelled" => self.channel().basic_cancel("t").unwrap(),
            "auto-ack exclusive consumer" => {
                let options = ConsumeOptions::new().tag("t2").auto_ack().exclusive();
                self.channel().basic_consume("ad", options).unwrap();
            }
            "its cancel deletes the auto-delete queue" => {
                self.channel().basic_cancel("t2").unwrap();
            }
            "publish, get, ack" => {
                let (properties, options) = (Properties::new(), PublishOptions::new());
                self.channel()
                    .basic_publish("", "q", "m", properties, options)
                    .unwrap();
                assert!(
                    self.channel()
                        .basic_get("q", AckMode::Auto)
                        .unwrap()
                        .is_some()
                );
            }
            "purge" => {
                self.channel().queue_purge("q").unwrap();
            }
            "unbound" => {
                let arguments = FieldTable::from([("n", 1)]);
                self.channel()
                    .queue_unbind("q", "x", "a.#", arguments)
                    .unwrap();
            }
            "bound for the delete" => {
                self.channel().queue_bind("q", "x", "z", none()).unwrap();
            }
            "queue deleted (bound)" => {
                self.channel()
                    .queue_delete("q", IfUnused::No, IfEmpty::No)
                    .unwrap();
            }
            "exchange deleted (bound)" => {
                self.channel().exchange_delete("x", IfUnused::No).unwrap();
            }
            "second channel" => self.second = Some(self.connection().open_channel().unwrap()),
            // An error closes no channel here, so the program does it.
            "channel error (404)" => self.second.take().unwrap().close().unwrap(),
            "channel closed" => self.channel.take().unwrap().close().unwrap(),
            "connection closed" => self.connection.take().unwrap().close().unwrap(),
            "wrong password (403)" => {
                broker
                    .authenticate(Credentials::new("ev", "wrong"))
                    .unwrap_err();
            }
            "policy deleted" => {
                assert!(broker.vhost("evv").unwrap().clear_policy("p").unwrap());
            }
            "operator policy deleted" => {
                assert!(
                    broker
                        .vhost("evv")
                        .unwrap()
                        .clear_operator_policy("o")
                        .unwrap()
                );
            }
            "global parameter deleted" => assert!(broker.clear_global_parameter("gp").unwrap()),
            "permission deleted" => assert!(broker.clear_permissions("evv", "ev").unwrap()),
            "vhost deleted" => broker.delete_vhost("evv").unwrap(),
            "user deleted" => broker.delete_user("ev").unwrap(),
            _ => return false,
        }
        true
    }
}

fn drain(events: &Feed<BrokerEvent>) -> Vec<BrokerEvent> {
    std::iter::from_fn(|| events.try_recv().ok()).collect()
}

/// The events that only RabbitMQ has.
fn is_foreign(event: &Value) -> bool {
    let name = event["name"].as_str().unwrap();
    let of_server = ["vhost.down", "queue.policy.cleared"];
    of_server.contains(&name) || event["fields"]["component"] == "exchange-delete-in-progress"
}

/// Fields that have another form here, or are not known.
const DIFFERENT: &[&str] = &[
    "arguments",
    "consumer_count",
    "description",
    "tags",
    "value",
];

#[test]
fn the_events_are_those_of_rabbitmq() {
    let steps: Vec<Value> = serde_json::from_str(RECORDED).unwrap();
    let broker = Broker::new();
    let events = broker.events();
    let (mut site, mut compared) = (Site::default(), 0);
    for step in &steps {
        let after = step["after"].as_str().unwrap();
        if !site.act(&broker, after) {
            continue;
        }
        let mut own = drain(&events);
        let recorded = step["events"].as_array().unwrap().iter();
        let mut recorded: Vec<_> = recorded.filter(|event| !is_foreign(event)).collect();
        if after == "bound again" {
            // A binding that exists already is none that is made.
            recorded.clear();
        }
        if after == "wrong password (403)" {
            // There is no connection before the login here.
            recorded.retain(|event| event["name"] != "connection.closed");
        }
        if after == "vhost created" {
            // The order of the exchanges has no meaning.
            own.sort_by_key(|event| order(event.kind().as_str(), event.text("name")));
            recorded.sort_by_key(|event| {
                order(
                    event["name"].as_str().unwrap(),
                    event["fields"]["name"].as_str(),
                )
            });
        }
        let names = |own: &BrokerEvent| own.kind().to_string();
        let mut expected: Vec<_> = recorded
            .iter()
            .map(|event| event["name"].as_str().unwrap())
            .collect();
        let mut found: Vec<_> = own.iter().map(names).collect();
        if after == "vhost deleted" {
            // The limits go with it here, without an event. The order of the others has no meaning.
            expected
                .retain(|name| !name.starts_with("vhost.limits") && *name != "parameter.cleared");
            expected.sort_unstable();
            found.sort_unstable();
        }
        assert_eq!(found, expected, "after {after}");
        if after == "vhost deleted" {
            continue;
        }
        for (own, recorded) in own.iter().zip(recorded) {
            for (name, value) in recorded["fields"].as_object().unwrap() {
                let is_client = after.contains("connection") || after.contains("channel");
                if DIFFERENT.contains(&name.as_str())
                    || is_client && ["name", "type"].contains(&name.as_str())
                {
                    continue;
                }
                let found = own
                    .get(name)
                    .map(|found| serde_json::to_value(found).unwrap());
                let found = found.unwrap_or_else(|| panic!("after {after}: {own} lacks {name}"));
                assert_eq!(
                    plain(&found),
                    plain(value),
                    "after {after}: {name} of {own}"
                );
                compared += 1;
            }
        }
    }
    assert!(compared > 100, "{compared}");
}

/// The exchanges by name, and everything else behind them.
fn order(kind: &str, name: Option<&str>) -> (bool, String) {
    let is_exchange = kind == "exchange.created";
    let name = name.filter(|_| is_exchange).unwrap_or_default();
    (!is_exchange, name.to_owned())
}

/// The value without the type of the field.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(fields) if fields.contains_key("$type") => plain(&fields["value"]),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), plain(value)))
            .collect(),
        Value::Array(values) => values.iter().map(plain).collect(),
        other => other.clone(),
    }
}

#[test]
fn the_user_who_acts_is_named() {
    let broker = Broker::new();
    broker.add_user(User::new("ada").password("a")).unwrap();
    broker
        .set_permissions("/", "ada", &Permissions::all())
        .unwrap();
    let ada = broker.connect("/", Credentials::new("ada", "a")).unwrap();
    let events = broker.events();
    ada.declare(&Queue::new("hers")).unwrap();
    broker.declare(&Queue::new("the program's")).unwrap();
    drop(
        ada.consumer::<u32>(&Queue::new("short").auto_delete())
            .unwrap(),
    );
    broker.clear_permissions("/", "ada").unwrap();
    let by: Vec<_> = drain(&events)
        .iter()
        .map(|event| (event.kind(), event.user().map(str::to_owned)))
        .collect();
    let by: Vec<_> = by.iter().map(|(kind, by)| (*kind, by.as_deref())).collect();
    assert_eq!(
        by,
        [
            (EventKind::QueueCreated, Some("ada")),
            (EventKind::QueueCreated, Some("guest")),
            (EventKind::QueueCreated, Some("ada")),
            (EventKind::ConsumerCreated, Some("ada")),
            (EventKind::ConsumerDeleted, Some("ada")),
            (EventKind::QueueDeleted, Some("rmq-internal")),
            (EventKind::PermissionDeleted, Some("guest")),
        ]
    );
}

#[test]
fn the_events_of_a_consumer_name_its_connection_and_its_channel() {
    let broker = Broker::new();
    let connection = connect(&broker).unwrap();
    let channel = connection.open_channel().unwrap();
    channel.queue_declare(&Queue::new("q")).unwrap();
    let events = broker.events();
    let options = ConsumeOptions::new().tag("t");
    channel.basic_consume("q", options).unwrap();
    channel.basic_cancel("t").unwrap();
    drop(connection.consumer::<u32>("q").unwrap());
    let number = broker.snapshot().unwrap().vhosts[0].connections[1].number;
    let number = FieldValue::Long(number.try_into().unwrap());
    let all = drain(&events);
    assert_eq!(all.len(), 4);
    for (place, event) in all.iter().enumerate() {
        assert_eq!(event.get("connection"), Some(&number), "{event}");
        let channel = FieldValue::Int(i32::from(channel.number()));
        let by_channel = Some(&channel).filter(|_| place < 2);
        assert_eq!(event.get("channel"), by_channel, "{event}");
    }
}

/// A clock with a wall-clock time that the test sets, and that says when it is read.
#[derive(Debug)]
struct Set {
    wall: Mutex<SystemTime>,
    readings: AtomicU64,
}

impl Clock for Set {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn system_now(&self) -> SystemTime {
        self.readings.fetch_add(1, SeqCst);
        *self.wall.lock().unwrap()
    }
}

#[test]
fn each_event_has_the_time_of_the_broker() {
    let clock = ManualClock::new();
    let broker = Broker::builder().clock(clock.clone()).build();
    let events = broker.events();
    let first = clock.system_now();
    broker.declare(&Queue::new("q")).unwrap();
    clock.advance(Duration::from_secs(60));
    broker.delete(&Queue::new("q")).unwrap();
    let times: Vec<_> = drain(&events).iter().map(BrokerEvent::timestamp).collect();
    assert_eq!(times, [first, first + Duration::from_secs(60)]);
}

// Events are made under locks, where no code of the user may run.
#[test]
fn a_clock_of_the_user_is_not_read_for_an_event() {
    let noon = SystemTime::UNIX_EPOCH + Duration::from_secs(43_200);
    let clock = Arc::new(Set {
        wall: Mutex::new(noon),
        readings: AtomicU64::new(0),
    });
    let broker = Broker::builder().clock(Arc::clone(&clock)).build();
    let events = broker.events();
    let readings = clock.readings.load(SeqCst);
    broker.declare(&Queue::new("q")).unwrap();
    assert_eq!(clock.readings.load(SeqCst), readings);
    // The last reading was in the same hour.
    let since = events.recv().unwrap().timestamp().duration_since(noon);
    assert!(since.unwrap() < Duration::from_secs(3600));
}

#[test]
fn a_declaration_that_fails_causes_no_event() {
    let broker = Broker::new();
    let x = Exchange::headers("x");
    broker.declare(&Queue::new("q")).unwrap();
    let events = broker.events();
    let binding = leveret::Binding::new(&x, "").arguments([("x-match", "no such")]);
    broker
        .declare(&Queue::new("other").binding(binding))
        .unwrap_err();
    broker.declare(&Queue::new("q").durable()).unwrap_err();
    broker.declare(&Queue::new("q")).unwrap();
    assert!(drain(&events).is_empty());
}

#[test]
fn a_connection_ends_with_its_channels_and_its_consumers() {
    let broker = Broker::new();
    let connection = connect(&broker).unwrap();
    let channel = connection.open_channel().unwrap();
    channel.queue_declare(&Queue::new("q")).unwrap();
    channel
        .basic_consume("q", ConsumeOptions::new().tag("t"))
        .unwrap();
    let consumer = connection.consumer::<u32>("q").unwrap();
    let events = broker.events();
    connection.close().unwrap();
    let kinds: Vec<_> = drain(&events).iter().map(BrokerEvent::kind).collect();
    assert_eq!(
        kinds,
        [
            EventKind::ConsumerDeleted,
            EventKind::ChannelClosed,
            EventKind::ConsumerDeleted,
            EventKind::ConnectionClosed,
        ]
    );
    drop((consumer, channel));
    assert!(events.is_empty(), "each end is told once");
}

#[test]
fn a_reader_who_stops_reading_costs_a_bounded_buffer_and_no_one_waits() {
    let broker = Broker::new();
    let (slow, other) = (broker.events_with_capacity(3), broker.events());
    for number in 0..10 {
        broker.declare(&Queue::new(format!("q{number}"))).unwrap();
    }
    assert_eq!((slow.len(), slow.missed()), (3, 7));
    assert_eq!((other.len(), other.missed()), (10, 0));
    assert_eq!(slow.recv().unwrap().text("name"), Some("q0"));
    broker.delete(&Queue::new("q0")).unwrap();
    let rest: Vec<_> = drain(&slow)
        .iter()
        .map(|event| event.text("name").unwrap().to_owned())
        .collect();
    assert_eq!(rest, ["q1", "q2", "q0"]);
}

#[test]
fn a_feed_waits_and_ends_with_its_broker() {
    let broker = Broker::new();
    let events = broker.events();
    assert!(matches!(events.try_recv(), Err(TryRecvError::Empty)));
    let short = events.recv_timeout(Duration::from_millis(1));
    assert!(matches!(short, Err(RecvTimeoutError::Timeout)));
    let reader = {
        let events = events.clone();
        thread::spawn(move || (events.recv(), events.recv()))
    };
    broker.declare(&Queue::new("q")).unwrap();
    broker.shutdown(Duration::ZERO).unwrap();
    let (event, end) = reader.join().unwrap();
    assert_eq!(event.unwrap().kind(), EventKind::QueueCreated);
    assert!(matches!(
        end,
        Err(RecvError::Cancelled(CancelReason::ShutDown))
    ));
    let late = broker.events();
    assert!(matches!(
        late.recv(),
        Err(RecvError::Cancelled(CancelReason::ShutDown))
    ));
}

#[test]
fn the_events_of_racing_threads_have_the_order_of_their_causes() {
    let broker = Broker::new();
    let events = broker.events();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    broker.declare(&Queue::new("q")).unwrap();
                    broker.delete(&Queue::new("q")).unwrap();
                }
            });
        }
    });
    let mut is_there = false;
    for event in drain(&events) {
        match event.kind() {
            EventKind::QueueCreated => assert!(!std::mem::replace(&mut is_there, true)),
            EventKind::QueueDeleted => assert!(std::mem::replace(&mut is_there, false)),
            other => panic!("{other}"),
        }
    }
    assert!(!is_there);
}

#[test]
fn aliases_and_the_end_of_a_broker_cause_no_events() {
    let broker = Broker::new();
    broker.declare(&Queue::new("q")).unwrap();
    let channel = channel_of(&broker).unwrap();
    let events = broker.events();
    broker.declare(&AliasQueue::of_queue("alias", "q")).unwrap();
    drop(broker);
    let ends = [EventKind::ChannelClosed, EventKind::ConnectionClosed];
    assert!(
        drain(&events)
            .iter()
            .all(|event| ends.contains(&event.kind()))
    );
    drop(channel);
}

#[test]
fn every_kind_has_a_name_of_its_own() {
    let names: std::collections::BTreeSet<_> =
        EventKind::ALL.iter().map(|kind| kind.as_str()).collect();
    assert_eq!(names.len(), EventKind::ALL.len());
}
