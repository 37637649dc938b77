//! Explanations of routes agree with the routes.

use std::collections::BTreeSet;

use leveret::{
    AliasQueue, Binding, Broker, Budget, Channel, Error, Exchange, ExplainedDestination,
    FieldTable, FieldValue, MatchReason, Message, Overflow, Queue, QueueOutlook,
};
use proptest::prelude::*;

use crate::common::channel_of;

const TYPES: [&str; 6] = [
    "direct",
    "fanout",
    "topic",
    "headers",
    "x-consistent-hash",
    "x-recent-history",
];

#[derive(Clone, Debug)]
struct World {
    /// The type and the alternate exchange of each.
    exchanges: Vec<(usize, Option<usize>)>,
    /// The limit, the overflow and the messages of each.
    queues: Vec<(Option<u64>, usize, usize)>,
    bindings: Vec<Bound>,
}

/// The source, the destination, whether that is a queue, the key, and a condition.
type Bound = (usize, usize, bool, String, Option<(u8, bool)>);

#[derive(Clone, Debug)]
struct Sent {
    exchange: Option<usize>,
    key: String,
    cc: Vec<String>,
    header: Option<u8>,
}

const EXCHANGES: usize = 5;
const QUEUES: usize = 5;

fn worlds() -> impl Strategy<Value = World> {
    let exchanges = proptest::collection::vec(
        (0..TYPES.len(), proptest::option::of(0..EXCHANGES)),
        EXCHANGES,
    );
    let queues = proptest::collection::vec(
        (proptest::option::of(0..3_u64), 0..3_usize, 0..3_usize),
        QUEUES,
    );
    let pattern = "([ab*#](\\.[ab*]){0,2})";
    let bindings = proptest::collection::vec(
        (
            0..EXCHANGES,
            0..QUEUES,
            prop::bool::weighted(0.6),
            pattern,
            proptest::option::of((0..2_u8, any::<bool>())),
        ),
        0..20,
    );
    (exchanges, queues, bindings).prop_map(|(exchanges, queues, bindings)| World {
        exchanges,
        queues,
        bindings,
    })
}

fn messages() -> impl Strategy<Value = Sent> {
    let key = "([ab](\\.[ab]){0,2})|q[0-5]";
    (
        proptest::option::weighted(0.85, 0..EXCHANGES),
        key,
        proptest::collection::vec(key, 0..3),
        proptest::option::of(0..2_u8),
    )
        .prop_map(|(exchange, key, cc, header)| Sent {
            exchange,
            key,
            cc,
            header,
        })
}

fn exchange(at: usize) -> Exchange {
    Exchange::existing(format!("e{at}"))
}

fn build(broker: &Broker, world: &World) {
    for (at, (kind, alternate)) in world.exchanges.iter().enumerate() {
        let mut described = Exchange::new(format!("e{at}"), TYPES[*kind]);
        if let Some(alternate) = alternate {
            described = described.alternate(format!("e{alternate}"));
        }
        broker.declare(&described).unwrap();
    }
    let overflows = [
        Overflow::DropHead,
        Overflow::RejectPublish,
        Overflow::RejectPublishDlx,
    ];
    for (at, (limit, overflow, filled)) in world.queues.iter().enumerate() {
        let mut queue = Queue::new(format!("q{at}"))
            .overflow(overflows[*overflow])
            .dead_letter_exchange("amq.fanout");
        if let Some(limit) = limit {
            queue = queue.max_length(*limit);
        }
        let producer = broker.producer::<u8>(&queue).unwrap();
        for _ in 0..*filled {
            let _ = producer.publish(0);
        }
    }
    for (source, destination, to_queue, key, condition) in &world.bindings {
        let key = match TYPES[world.exchanges[*source].0] {
            "x-consistent-hash" => "2",
            _ => key,
        };
        let mut binding = Binding::new(exchange(*source), key);
        if let Some((value, any)) = condition {
            let x_match = if *any { "any" } else { "all" };
            let arguments = FieldTable::from([("h", FieldValue::from(*value))]);
            binding = binding.arguments(arguments.with("x-match", x_match));
        }
        let bound = match to_queue {
            true => broker
                .declare(&Queue::existing(format!("q{destination}")).binding(binding))
                .map(drop),
            false => broker
                .declare(&exchange(*destination).binding(binding))
                .map(drop),
        };
        // Some patterns have too many hashes.
        let _ = bound;
    }
}

fn depth(channel: &Channel, queue: usize) -> u64 {
    let queue = Queue::existing(format!("q{queue}"));
    channel.queue_declare(&queue).unwrap().message_count
}

