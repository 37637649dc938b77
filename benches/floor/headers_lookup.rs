//! A headers exchange with bindings of two conditions, compared with a topic exchange that has as
//! many bindings. Both look for the queues of messages that they have not seen.
//!
//! A header has one of 50 names and one of 50 values. A message has three to six, as a routing key
//! of the topic exchange has words.

use std::{
    cell::OnceCell,
    hint::black_box,
    time::{Duration, Instant},
};

use leveret::{Binding, Broker, Exchange, FieldTable, Queue};

use super::{
    group::Group,
    options::Options,
    selective::Selective,
    topic_lookup::{EACH, KEYS, Set},
};

const BINDINGS: u64 = 10_000;

/// The number of messages that are compared with a search through all bindings.
const CHECKED: usize = 50;

pub fn groups(options: &Options) -> Vec<Group> {
    let lookups = options.size(1_000, 100_000);
    let topic = OnceCell::new();
    let headers = OnceCell::new();
    vec![
        Group::throughput("headers-lookup-10k")
            .row("topic", None, lookups, move |n| {
                let topic = topic.get_or_init(|| Set::new(BINDINGS, Selective::pattern));
                topic.leveret(n)
            })
            .row("headers", Some(0.33), lookups, move |n| {
                headers.get_or_init(Headers::new).run(n)
            }),
    ]
}

struct Headers {
    broker: Broker,
    exchange: Exchange,
    messages: Vec<FieldTable>,
}

/// Headers that no two have the same name of.
fn headers(selective: &mut Selective, count: usize) -> FieldTable {
    let mut table = FieldTable::new();
    while table.len() < count {
        let (name, value) = (selective.word(), selective.word());
        if table.get(&name).is_none() {
            table = table.with(name, value);
        }
    }
    table
}

impl Headers {
    fn new() -> Headers {
        let mut selective = Selective::new();
        let broker = Broker::new();
        let exchange = Exchange::headers("floor");
        let mut bindings = Vec::new();
        for number in 0..BINDINGS / EACH {
            let mut queue = Queue::new(format!("floor-{number}"));
            for _ in 0..EACH {
                let conditions = headers(&mut selective, 2);
                let fields = conditions.iter();
                let fields = fields.map(|(name, value)| (name.to_owned(), value.clone()));
                queue = queue.binding(Binding::new(&exchange, "").arguments(fields));
                bindings.push((queue.name().to_owned(), conditions));
            }
            broker.declare(&queue).expect("a new queue");
        }
        let messages: Vec<_> = (0..KEYS)
            .map(|number| headers(&mut selective, 3 + number as usize % 4))
            .collect();
        let set = Headers {
            broker,
            exchange,
            messages,
        };
        for message in &set.messages[..CHECKED] {
            let holds = |conditions: &FieldTable| {
                let mut conditions = conditions.iter();
                conditions.all(|(name, value)| message.get(name) == Some(value))
            };
            let mut expected: Vec<_> = (bindings.iter())
                .filter(|(_, conditions)| holds(conditions))
                .map(|(queue, _)| queue.clone())
                .collect();
            expected.sort_unstable();
            expected.dedup();
            let mut found: Vec<_> = set.route(message).iter().map(|it| it.to_string()).collect();
            found.sort_unstable();
            assert_eq!(found, expected, "{message:?}");
        }
        set
    }

    fn route(&self, headers: &FieldTable) -> Vec<leveret::Name> {
        self.broker
            .route(&self.exchange, "", headers)
            .expect("the exchange is there")
    }

    fn run(&self, lookups: u64) -> Duration {
        let began = Instant::now();
        for message in self.messages.iter().cycle().take(lookups as usize) {
            black_box(self.route(message));
        }
        began.elapsed()
    }
}
