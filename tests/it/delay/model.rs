//! Random programs of delays, cancellations and clock steps, compared with a list that is sorted at
//! every step.

use leveret::{Delayed, Message, Queue, SimpleQueue};
use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Delay(u64),
    Advance(u64),
    /// Cancels the message at this index of the list, if the list is that long.
    Cancel(usize),
    /// Cancels the messages whose number has this remainder when divided by three.
    CancelIf(u32),
    CancelAll,
    /// Takes the ready messages.
    Take,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0_u64..30).prop_map(Step::Delay),
        4 => (0_u64..20).prop_map(Step::Advance),
        2 => (0_usize..6).prop_map(Step::Cancel),
        1 => (0_u32..3).prop_map(Step::CancelIf),
        1 => Just(Step::CancelAll),
        2 => Just(Step::Take),
    ]
}

/// The expected place of each message.
#[derive(Default)]
struct Expected {
    now: u64,
    /// Sorted by due time, then by arrival.
    delayed: Vec<(u64, u32)>,
    ready: Vec<u32>,
    purged: u64,
}

impl Expected {
    fn delay(&mut self, number: u32, delay: u64) {
        match delay {
            0 => self.ready.push(number),
            _ => self.delayed.push((self.now + delay, number)),
        }
        self.delayed.sort_by_key(|(due, _)| *due);
    }

    fn advance(&mut self, time: u64) {
        self.now += time;
        let due = self.delayed.partition_point(|(due, _)| *due <= self.now);
        self.ready
            .extend(self.delayed.drain(..due).map(|(_, number)| number));
    }

    fn cancel_if(&mut self, cancels: impl Fn(u32) -> bool) -> u64 {
        let before = self.delayed.len();
        self.delayed.retain(|(_, number)| !cancels(*number));
        let cancelled = (before - self.delayed.len()) as u64;
        self.purged += cancelled;
        cancelled
    }

    fn assert_seen(&self, broker: &Broker, at: &Place) {
        let listed: Vec<_> = at
            .delayed
            .iter()
            .map(|message| {
                let number: u32 = message
                    .properties()
                    .message_id
                    .as_deref()
                    .unwrap()
                    .parse()
                    .unwrap();
                (self.now + message.due_in().as_millis() as u64, number)
            })
            .collect();
        assert_eq!(listed, self.delayed);
        assert_eq!(at.delayed.len(), self.delayed.len());
        assert_eq!(at.mailbox.len().unwrap(), self.ready.len());
        if !at.in_exchange {
            let counts = &broker.snapshot().unwrap().vhosts[0].queues[0];
            assert_eq!(counts.purged.messages, self.purged);
            assert_eq!(counts.delayed.messages, self.delayed.len() as u64);
        }
    }
}

/// The place where the messages are delayed, and the queue that they reach.
struct Place {
    in_exchange: bool,
    delayed: Delayed,
    mailbox: SimpleQueue<u32>,
}

fn run(steps: Vec<Step>, in_exchange: bool) -> Result {
    let (broker, clock) = on_a_manual_clock();
    let exchange = Exchange::fanout("x").delayed();
    let queue = Queue::new("q").bind(&exchange, "");
    let producer = broker.producer::<u32>(&exchange)?;
    let at = Place {
        in_exchange,
        mailbox: broker.simple_queue(&queue)?,
        delayed: match in_exchange {
            true => broker.delayed(&exchange)?,
            false => broker.delayed(&queue)?,
        },
    };
    let mut expected = Expected::default();
    for (number, step) in (0..).zip(steps) {
        match step {
            Step::Delay(delay) => {
                let message = Message::new(number).message_id(number.to_string());
                producer.publish_message(match in_exchange {
                    true => message.delay(ms(delay)),
                    false => message.deliver_after(ms(delay)),
                })?;
                expected.delay(number, delay);
            }
            Step::Advance(time) => {
                clock.advance(ms(time));
                expected.advance(time);
            }
            Step::Cancel(place) => {
                let found = at.delayed.iter().nth(place);
                let cancelled = found.is_some_and(|message| at.delayed.cancel(message.id()));
                let there = expected.delayed.get(place).copied();
                assert_eq!(cancelled, there.is_some());
                if let Some((_, there)) = there {
                    expected.cancel_if(|number| number == there);
                }
            }
            Step::CancelIf(rest) => {
                let cancelled = at.delayed.cancel_if(|message| {
                    let id = message.properties().message_id.as_deref().unwrap();
                    id.parse::<u32>().unwrap() % 3 == rest
                });
                assert_eq!(cancelled, expected.cancel_if(|number| number % 3 == rest));
            }
            Step::CancelAll => {
                assert_eq!(at.delayed.cancel_all(), expected.cancel_if(|_| true));
            }
            Step::Take => {
                let ready = std::iter::from_fn(|| {
                    let delivery = at.mailbox.try_get().ok()?;
                    let number = *delivery;
                    delivery.ack().unwrap();
                    Some(number)
                });
                let ready: Vec<_> = ready.collect();
                assert_eq!(ready, std::mem::take(&mut expected.ready));
            }
        }
        expected.assert_seen(&broker, &at);
    }
    Ok(())
}

proptest! {

    #![proptest_config(crate::common::cases())]

    #[test]
    fn a_queue_and_an_exchange_keep_messages_as_a_sorted_list_would(
        steps in prop::collection::vec(step(), 1..60),
        in_exchange: bool,
    ) {
        run(steps, in_exchange).unwrap();
    }
}