proptest! {

    #![proptest_config(crate::common::cases())]

    #[test]
    fn an_explanation_has_the_queues_that_a_publish_reaches(
        world in worlds(),
        sent in proptest::collection::vec(messages(), 1..4),
    ) {
        let broker = Broker::new();
        build(&broker, &world);
        let channel = channel_of(&broker).unwrap();
        for sent in sent {
            let mut headers = FieldTable::new();
            if !sent.cc.is_empty() {
                let cc = sent.cc.iter().map(|key| FieldValue::from(key.as_str()));
                headers.insert("CC", FieldValue::Array(cc.collect()));
            }
            if let Some(value) = sent.header {
                headers.insert("h", value);
            }
            let to = sent.exchange.map_or_else(|| Exchange::existing(""), exchange);
            let why = broker.explain(&to, &sent.key, &headers).unwrap();

            // The queues at the ends of the way are the queues of the route.
            let mut ends = BTreeSet::new();
            for exchange in &why.exchanges {
                for binding in &exchange.matching {
                    match &binding.destination {
                        ExplainedDestination::Queue(queue) => {
                            ends.insert(queue.to_string());
                        }
                        ExplainedDestination::Exchange(next) => {
                            prop_assert!(why.exchange(next).is_some());
                        }
                        _ => {}
                    }
                }
            }
            let queues: Vec<_> = why.queue_names().map(|name| name.to_string()).collect();
            prop_assert_eq!(&ends, &queues.iter().cloned().collect::<BTreeSet<_>>());
            prop_assert_eq!(ends.len(), queues.len(), "each queue once");
            let text = why.to_string();
            for queue in &queues {
                let named = format!("queue {queue:?} ");
                prop_assert!(text.contains(&named), "{text}");
            }

            // Each queue does with the message as it was told.
            let before: Vec<_> = (0..QUEUES).map(|at| depth(&channel, at)).collect();
            let mut message = Message::new(1_u8).routing_key(sent.key.as_str());
            for (name, value) in headers.iter() {
                message = message.header(name, value.clone());
            }
            let _ = broker.producer::<u8>(&to).unwrap().publish_message(message);
            for (at, before) in before.into_iter().enumerate() {
                let name = format!("q{at}");
                let expected = match why.queue(&name).map(|queue| queue.outlook) {
                    Some(QueueOutlook::Take) => before + 1,
                    None
                    | Some(
                        QueueOutlook::DropHead | QueueOutlook::Refuse | QueueOutlook::DeadLetter,
                    ) => before,
                    Some(other) => return Err(TestCaseError::fail(format!("{other:?}"))),
                };
                prop_assert_eq!(depth(&channel, at), expected, "{} {:?}", name, why);
            }
        }
    }
}

#[test]
fn the_reasons_name_the_key_the_pattern_and_the_conditions() {
    let broker = Broker::new();
    let (start, hidden) = (
        Exchange::topic("start"),
        Exchange::headers("hidden").internal(),
    );
    broker.declare(&hidden.clone().bind(&start, "a.#")).unwrap();
    let binding = Binding::new(&hidden, "").arguments([("format", "pdf"), ("x-match", "all")]);
    broker.declare(&Queue::new("pdf").binding(binding)).unwrap();
    let binding = Binding::new(&hidden, "").arguments([("format", "txt")]);
    broker.declare(&Queue::new("txt").binding(binding)).unwrap();

    let headers = FieldTable::from([("format", "pdf")]);
    let why = broker.explain(&start, "a.b", &headers).unwrap();
    let expected = MatchReason::Pattern(Some("a.b".to_owned()));
    assert_eq!(why.exchanges[0].matching[0].reason, expected);
    assert!(why.exchanges[1].internal);
    let MatchReason::Headers { conditions, .. } = &why.exchanges[1].others[0].reason else {
        panic!("{why:?}")
    };
    assert_eq!(conditions[0].found, Some("pdf".into()));
    assert!(!conditions[0].holds);
    assert_eq!(
        why.to_string(),
        concat!(
            "exchange \"start\" (topic), routing key \"a.b\"\n",
            "└─ \"a.#\" fits \"a.b\": exchange \"hidden\" (headers, internal)\n",
            "   ├─ x-match all of \"format\" = pdf: queue \"pdf\" takes it\n",
            "   └─ 1 binding does not match\n",
        )
    );
    let why = broker.explain(&start, "b", &FieldTable::new()).unwrap();
    assert!(why.is_unroutable());
    assert!(
        why.to_string()
            .contains("no binding matches: the message is dropped")
    );
}

