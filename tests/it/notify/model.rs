//! Random programs of notifiers and listeners: each notification is handled once by every group of
//! listeners that was there and whose filter lets it through.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use leveret::{
    Broker,
    notify::{ListenerHandle, Notification, NotificationFilter, Notifier, Priority},
    worker::{Settle, Worker, WorkerBuilder},
};
use proptest::{collection::vec, prelude::*, sample::subsequence};

use super::listeners::queues;
use crate::common::{PATIENCE, cases};

const TOPICS: [&str; 2] = ["orders", "audits"];
const PUBLISHERS: [&str; 2] = ["local.1", "remote.1"];
const EVENTS: [&str; 2] = ["order.paid", "order.lost"];

#[derive(Clone, Copy, Debug)]
enum Filter {
    Publisher,
    Event,
    Even,
}

impl Filter {
    fn made(self) -> NotificationFilter {
        let filter = NotificationFilter::new();
        match self {
            Filter::Publisher => filter.publisher_id("^local").unwrap(),
            Filter::Event => filter.event_type(r"\.paid$").unwrap(),
            Filter::Even => filter.payload("/is_even", true),
        }
    }

    fn passes(self, sent: &Sent, number: usize) -> bool {
        match self {
            Filter::Publisher => sent.publisher == 0,
            Filter::Event => sent.event == 0,
            Filter::Even => number.is_multiple_of(2),
        }
    }
}

/// An endpoint of all members of a group.
#[derive(Clone, Debug)]
struct Endpoint {
    priorities: Vec<Priority>,
    filter: Option<Filter>,
    concurrency: usize,
    batch: Option<usize>,
}

/// A pool of listeners, or a listener without one.
#[derive(Clone, Debug)]
struct Group {
    is_pool: bool,
    topics: Vec<&'static str>,
    endpoints: Vec<Endpoint>,
}

#[derive(Clone, Debug)]
struct Sent {
    topics: Vec<&'static str>,
    publisher: usize,
    event: usize,
    priority: Priority,
    /// How often each group requeues the notification, and whether it is rejected then.
    ways: [(u32, bool); GROUPS],
}

const GROUPS: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    Send(Sent),
    /// One more member of a group.
    Join(usize),
    /// The oldest member of a group leaves. The last one handles what waits.
    Leave(usize),
}

fn priority() -> impl Strategy<Value = Priority> {
    proptest::sample::select(&Priority::ALL[..3])
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    let filter = prop_oneof![
        Just(Filter::Publisher),
        Just(Filter::Event),
        Just(Filter::Even)
    ];
    (
        subsequence(&Priority::ALL[..3], 1..=3),
        prop::option::of(filter),
        1..3_usize,
        prop::option::of(1..4_usize),
    )
        .prop_map(|(priorities, filter, concurrency, batch)| Endpoint {
            priorities,
            filter,
            concurrency,
            batch,
        })
}

fn topics() -> impl Strategy<Value = Vec<&'static str>> {
    subsequence(&TOPICS[..], 1..=2)
}

fn group() -> impl Strategy<Value = Group> {
    (any::<bool>(), topics(), vec(endpoint(), 1..3)).prop_map(|(is_pool, topics, endpoints)| {
        Group {
            is_pool,
            topics,
            endpoints,
        }
    })
}

fn step() -> impl Strategy<Value = Step> {
    let way = (0..3_u32, any::<bool>());
    let sent = (
        topics(),
        0..2_usize,
        0..2_usize,
        priority(),
        [way.clone(), way.clone(), way],
    );
    let sent = sent.prop_map(|(topics, publisher, event, priority, ways)| Sent {
        topics,
        publisher,
        event,
        priority,
        ways,
    });
    prop_oneof![
        6 => sent.prop_map(Step::Send),
        2 => (0..GROUPS).prop_map(Step::Join),
        1 => (0..GROUPS).prop_map(Step::Leave),
    ]
}

#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Fact {
    number: usize,
    is_even: bool,
}

/// A group, its endpoint, and a notification.
type Place = (usize, usize, usize);

/// How often the handlers were called, and how often they were done with it.
#[derive(Clone, Default)]
struct Book(Arc<Mutex<BTreeMap<Place, (u32, u32)>>>);

impl Book {
    /// What becomes of a notification at this call of a handler.
    fn act(&self, place: Place, (requeues, is_rejected): (u32, bool)) -> Settle {
        let mut book = self.0.lock().unwrap();
        let (calls, ends) = book.entry(place).or_default();
        *calls += 1;
        if *calls <= requeues {
            return Settle::Requeue(Duration::ZERO);
        }
        *ends += 1;
        match is_rejected {
            true => Settle::Reject,
            false => Settle::Ack,
        }
    }
}

/// A running program.
struct World {
    broker: Broker,
    groups: Vec<Group>,
    members: [Vec<ListenerHandle>; GROUPS],
    /// Those that are stopped, and may have a notification in hand. It would be lost if the queue
    /// of their group went before they return it.
    stopped: [Vec<ListenerHandle>; GROUPS],
    sent: Arc<Vec<Sent>>,
    book: Book,
}

