//! The measured curves.

use std::time::Duration;

use leveret::{Broker, Producer, Queue};

use super::{
    exchanges::Topic,
    item::{Item, Msg},
    options::Options,
    queues::Crowd,
    race::{Job, Tally, race},
    raw,
    routed::{consume, direct, receive_so_many},
    svg::{Panel, Scale, Series},
};

/// One panel of the plot, before its measurement.
pub struct Curve {
    title: &'static str,
    scale: Scale,
    xs: Vec<u64>,
    lines: Vec<Line>,
}

/// One line of a panel. It prepares a run for an x. The run returns nanoseconds per message.
struct Line {
    name: &'static str,
    at: Box<dyn Fn(u64) -> Run>,
}

type Run = Box<dyn Fn() -> f64>;

impl Curve {
    fn new(title: &'static str, xs: Vec<u64>) -> Curve {
        Curve {
            title,
            scale: Scale::Linear,
            xs,
            lines: Vec::new(),
        }
    }

    fn line(mut self, name: &'static str, at: impl Fn(u64) -> Run + 'static) -> Curve {
        let at = Box::new(at);
        self.lines.push(Line { name, at });
        self
    }

    /// Measures the medians. At each x the lines run in turn.
    pub fn measure(&self, rounds: usize) -> Panel {
        let mut series: Vec<Series> = self
            .lines
            .iter()
            .map(|line| Series {
                name: line.name,
                points: Vec::new(),
            })
            .collect();
        for &x in &self.xs {
            let runs: Vec<Run> = self.lines.iter().map(|line| (line.at)(x)).collect();
            let mut samples = vec![Vec::new(); runs.len()];
            for _ in 0..rounds {
                for (run, samples) in runs.iter().zip(&mut samples) {
                    samples.push(run());
                }
            }
            for (series, mut samples) in series.iter_mut().zip(samples) {
                samples.sort_by(f64::total_cmp);
                series.points.push((x, samples[samples.len() / 2]));
            }
        }
        Panel {
            title: self.title,
            scale: self.scale,
            series,
        }
    }
}

pub fn all(options: &Options) -> Vec<Curve> {
    // The number of messages is divisible by each number of threads.
    let messages = (options.messages / 2).next_multiple_of(64);
    let powers = |base: u64, last: u64| -> Vec<u64> {
        std::iter::successors(Some(1), |x| Some(x * base))
            .take_while(|&x| x <= last)
            .collect()
    };
    let threads = || powers(2, options.size(4, 64));
    let many = || powers(10, options.size(100, 1_000_000));
    let sizes = powers(4, options.size(16, 4_096)).into_iter();
    let mut payload = Curve::new("bytes of payload", sizes.map(|x| x * 16).collect());
    payload.scale = Scale::Log;
    vec![
        Curve::new("producers", threads())
            .line("leveret", move |x| {
                each(messages, move || direct::<Msg>(messages, x as usize, 1))
            })
            .line("bare channel", move |x| {
                each(messages, move || {
                    raw::channel::<Msg>(messages, x as usize, 1)
                })
            }),
        Curve::new("consumers", threads())
            .line("leveret", move |x| {
                each(messages, move || direct::<Msg>(messages, 1, x as usize))
            })
            .line("bare channel", move |x| {
                each(messages, move || {
                    raw::channel::<Msg>(messages, 1, x as usize)
                })
            }),
        Curve::new("queues", powers(10, options.size(100, 100_000))).line("leveret", move |x| {
            let crowd = Crowd::new(x);
            each(messages, move || crowd.run(messages))
        }),
        Curve::new("bindings of a topic exchange", many()).line("leveret", move |x| {
            let topic = Topic::new(x, x.min(1_000));
            each(messages, move || topic.run(messages))
        }),
        Curve::new("waiting messages", many()).line("leveret", move |x| {
            each(messages, move || waiting(messages, x))
        }),
        payload
            .line("leveret", move |x| {
                let messages = messages / 4;
                each(messages, move || sized(messages, x as usize))
            })
            .line("bare channel", move |x| {
                let messages = messages / 4;
                each(messages, move || raw_sized(messages, x as usize))
            }),
    ]
}

fn each(messages: u64, run: impl Fn() -> Duration + 'static) -> Run {
    Box::new(move || run().as_nanos() as f64 / messages as f64)
}

/// A queue in which this number of messages waits during the whole run.
fn waiting(messages: u64, waiting: u64) -> Duration {
    let broker = Broker::new();
    let queue = Queue::new("scaling");
    let producer: Producer<Msg> = broker.producer(&queue).expect("a new queue");
    let send = move |id| {
        let published = producer
            .publish(Msg::make(id))
            .expect("the broker is there");
        assert_eq!(published.routed, 1);
    };
    (1..=waiting).for_each(&send);
    let consumer = consume::<Msg>(&broker, &queue);
    let sending: Job<()> = Box::new(move || (waiting + 1..=waiting + messages).for_each(send));
    let receiving = receive_so_many(consumer, messages);
    let (time, got) = race(vec![sending], vec![receiving], || {});
    assert_eq!(got, Tally::expected(messages, 1));
    assert_eq!(broker.purge(&queue).expect("the queue is there"), waiting);
    time
}

/// Payloads with this number of bytes. The producer allocates them and the consumer frees them.
fn sized(messages: u64, size: usize) -> Duration {
    let broker = Broker::new();
    let queue = Queue::new("scaling");
    let producer: Producer<Vec<u8>> = broker.producer(&queue).expect("a new queue");
    let consumer = consume::<Vec<u8>>(&broker, &queue);
    let sending: Job<()> = Box::new(move || {
        for id in 1..=messages {
            let published = producer.publish(vec![id as u8; size]);
            assert_eq!(published.expect("the broker is there").routed, 1);
        }
    });
    let receiving: Job<Tally> = Box::new(move || {
        let mut tally = Tally::default();
        for id in 1..=messages {
            let delivery = consumer.recv().expect("the broker is there");
            assert!(delivery.len() == size && delivery[0] == id as u8);
            delivery.ack().expect("the broker is there");
            tally.add(id);
        }
        tally
    });
    race(vec![sending], vec![receiving], || {}).0
}

fn raw_sized(messages: u64, size: usize) -> Duration {
    let (sender, receiver) = crossbeam_channel::unbounded::<Vec<u8>>();
    let sending: Job<()> = Box::new(move || {
        for id in 1..=messages {
            let body = vec![id as u8; size];
            sender.send(body).expect("the receiver is there");
        }
    });
    let receiving: Job<Tally> = Box::new(move || {
        let mut tally = Tally::default();
        for id in 1..=messages {
            let body = receiver.recv().expect("the sender is there");
            assert!(body.len() == size && body[0] == id as u8);
            tally.add(id);
        }
        tally
    });
    race(vec![sending], vec![receiving], || {}).0
}
