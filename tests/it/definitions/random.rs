//! An export, an import and another export are the same, whatever a broker has.

use leveret::{
    AliasQueue, ApplyTo, Binding, Broker, Budget, Exchange, ExportOptions, FieldTable, FieldValue,
    ModelQueue, Policy, Queue, RabbitMqVersion,
};
use proptest::{
    collection::{btree_map, vec},
    prelude::*,
    sample::select,
};

use crate::common::cases;

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => select(vec!["a", "b", "c", "d"]).prop_map(str::to_owned),
        1 => "[ -~é✓😀\u{1}\t/'\"\\\\]{1,12}".prop_map(|name| name.replace("amq.", "own.")),
    ]
}

fn value() -> impl Strategy<Value = FieldValue> {
    let leaf = prop_oneof![
        Just(FieldValue::Void),
        any::<bool>().prop_map(FieldValue::from),
        any::<i8>().prop_map(FieldValue::from),
        any::<u8>().prop_map(FieldValue::from),
        any::<i16>().prop_map(FieldValue::from),
        any::<u16>().prop_map(FieldValue::from),
        any::<i32>().prop_map(FieldValue::from),
        any::<u32>().prop_map(FieldValue::from),
        any::<i64>().prop_map(FieldValue::from),
        any::<f32>()
            .prop_filter("equal to itself", |it| !it.is_nan())
            .prop_map(FieldValue::from),
        any::<f64>()
            .prop_filter("equal to itself", |it| !it.is_nan())
            .prop_map(FieldValue::from),
        any::<u64>().prop_map(FieldValue::Timestamp),
        (0_u8..5, any::<i32>()).prop_map(|(scale, value)| FieldValue::Decimal {
            scale,
            value: value as _
        }),
        vec(any::<u8>(), 0..4).prop_map(FieldValue::Bytes),
        name().prop_map(FieldValue::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(FieldValue::Array),
            btree_map(select(vec!["k", "$type", "value"]), inner, 0..3)
                .prop_map(|entries| FieldValue::Table(entries.into_iter().collect())),
        ]
    })
}

fn table() -> impl Strategy<Value = FieldTable> {
    btree_map(select(vec!["x", "y", "$type"]), value(), 0..3)
        .prop_map(|entries| entries.into_iter().collect())
}

/// A change of a broker. Those that do not fit change nothing.
#[derive(Clone, Debug)]
enum Step {
    Budget(Budget),
    Alias(AliasQueue),
    Model(ModelQueue),
    Exchange(Exchange),
    Queue(Queue),
    Bind(Queue),
    BindExchange(Exchange),
    Policy(Policy, bool),
    Global(String, u32),
}

fn exchange() -> impl Strategy<Value = Exchange> {
    let kind = select(vec![
        "direct",
        "fanout",
        "topic",
        "headers",
        "x-local-random",
        "x-consistent-hash",
        "x-modulus-hash",
        "x-random",
        "x-recent-history",
    ]);
    (name(), kind, any::<(bool, bool, bool, bool)>(), table()).prop_map(
        |(name, kind, (durable, auto_delete, internal, delayed), arguments)| {
            let mut exchange = Exchange::new(name, kind).arguments(arguments);
            if durable {
                exchange = exchange.durable();
            }
            if auto_delete {
                exchange = exchange.auto_delete();
            }
            if internal {
                exchange = exchange.internal();
            }
            if delayed && kind != "x-local-random" {
                exchange = exchange.delayed();
            }
            exchange
        },
    )
}

fn queue() -> impl Strategy<Value = Queue> {
    (name(), any::<(bool, bool, bool, bool)>(), table()).prop_map(
        |(name, (durable, auto_delete, quorum, budget), arguments)| {
            let mut queue = Queue::new(name).arguments(arguments);
            if durable {
                queue = queue.durable();
            }
            if auto_delete {
                queue = queue.auto_delete();
            }
            if quorum {
                queue = queue.argument("x-queue-type", "quorum");
            }
            if budget {
                queue = queue.budget("a");
            }
            queue
        },
    )
}

/// A routing key, which is often a weight.
fn key() -> impl Strategy<Value = String> {
    prop_oneof![name(), (1_u32..4).prop_map(|weight| weight.to_string())]
}