#[test]
fn the_default_exchange_is_explained_with_aliases_and_missing_queues() {
    let broker = Broker::new();
    broker.declare(&Queue::new("q")).unwrap();
    broker.declare(&Exchange::fanout("x")).unwrap();
    broker.declare(&AliasQueue::of_queue("old", "q")).unwrap();
    broker
        .declare(&AliasQueue::of_exchange("all", "x"))
        .unwrap();
    let keys = ["old", "all", "nowhere"].map(FieldValue::from);
    let headers = FieldTable::new().with("BCC", FieldValue::Array(keys.to_vec()));
    let why = broker
        .explain(&Exchange::existing(""), "q", &headers)
        .unwrap();
    assert!(why.queue_names().eq(&["q"]), "once");
    assert_eq!(
        why.to_string(),
        concat!(
            "default exchange, routing key \"q\", \"old\", \"all\", \"nowhere\"\n",
            "├─ \"q\" is the name: queue \"q\" takes it\n",
            "├─ \"old\" is an alias: queue \"q\" takes it\n",
            "├─ \"all\" is an alias: exchange \"x\" (fanout)\n",
            "│  └─ no binding matches: the message is dropped\n",
            "└─ \"nowhere\" is the name: there is no queue \"nowhere\"\n",
        )
    );
}

#[test]
fn a_circle_is_shown_once() {
    let broker = Broker::new();
    let (a, b) = (Exchange::fanout("a"), Exchange::fanout("b"));
    broker.declare(&b.clone().bind(&a, "")).unwrap();
    broker.declare(&a.clone().bind(&b, "")).unwrap();
    let why = broker.explain(&a, "", &FieldTable::new()).unwrap();
    assert_eq!(why.exchanges.len(), 2);
    assert!(
        why.to_string()
            .contains("exchange \"a\" (fanout) (see above)")
    );
}

#[test]
fn a_chain_of_ten_thousand_exchanges_is_explained() {
    let broker = Broker::new();
    let name = |at: usize| format!("e{at:05}");
    for at in 1..10_000 {
        let source = Exchange::fanout(name(at - 1));
        broker
            .declare(&Exchange::fanout(name(at)).bind(&source, ""))
            .unwrap();
    }
    let last = Exchange::fanout(name(9_999));
    broker.declare(&Queue::new("end").bind(&last, "")).unwrap();
    let why = broker
        .explain(&Exchange::existing(name(0)), "", &FieldTable::new())
        .unwrap();
    assert_eq!(why.exchanges.len(), 10_000);
    assert!(why.queue_names().eq(&["end"]));
    assert!(why.to_string().ends_with("queue \"end\" takes it\n"));
}

#[test]
fn a_publisher_would_wait_for_a_full_queue_and_for_a_spent_budget() {
    let broker = Broker::new();
    let full = Queue::new("full").max_length(1).overflow(Overflow::Block);
    broker.producer::<u8>(&full).unwrap().publish(1).unwrap();
    for budget in [
        Budget::new("blocking", 4).block(),
        Budget::new("refusing", 4),
    ] {
        broker.declare(&budget).unwrap();
        let name = budget.name();
        let queue = Queue::new(name).budget(name);
        let producer = broker.producer::<Vec<u8>>(&queue).unwrap();
        producer.publish(vec![0; 4]).unwrap();
    }
    let default = Exchange::existing("");
    for (queue, outlook) in [
        ("full", QueueOutlook::Block),
        ("blocking", QueueOutlook::BlockForBudget),
        ("refusing", QueueOutlook::RefuseForBudget),
    ] {
        let why = broker.explain(&default, queue, &FieldTable::new()).unwrap();
        assert_eq!(why.queues[0].outlook, outlook);
        assert!(!outlook.is_taken());
    }
}

#[test]
fn a_delayed_exchange_keeps_the_message_and_bad_input_is_refused() {
    let broker = Broker::new();
    let later = Exchange::direct("later").delayed();
    broker.declare(&Queue::new("q").bind(&later, "k")).unwrap();
    let delayed = FieldTable::from([("x-delay", 5_000)]);
    let why = broker.explain(&later, "k", &delayed).unwrap();
    assert!(why.queues.is_empty() && !why.is_unroutable());
    assert!(why.to_string().contains("kept for 5s, and routed then"));
    let why = broker.explain(&later, "k", &FieldTable::new()).unwrap();
    assert!(why.queue_names().eq(&["q"]));

    let explain = |exchange: &str, key: &str, headers: &FieldTable| {
        broker
            .explain(&Exchange::existing(exchange), key, headers)
            .unwrap_err()
    };
    let none = FieldTable::new();
    assert!(explain("no such", "", &none).is_not_found());
    let long = "x".repeat(256);
    assert!(matches!(
        explain("later", &long, &none),
        Error::InvalidName(_)
    ));
    let text = FieldTable::from([("CC", "no array")]);
    assert_eq!(explain("later", "", &text).reply_code(), Some(406));
}
