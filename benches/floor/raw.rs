//! The floors: bare channels.

use std::{sync::Arc, time::Duration};

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::{
    QUEUES,
    item::{Item, Msg},
    race::{Job, Tally, race, share},
};

/// The floor: every producer sends to each of `channels` channels, and each channel has `consumers`
/// receivers.
pub fn channel<T: Item>(messages: u64, producers: usize, consumers: usize) -> Duration {
    let (sender, receiver) = unbounded::<T>();
    let send = |index| -> Job<()> {
        let sender = sender.clone();
        Box::new(move || {
            for id in share(messages, producers, index) {
                sender.send(T::make(id)).expect("receivers are there");
            }
        })
    };
    let sending = (0..producers).map(send).collect();
    drop(sender);
    let receiving = (0..consumers).map(|_| drain(receiver.clone())).collect();
    let (time, got) = race(sending, receiving, || {});
    assert_eq!(got, Tally::expected(messages, 1));
    time
}

fn drain<T: Item>(receiver: Receiver<T>) -> Job<Tally> {
    Box::new(move || {
        let mut tally = Tally::default();
        while let Ok(item) = receiver.recv() {
            tally.add(item.id());
        }
        tally
    })
}

/// As `channel` with one producer and one receiver, but the messages come as vectors of this many.
/// So nearly all of the time is that of the messages themselves.
pub fn vectors(messages: u64, length: usize) -> Duration {
    let (sender, receiver) = unbounded::<Vec<Msg>>();
    let sending: Job<()> = Box::new(move || {
        for first in (1..=messages).step_by(length) {
            let last = messages.min(first + length as u64 - 1);
            let vector = (first..=last).map(Msg::make).collect();
            sender.send(vector).expect("the receiver is there");
        }
    });
    let receiving: Job<Tally> = Box::new(move || {
        let mut tally = Tally::default();
        while let Ok(vector) = receiver.recv() {
            for message in vector {
                tally.add(message.id());
            }
        }
        tally
    });
    let (time, got) = race(vec![sending], vec![receiving], || {});
    assert_eq!(got, Tally::expected(messages, 1));
    time
}

/// The floor of a fanout: one producer, and a channel with a consumer for each copy.
pub fn fanout(messages: u64) -> Duration {
    let (senders, receivers): (Vec<Sender<Arc<Msg>>>, Vec<_>) =
        (0..QUEUES).map(|_| unbounded()).unzip();
    let sending: Job<()> = Box::new(move || {
        for id in 1..=messages {
            let message = Arc::<Msg>::make(id);
            for sender in &senders {
                sender
                    .send(Arc::clone(&message))
                    .expect("receivers are there");
            }
        }
    });
    let receiving = receivers.into_iter().map(drain).collect();
    let (time, got) = race(vec![sending], receiving, || {});
    assert_eq!(got, Tally::expected(messages, QUEUES));
    time
}
