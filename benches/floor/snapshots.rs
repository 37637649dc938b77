//! A publisher beside a thread that takes a snapshot of many queues each second.

use std::{cell::OnceCell, rc::Rc, sync::mpsc, thread, time::Duration};

use leveret::{Broker, Producer, Queue};

use super::{
    group::Group,
    item::{Item, Msg},
    options::Options,
    race::{Job, race},
};

pub fn groups(options: &Options) -> Vec<Group> {
    let queues = options.size(100, 10_000);
    // A round takes more than a second, so that each round has its snapshots.
    let messages = options.size(options.messages, 125 * options.messages);
    let crowd = Rc::new(OnceCell::new());
    let watched = Rc::clone(&crowd);
    vec![
        Group::throughput("snapshots")
            .row("leveret-unwatched", None, messages, move |n| {
                crowd.get_or_init(|| Crowd::new(queues)).publish(n)
            })
            .row("leveret-watched", Some(0.95), messages, move |n| {
                watched
                    .get_or_init(|| Crowd::new(queues))
                    .publish_watched(n)
            }),
    ]
}

/// Many idle queues, and a queue with a publisher.
struct Crowd {
    broker: Broker,
    producer: Producer<Msg>,
    queues: u64,
}

impl Crowd {
    fn new(queues: u64) -> Crowd {
        let broker = Broker::new();
        for number in 1..queues {
            let queue = Queue::new(format!("floor-{number}"));
            broker.declare(&queue).expect("a new queue");
        }
        // It drops its oldest message at each publish, so that no consumer has to keep up.
        let queue = Queue::new("floor").max_length(1_000);
        let producer = broker.producer(&queue).expect("a new queue");
        Crowd {
            broker,
            producer,
            queues,
        }
    }

    fn publish(&self, messages: u64) -> Duration {
        let producer = self.producer.clone();
        let sending: Job<()> = Box::new(move || {
            for id in 1..=messages {
                let published = producer.publish(Msg::make(id));
                assert_eq!(published.expect("the queue is there").routed, 1);
            }
        });
        race(vec![sending], Vec::new(), || {}).0
    }

    fn publish_watched(&self, messages: u64) -> Duration {
        let (stop, stopped) = mpsc::channel::<()>();
        thread::scope(|scope| {
            scope.spawn(move || {
                loop {
                    let snapshot = self.broker.snapshot().expect("the broker is there");
                    assert_eq!(snapshot.vhosts[0].queues.len() as u64, self.queues);
                    if stopped.recv_timeout(Duration::from_secs(1))
                        != Err(mpsc::RecvTimeoutError::Timeout)
                    {
                        return;
                    }
                }
            });
            let time = self.publish(messages);
            drop(stop);
            time
        })
    }
}