impl World {
    fn join(&mut self, group: usize) {
        let Group {
            is_pool,
            topics,
            endpoints,
        } = &self.groups[group];
        if !is_pool && !self.members[group].is_empty() {
            return;
        }
        let mut listener = self.broker.listener::<Fact>().topics(topics.clone());
        if *is_pool {
            listener = listener.pool(format!("pool {group}"));
        }
        for (index, endpoint) in endpoints.iter().enumerate() {
            let make = self.worker(group, index, endpoint.clone());
            let priorities = endpoint.priorities.clone();
            listener = listener.endpoint(index.to_string(), priorities, make);
        }
        self.members[group].push(listener.spawn().unwrap());
    }

    fn worker(
        &self,
        group: usize,
        index: usize,
        endpoint: Endpoint,
    ) -> impl FnOnce(WorkerBuilder<Notification<Fact>>) -> Worker<Notification<Fact>> + 'static
    {
        let (book, sent) = (self.book.clone(), Arc::clone(&self.sent));
        let act = move |it: &Notification<Fact>| {
            let number = it.payload.number;
            book.act((group, index, number), sent[number].ways[group])
        };
        let filter = endpoint.filter.map(Filter::made).unwrap_or_default();
        move |worker| {
            let worker = worker.concurrency(endpoint.concurrency);
            match endpoint.batch {
                None => worker.handler(filter.then(move |it: &Notification<Fact>, _| act(it))),
                Some(most) => worker.batch(most, Duration::ZERO).handler(move |batch| {
                    let settle = |it: &Notification<Fact>| match filter.matches(it, None) {
                        true => act(it),
                        false => Settle::Ack,
                    };
                    batch.iter().map(|it| settle(it)).collect::<Vec<_>>()
                }),
            }
        }
    }

    fn leave(&mut self, group: usize) {
        if self.members[group].is_empty() {
            return;
        }
        let member = self.members[group].remove(0);
        if !self.members[group].is_empty() {
            member.stop();
            self.stopped[group].push(member);
            return;
        }
        for stopped in self.stopped[group].drain(..) {
            stopped.join();
        }
        member.stop_and_drain(PATIENCE);
    }

    fn notifier(&self, sent: &Sent) -> Notifier<Fact> {
        let notifier = self.broker.notifier(PUBLISHERS[sent.publisher]);
        notifier.topics(sent.topics.clone()).build().unwrap()
    }

    /// The endpoints that get a notification now.
    fn reached(&self, sent: &Sent) -> Vec<(usize, usize)> {
        let mut reached = Vec::new();
        for (group, described) in self.groups.iter().enumerate() {
            let has_topic = described
                .topics
                .iter()
                .any(|topic| sent.topics.contains(topic));
            if self.members[group].is_empty() || !has_topic {
                continue;
            }
            for (index, endpoint) in described.endpoints.iter().enumerate() {
                if endpoint.priorities.contains(&sent.priority) {
                    reached.push((group, index));
                }
            }
        }
        reached
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn each_group_handles_each_notification_once_and_touches_no_other_group(
        groups in vec(group(), GROUPS),
        steps in vec(step(), 1..40),
    ) {
        let is_sent = |step: &Step| match step {
            Step::Send(sent) => Some(sent.clone()),
            _ => None,
        };
        let mut world = World {
            broker: Broker::new(),
            groups,
            members: Default::default(),
            stopped: Default::default(),
            sent: Arc::new(steps.iter().filter_map(is_sent).collect()),
            book: Book::default(),
        };
        let mut numbers = 0..;
        let mut expected = BTreeMap::new();
        for step in steps {
            match step {
                Step::Join(group) => world.join(group),
                Step::Leave(group) => world.leave(group),
                Step::Send(sent) => {
                    let number = numbers.next().unwrap();
                    let reached = world.reached(&sent);
                    let fact = Fact { number, is_even: number % 2 == 0 };
                    let event = EVENTS[sent.event];
                    let published = world.notifier(&sent).notify(sent.priority, event, fact);
                    prop_assert_eq!(published.unwrap().routed, reached.len());
                    for (group, index) in reached {
                        let filter = world.groups[group].endpoints[index].filter;
                        if filter.is_none_or(|filter| filter.passes(&sent, number)) {
                            let calls = sent.ways[group].0 + 1;
                            expected.insert((group, index, number), (calls, 1));
                        }
                    }
                }
            }
        }
        for group in 0..GROUPS {
            while !world.members[group].is_empty() {
                world.leave(group);
            }
        }
        prop_assert_eq!(&*world.book.0.lock().unwrap(), &expected);
        let left: BTreeSet<_> = queues(&world.broker).into_iter().collect();
        prop_assert!(left.is_empty(), "{:?}", left);
    }
}
