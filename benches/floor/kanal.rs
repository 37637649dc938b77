//! The floors of kanal, a channel that many use where crossbeam's is the usual one.

use std::time::Duration;

use kanal::unbounded;

use super::{
    item::Item,
    race::{Job, Tally, race, share},
};

/// As `raw::channel`, through a channel of kanal.
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
    let receive = |_| -> Job<Tally> {
        let receiver = receiver.clone();
        Box::new(move || {
            let mut tally = Tally::default();
            while let Ok(item) = receiver.recv() {
                tally.add(item.id());
            }
            tally
        })
    };
    let receiving = (0..consumers).map(receive).collect();
    drop(receiver);
    let (time, got) = race(sending, receiving, || {});
    assert_eq!(got, Tally::expected(messages, 1));
    time
}
