//! Waiting for confirms against publishing and closing.

use super::*;
use crate::session::channel::ConfirmOutcome;
use crate::{model::error::Error, session::channel::Event};

#[test]
fn messages_published_before_a_wait_are_confirmed_when_it_returns() {
    explore(|| {
        let broker = Broker::new();
        broker.declare(&queue()).unwrap();
        let channel = channel(&broker);
        channel.confirm_select().unwrap();
        let publishers: Vec<_> = (0..2)
            .map(|id| {
                let channel = channel.clone();
                thread::spawn(move || publish_bytes(&channel, "q", [id]))
            })
            .collect();
        let waiting = thread::spawn({
            let channel = channel.clone();
            move || channel.wait_for_confirms()
        });
        publish_bytes(&channel, "q", [2]);
        let confirmed = block_on(channel.wait_for_confirms_async());
        assert_eq!(confirmed.unwrap(), ConfirmOutcome::Ack);
        let events = channel.events();
        // The confirms come in the order of their numbers here. One may be for several messages.
        let last = || {
            let mut read = Vec::new();
            events.drain_into(&mut read, usize::MAX);
            match read.pop() {
                Some(Event::Confirm(confirm)) => Some(confirm.delivery_tag),
                _ => None,
            }
        };
        let confirmed = last();
        assert!(confirmed.is_some());
        assert_eq!(waiting.join().unwrap(), Ok(ConfirmOutcome::Ack));
        join(publishers);
        assert_eq!(
            channel.try_wait_for_confirms(),
            Ok(Some(ConfirmOutcome::Ack))
        );
        assert_eq!(last().or(confirmed), Some(3));
    });
}

#[test]
fn a_wait_for_confirms_is_woken_by_the_end_of_the_channel() {
    explore(|| {
        let broker = Broker::new();
        broker.declare(&queue()).unwrap();
        let channel = channel(&broker);
        channel.confirm_select().unwrap();
        let publishing = thread::spawn({
            let channel = channel.clone();
            move || {
                let published =
                    channel.basic_publish("", "q", "m", Properties::new(), PublishOptions::new());
                assert!(matches!(published, Ok(_) | Err(Error::ChannelClosed)));
            }
        });
        let waiting = thread::spawn({
            let channel = channel.clone();
            move || {
                let waited = channel.wait_for_confirms();
                assert!(matches!(
                    waited,
                    Ok(ConfirmOutcome::Ack) | Err(Error::ChannelClosed)
                ));
            }
        });
        channel.close().unwrap();
        join([publishing, waiting]);
    });
}
