//! Random permissions and random operations against a naive model of the permitted ones.

use std::collections::{BTreeMap, BTreeSet};

use leveret::{
    Broker, Channel, Connection, Exchange, FieldTable, Permission, Permissions, Queue, Result,
    TopicPermissions,
    channel::{AckMode, IfUnused},
};
use proptest::{prelude::*, sample::select};

use super::{add_user, bind, delete_queue, denied, login, publish};
use crate::common::cases;

const NAMES: [&str; 3] = ["a", "b", "ab"];
const KEYS: [&str; 3] = ["k", "#", "k.l"];

/// A pattern, and what it means.
#[derive(Clone, Copy, Debug)]
struct Pattern {
    text: &'static str,
    is_in: fn(&str) -> bool,
}

const PATTERNS: [Pattern; 9] = [
    Pattern {
        text: "",
        is_in: str::is_empty,
    },
    Pattern {
        text: ".*",
        is_in: |_| true,
    },
    Pattern {
        text: "^none$",
        is_in: |_| false,
    },
    Pattern {
        text: "a",
        is_in: |name| name.contains('a'),
    },
    Pattern {
        text: "^a",
        is_in: |name| name.starts_with('a'),
    },
    Pattern {
        text: "b$",
        is_in: |name| name.ends_with('b'),
    },
    Pattern {
        text: "^(?!a$)",
        is_in: |name| name != "a",
    },
    Pattern {
        text: "^(a|amq\\.default)$",
        is_in: |name| matches!(name, "a" | "amq.default"),
    },
    Pattern {
        text: "^k",
        is_in: |name| name.starts_with('k'),
    },
];

