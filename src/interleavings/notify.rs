//! Notifications, while listeners begin and end.
//!
//! Each group of listeners that a notification has reached handles it once, and no queue stays.

use super::*;
use crate::{
    model::descriptions::Overflow,
    patterns::{
        notify::{ListenerBuilder, ListenerHandle, ListenerReport, Notifier, Priority, StartAt},
        worker::Settle,
    },
};

fn notifier(broker: &Broker) -> Notifier<u32> {
    broker.notifier("p").build().unwrap()
}

fn member(broker: &Broker, pool: &str) -> ListenerHandle {
    counting(broker.listener().pool(pool))
}

/// A listener that handles each notification at the second attempt.
fn counting(listener: ListenerBuilder<u32>) -> ListenerHandle {
    let listener = listener.on(Priority::Info, |_, context| {
        match context.acquired_count() {
            0 => Settle::Requeue(Duration::ZERO),
            _ => Settle::Ack,
        }
    });
    listener.spawn().unwrap()
}

/// The numbers of acknowledged and of requeued notifications.
fn counts(report: &ListenerReport) -> (u64, u64) {
    let counts = report.endpoints[0].counts;
    (counts.acked, counts.requeued)
}

#[test]
fn a_member_that_ends_leaves_its_notifications_to_its_pool_alone() {
    explore(|| {
        let broker = Broker::new();
        let [first, second] = [(); 2].map(|()| member(&broker, "pool"));
        let other = counting(broker.listener());
        let notifier = notifier(&broker);
        let sending = thread::spawn(move || {
            for number in 0..2 {
                assert_eq!(notifier.info("e", number).unwrap().routed, 2);
            }
        });
        first.stop();
        sending.join().unwrap();
        let first = counts(&first.join());
        let second = counts(&second.stop_and_drain(Duration::MAX));
        assert_eq!((first.0 + second.0, first.1 + second.1), (2, 2));
        assert_eq!(counts(&other.stop_and_drain(Duration::MAX)), (2, 2));
        assert_eq!(broker.snapshot().unwrap().vhosts[0].queues.len(), 0);
    });
}

#[test]
fn a_notification_is_handled_once_or_goes_with_the_queue_of_a_listener_that_ends() {
    explore(|| {
        let broker = Broker::new();
        let notifier = notifier(&broker);
        let sending = thread::spawn(move || {
            let sent = (0..2).map(|number| notifier.info("e", number).unwrap().routed);
            sent.sum::<usize>() as u64
        });
        let listener = member(&broker, "pool");
        let (acked, requeued) = counts(&listener.stop_and_drain(Duration::MAX));
        assert_eq!(acked, requeued);
        assert!(acked <= sending.join().unwrap());
        assert_eq!(broker.snapshot().unwrap().vhosts[0].queues.len(), 0);
    });
}

#[test]
fn what_is_kept_is_handled_once_or_dropped_for_the_limit_or_left() {
    explore(|| {
        let broker = Broker::new();
        let keeping = || {
            let notifier = broker.notifier::<u32>("p").store_and_forward(1);
            notifier.build().unwrap()
        };
        let sending = [keeping(), keeping()].map(|notifier| {
            thread::spawn(move || assert_eq!(notifier.info("e", 0).unwrap().routed, 1))
        });
        let listener = broker.listener().start_at(StartAt::Backlog);
        let (acked, _) = counts(&counting(listener).stop_and_drain(Duration::MAX));
        join(sending);
        let queues = broker.snapshot().unwrap().vhosts.remove(0).queues;
        assert_eq!(queues.len(), Priority::ALL.len());
        let name = "notifications.notifications.info";
        let kept = queues
            .into_iter()
            .find(|queue| &*queue.name == name)
            .unwrap();
        assert_eq!(kept.acked.messages, acked);
        assert_eq!(kept.ready.messages + kept.dropped.messages + acked, 2);
    });
}

#[test]
fn a_sender_that_waits_for_a_listener_goes_on_when_that_ends() {
    explore(|| {
        let broker = Broker::new();
        let listener = broker.listener().queues(|queue| {
            let queue = queue.max_length(1);
            queue.overflow(Overflow::Block)
        });
        let listener = counting(listener);
        let notifier = notifier(&broker);
        let sending = thread::spawn(move || {
            let sent = (0..3).map(|number| notifier.info("e", number).unwrap().routed);
            sent.sum::<usize>() as u64
        });
        listener.stop();
        let (acked, _) = counts(&listener.join());
        assert!(acked <= sending.join().unwrap());
    });
}