fn step() -> impl Strategy<Value = Step> {
    let policy = (name(), name(), -3_i64..3, 0_i32..9, any::<bool>());
    prop_oneof![
        (name(), 1_u64..100, any::<bool>()).prop_map(|(name, limit, whole)| {
            let budget = Budget::new(name, limit);
            Step::Budget(if whole { budget.whole_vhost() } else { budget })
        }),
        (name(), name(), any::<bool>()).prop_map(|(name, target, is_queue)| {
            Step::Alias(match is_queue {
                true => AliasQueue::of_queue(name, target),
                false => AliasQueue::of_exchange(name, target),
            })
        }),
        (name(), queue(), exchange(), any::<bool>()).prop_map(
            |(name, template, source, permanent)| {
                let model = ModelQueue::new(name, template.bind(source, "5"));
                Step::Model(if permanent { model.permanent() } else { model })
            }
        ),
        exchange().prop_map(Step::Exchange),
        queue().prop_map(Step::Queue),
        (name(), name(), key(), table()).prop_map(|(source, queue, key, arguments)| {
            let binding = Binding::new(source.as_str(), key).arguments(arguments);
            Step::Bind(Queue::existing(queue).binding(binding))
        }),
        (name(), name(), key()).prop_map(|(source, destination, key)| {
            Step::BindExchange(Exchange::existing(destination).bind(source.as_str(), key))
        }),
        policy.prop_map(|(name, pattern, priority, length, operator)| {
            let policy = Policy::new(name, pattern)
                .priority(priority)
                .apply_to(ApplyTo::Queues);
            Step::Policy(policy.setting("max-length", length), operator)
        }),
        (name(), any::<u32>()).prop_map(|(name, value)| Step::Global(name, value)),
    ]
}

fn broker_of(steps: &[(usize, Step)]) -> Broker {
    let broker = Broker::new();
    broker.create_vhost("v h/ü").unwrap();
    for (vhost, step) in steps {
        let vhost = broker.vhost(["/", "v h/ü"][*vhost]).unwrap();
        // Many of them do not fit: a binding of queues that are not there, say.
        let _ = match step.clone() {
            Step::Budget(budget) => vhost.declare(&budget).map(drop),
            Step::Alias(alias) => vhost.declare(&alias).map(drop),
            Step::Model(model) => vhost.declare(&model).map(drop),
            Step::Exchange(exchange) => vhost.declare(&exchange).map(drop),
            Step::Queue(queue) | Step::Bind(queue) => vhost.declare(&queue).map(drop),
            Step::BindExchange(exchange) => vhost.declare(&exchange).map(drop),
            Step::Policy(policy, false) => vhost.set_policy(policy),
            Step::Policy(policy, true) => vhost.set_operator_policy(policy),
            Step::Global(name, value) => broker.set_global_parameter(&name, value.into()),
        };
    }
    broker
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn an_export_is_imported_and_exported_again_byte_by_byte(
        steps in vec((0_usize..2, step()), 0..40),
    ) {
        let broker = broker_of(&steps);
        let text = broker.export_definitions().unwrap();
        let copy = Broker::from_definitions(&text).unwrap();
        prop_assert_eq!(copy.export_definitions().unwrap(), text.clone());
        // On top of itself it changes nothing.
        copy.import_definitions(&text).unwrap();
        prop_assert_eq!(copy.export_definitions().unwrap(), text);
        let (one, other) = (broker.snapshot().unwrap(), copy.snapshot().unwrap());
        for (one, other) in one.vhosts.iter().zip(&other.vhosts) {
            prop_assert_eq!(&one.policies, &other.policies);
            prop_assert_eq!(one.bindings.len(), other.bindings.len());
            prop_assert_eq!(one.aliases.len(), other.aliases.len());
            prop_assert_eq!(one.model_queues.len(), other.model_queues.len());
        }
    }

    #[test]
    fn the_form_for_rabbitmq_is_imported_and_exported_again_as_it_is(
        steps in vec((0_usize..2, step()), 0..40),
        version in select(vec![RabbitMqVersion::V3_10, RabbitMqVersion::V4_3]),
    ) {
        let broker = broker_of(&steps);
        let options = ExportOptions::new().for_rabbitmq(version).leave_out();
        let first = broker.export_definitions_with(&options).unwrap();
        let copy = Broker::from_definitions(&first.json).unwrap();
        let again = copy.export_definitions_with(&options).unwrap();
        prop_assert_eq!(again.left_out, vec![]);
        prop_assert_eq!(again.json, first.json);
    }
}