#[derive(Clone, Debug)]
enum Step {
    Set([Pattern; 3]),
    Clear,
    SetTopic(&'static str, [Pattern; 2]),
    ClearTopic(&'static str),
    DeclareQueue(&'static str),
    DeclareQueueWithDeadLetters(&'static str, &'static str),
    DeclareQueuePassively(&'static str),
    DeleteQueue(&'static str),
    DeclareExchange(&'static str),
    DeleteExchange(&'static str),
    Bind(&'static str, &'static str, &'static str),
    BindExchanges(&'static str, &'static str, &'static str),
    Publish(&'static str, &'static str),
    PublishAgain(&'static str),
    Get(&'static str),
    Purge(&'static str),
}

fn steps() -> impl Strategy<Value = Step> {
    let name = || select(NAMES.as_slice());
    let exchange = || select(["a", "b", "ab", ""].as_slice());
    let key = || select(KEYS.as_slice());
    let pattern = || select(PATTERNS.as_slice());
    prop_oneof![
        3 => [pattern(), pattern(), pattern()].prop_map(Step::Set),
        1 => Just(Step::Clear),
        2 => (name(), [pattern(), pattern()]).prop_map(|(name, both)| Step::SetTopic(name, both)),
        1 => name().prop_map(Step::ClearTopic),
        2 => name().prop_map(Step::DeclareQueue),
        2 => (name(), exchange()).prop_map(|(q, x)| Step::DeclareQueueWithDeadLetters(q, x)),
        2 => name().prop_map(Step::DeclareQueuePassively),
        2 => name().prop_map(Step::DeleteQueue),
        2 => name().prop_map(Step::DeclareExchange),
        2 => name().prop_map(Step::DeleteExchange),
        2 => (name(), name(), key()).prop_map(|(q, x, key)| Step::Bind(q, x, key)),
        1 => (name(), name(), key()).prop_map(|(d, s, key)| Step::BindExchanges(d, s, key)),
        4 => (exchange(), key()).prop_map(|(x, key)| Step::Publish(x, key)),
        4 => exchange().prop_map(Step::PublishAgain),
        2 => name().prop_map(Step::Get),
        2 => name().prop_map(Step::Purge),
    ]
}

/// What the user may do, and what there is.
#[derive(Default)]
struct Model {
    permissions: Option<[Pattern; 3]>,
    topics: BTreeMap<&'static str, [Pattern; 2]>,
    queues: BTreeSet<&'static str>,
    exchanges: BTreeSet<&'static str>,
}

type Denied = Option<(Permission, String)>;

impl Model {
    fn asks(&self, permission: Permission, name: &str) -> Denied {
        let name = if name.is_empty() { "amq.default" } else { name };
        let place = match permission {
            Permission::Configure => 0,
            Permission::Write => 1,
            _ => 2,
        };
        let may = self
            .permissions
            .is_some_and(|patterns| (patterns[place].is_in)(name));
        (!may).then(|| (permission, name.to_owned()))
    }

    /// Only what exists has a type, and only topic exchanges have topic permissions.
    fn asks_key(&self, permission: Permission, exchange: &str, key: &str) -> Denied {
        let topic = self.topics.get(exchange)?;
        let place = usize::from(permission == Permission::Read);
        let may = (topic[place].is_in)(key);
        (!may).then(|| (permission, format!("{exchange}#{key}")))
    }

    fn asks_any(&self, name: &str) -> Denied {
        let all = [Permission::Read, Permission::Write, Permission::Configure];
        let may = all
            .iter()
            .any(|permission| self.asks(*permission, name).is_none());
        (!may).then(|| (Permission::Configure, name.to_owned()))
    }

    /// The first refusal of a step.
    fn denial(&self, step: &Step) -> Denied {
        use Permission::{Configure, Read, Write};
        match *step {
            Step::Set(_) | Step::Clear | Step::SetTopic(..) | Step::ClearTopic(_) => None,
            Step::DeclareQueue(queue) | Step::DeleteQueue(queue) => self.asks(Configure, queue),
            Step::DeclareQueueWithDeadLetters(queue, exchange) => {
                self.asks(Configure, queue).or_else(|| {
                    let is_new = !self.queues.contains(queue);
                    let asks = || {
                        self.asks(Read, queue)
                            .or_else(|| self.asks(Write, exchange))
                    };
                    is_new.then(asks).flatten()
                })
            }
            Step::DeclareQueuePassively(queue) => self.asks_any(queue),
            Step::DeclareExchange(exchange) | Step::DeleteExchange(exchange) => {
                self.asks(Configure, exchange)
            }
            Step::Bind(to, from, key) | Step::BindExchanges(to, from, key) => self
                .asks(Write, to)
                .or_else(|| self.asks(Read, from))
                .or_else(|| self.asks_key(Read, from, key)),
            Step::Publish(exchange, key) => self
                .asks(Write, exchange)
                .or_else(|| self.asks_key(Write, exchange, key)),
            Step::PublishAgain(exchange) => self
                .asks(Write, exchange)
                .or_else(|| self.asks_key(Write, exchange, "k")),
            Step::Get(queue) | Step::Purge(queue) => self.asks(Read, queue),
        }
    }

    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Set(patterns) => self.permissions = Some(patterns),
            Step::Clear => self.permissions = None,
            Step::SetTopic(exchange, patterns) if self.exchanges.contains(exchange) => {
                self.topics.insert(exchange, patterns);
            }
            Step::ClearTopic(exchange) => {
                self.topics.remove(exchange);
            }
            Step::DeclareQueue(queue) | Step::DeclareQueueWithDeadLetters(queue, _) => {
                self.queues.insert(queue);
            }
            Step::DeleteQueue(queue) => {
                self.queues.remove(queue);
            }
            Step::DeclareExchange(exchange) => {
                self.exchanges.insert(exchange);
            }
            Step::DeleteExchange(exchange) => {
                self.exchanges.remove(exchange);
                self.topics.remove(exchange);
            }
            _ => {}
        }
    }
}

/// The broker, with one connection that stays open.
struct Real {
    broker: Broker,
    channel: Channel,
    /// By exchange: they remember their routes.
    producers: BTreeMap<&'static str, leveret::Producer<u32>>,
}

impl Real {
    fn new(connection: &Connection, broker: Broker) -> Real {
        Real {
            channel: connection.open_channel().unwrap(),
            broker,
            producers: BTreeMap::new(),
        }
    }

    fn run(&self, step: &Step) -> Result {
        let (broker, channel) = (&self.broker, &self.channel);
        match *step {
            Step::Set([configure, write, read]) => {
                let permissions = Permissions::new(configure.text, write.text, read.text);
                broker.set_permissions("/", "ada", &permissions).unwrap();
                Ok(())
            }
            Step::Clear => broker.clear_permissions("/", "ada").map(drop),
            Step::SetTopic(exchange, [write, read]) => {
                let topic = TopicPermissions::new(exchange, write.text, read.text);
                match broker.set_topic_permissions("/", "ada", &topic) {
                    Err(error) if error.is_not_found() => Ok(()),
                    set => set,
                }
            }
            Step::ClearTopic(exchange) => broker
                .clear_topic_permissions("/", "ada", Some(exchange))
                .map(drop),
            Step::DeclareQueue(queue) => channel.queue_declare(&Queue::new(queue)).map(drop),
            Step::DeclareQueueWithDeadLetters(queue, exchange) => {
                let queue = Queue::new(queue).dead_letter_exchange(exchange);
                channel.queue_declare(&queue).map(drop)
            }
            Step::DeclareQueuePassively(queue) => channel.queue_declare_passive(queue).map(drop),
            Step::DeleteQueue(queue) => delete_queue(channel, queue),
            Step::DeclareExchange(exchange) => channel.exchange_declare(&Exchange::topic(exchange)),
            Step::DeleteExchange(exchange) => channel.exchange_delete(exchange, IfUnused::No),
            Step::Bind(queue, exchange, key) => bind(channel, queue, exchange, key),
            Step::BindExchanges(to, from, key) => {
                channel.exchange_bind(to, from, key, FieldTable::new())
            }
            Step::Publish(exchange, key) => publish(channel, exchange, key),
            Step::PublishAgain(exchange) => match self.producers[exchange].publish(1) {
                Ok(_) => Ok(()),
                Err(error) => Err(error.into_parts().0),
            },
            Step::Get(queue) => channel.basic_get(queue, AckMode::Auto).map(drop),
            Step::Purge(queue) => channel.queue_purge(queue).map(drop),
        }
    }

    /// Whether there is a producer that remembers its route to an exchange. It is made once, if
    /// the user may see the exchange then.
    fn has_producer(&mut self, exchange: &'static str, connection: &Connection) -> bool {
        if !self.producers.contains_key(exchange) {
            let builder = connection.producer_builder::<u32>(&Exchange::existing(exchange));
            let built = builder.routing_key("k").not_mandatory().build();
            self.producers
                .extend(built.map(|producer| (exchange, producer)));
        }
        self.producers.contains_key(exchange)
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn the_permitted_steps_are_those_of_a_naive_model(
        steps in prop::collection::vec(steps(), 1..40),
    ) {
        let broker = Broker::new();
        add_user(&broker, "ada", &Permissions::none());
        let connection = login(&broker, "ada");
        let mut model = Model { permissions: Some([PATTERNS[0]; 3]), ..Model::default() };
        let mut real = Real::new(&connection, broker);
        for step in &steps {
            if let Step::PublishAgain(exchange) = step
                && !real.has_producer(exchange, &connection)
            {
                continue;
            }
            let expected = model.denial(step);
            let result = real.run(step);
            let actual = result.as_ref().err().and_then(denied);
            prop_assert_eq!(&actual, &expected, "{:?} of {:?}: {:?}", step, steps, result);
            // A step may fail for other reasons than permissions, and changes nothing then.
            if result.is_ok() {
                model.apply(step);
            }
        }
    }
}
