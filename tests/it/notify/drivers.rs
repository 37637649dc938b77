//! The other ways of notifications, and failures.

use std::sync::mpsc;

use leveret::{
    Broker, Error, Exchange, Overflow, Queue,
    notify::{MemoryDriver, NoopDriver, Notification, Notifier, Priority, Route},
};

/// A queue that takes one notification and refuses the next.
fn small(broker: &Broker, overflow: Overflow) {
    let exchange = Exchange::topic("notifications");
    let queue = Queue::new("small").bind(&exchange, "#");
    broker
        .declare(&queue.max_length(1).overflow(overflow))
        .unwrap();
}

fn failing(_: &Notification<u32>) -> Result<(), &'static str> {
    Err("no connection")
}

#[test]
fn a_driver_that_fails_or_panics_keeps_no_other_from_its_notification() {
    let broker = Broker::new();
    small(&broker, Overflow::RejectPublish);
    let memory = MemoryDriver::default();
    let notifier = broker.notifier::<u32>("p").driver("failing", failing);
    let notifier = notifier.driver("panicking", |_: &Notification<u32>| -> () {
        panic!("oh no")
    });
    let notifier = notifier.driver("memory", memory.clone()).build().unwrap();

    let error = notifier.info("e", 7).unwrap_err();
    let drivers: Vec<_> = error
        .drivers()
        .map(|(name, it)| format!("{name}: {it}"))
        .collect();
    assert_eq!(
        drivers,
        ["failing: no connection", "panicking: it panicked: oh no"]
    );
    assert_eq!(error.broker(), None);
    assert!(error.into_notification().is_none(), "the broker has it");
    assert_eq!(
        (memory.take().len(), broker.purge("small").unwrap()),
        (1, 1)
    );
    let error = Error::from(notifier.info("e", 8).unwrap_err());
    assert!(matches!(&error, Error::NotificationDriver { driver, .. } if &**driver == "failing"));
}

#[test]
fn a_notification_that_the_broker_refuses_comes_back() {
    let broker = Broker::new();
    small(&broker, Overflow::RejectPublish);
    let notifier = broker.notifier::<u32>("p").build().unwrap();
    notifier.info("e", 7).unwrap();
    let error = notifier.info("e", 8).unwrap_err();
    assert!(
        matches!(error.broker(), Some(Error::Refused { .. })),
        "{error}"
    );
    assert_eq!(error.into_notification().unwrap().payload, 8);
    assert!(matches!(
        Error::from(notifier.info("e", 9).unwrap_err()),
        Error::Refused { .. }
    ));
}

#[test]
fn a_best_effort_counts_failures_and_returns_none() {
    let broker = Broker::new();
    small(&broker, Overflow::RejectPublish);
    let notifier = broker.notifier::<u32>("p").best_effort().build().unwrap();
    assert_eq!(notifier.info("e", 7).unwrap().routed, 1);
    for number in 0..3 {
        assert_eq!(notifier.info("e", number).unwrap().routed, 0);
    }
    assert_eq!(notifier.clone().failures(), 3);
    broker.shutdown(std::time::Duration::ZERO).unwrap();
    notifier.info("e", 8).unwrap();
    assert_eq!(notifier.failures(), 4);
}

#[test]
fn a_notification_goes_where_its_routes_lead() {
    let broker = Broker::new();
    small(&broker, Overflow::DropHead);
    let [errors, orders, all] = [(); 3].map(|()| MemoryDriver::<u32>::default());
    let notifier = broker
        .notifier::<u32>("p")
        .route(Route::new().event("order.*"))
        .driver_for(
            "errors",
            [Route::new().priority(Priority::Error)],
            errors.clone(),
        )
        .driver_for(
            "orders",
            [
                Route::new().event("order.*").priority(Priority::Info),
                Route::new().event("bill.?").event("bill.paid"),
            ],
            orders.clone(),
        )
        .driver("all", all.clone())
        .build()
        .unwrap();
    let sent = [
        (Priority::Info, "order.paid", 1, [1, 0, 1]),
        (Priority::Error, "order.paid", 2, [1, 1, 0]),
        (Priority::Error, "bill.7", 3, [0, 1, 1]),
        (Priority::Debug, "bill.paid", 4, [0, 0, 1]),
        (Priority::Debug, "bill.77", 5, [0, 0, 0]),
        (Priority::Info, "reorder.paid", 6, [0, 0, 0]),
    ];
    for (priority, event, number, expected) in sent {
        let routed = notifier.notify(priority, event, number).unwrap().routed;
        let taken = [routed, errors.take().len(), orders.take().len()];
        assert_eq!(taken, expected, "{priority} {event}");
    }
    assert_eq!(all.take().len(), 6);
    let route: Route = serde_json::from_str(r#"{"accepted_priorities": ["warning"]}"#).unwrap();
    assert_eq!(route, Route::new().priority(Priority::Warn));
    assert!(serde_json::from_str::<Route>(r#"{"accepted": []}"#).is_err());
}

#[test]
fn a_notifier_is_enabled_if_anything_is_done() {
    let broker = Broker::new();
    let enabled = |notifier: &Notifier<u32>| notifier.is_enabled();
    assert!(enabled(&broker.notifier("p").build().unwrap()));
    let without = || broker.notifier::<u32>("p").without_broker();
    assert!(!enabled(&without().build().unwrap()));
    assert!(!enabled(
        &without().driver("noop", NoopDriver).build().unwrap()
    ));
    let (sender, seen) = mpsc::channel();
    let notifier = without()
        .driver("noop", NoopDriver)
        .driver("channel", sender);
    let notifier = notifier.build().unwrap();
    assert!(enabled(&notifier));
    notifier.sample("e", 7).unwrap();
    assert_eq!(seen.recv().unwrap().payload, 7);
    drop(seen);
    assert!(
        notifier
            .sample("e", 8)
            .unwrap_err()
            .to_string()
            .contains("the receiver")
    );
}

#[test]
fn drivers_that_panic_when_they_are_dropped_harm_nobody() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("the drop of a driver");
        }
    }
    let broker = Broker::new();
    let mut notifier = broker.notifier::<u32>("p");
    for name in ["a", "b"] {
        let bomb = Bomb;
        notifier = notifier.driver(name, move |_: &Notification<u32>| {
            let _ = &bomb;
        });
    }
    let notifier = notifier.build().unwrap();
    notifier.info("e", 7).unwrap();
    drop(notifier);
}

#[test]
fn a_payload_that_panics_when_it_is_dropped_harms_no_notification_that_goes_nowhere() {
    #[derive(Clone, serde::Serialize, serde::Deserialize)]
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("the drop of a payload");
        }
    }
    let broker = Broker::new();
    let notifier = broker.notifier::<Bomb>("p").without_broker();
    let notifier = notifier.driver("failing", |_: &Notification<Bomb>| Err("no connection"));
    let error = notifier.build().unwrap().info("e", Bomb).unwrap_err();
    assert_eq!(error.drivers().count(), 1);
    let routed = broker
        .notifier::<Bomb>("p")
        .route(Route::new().event("other"));
    assert_eq!(routed.build().unwrap().info("e", Bomb).unwrap().routed, 0);
    assert_eq!(
        broker
            .notifier("p")
            .build()
            .unwrap()
            .info("e", Bomb)
            .unwrap()
            .routed,
        0
    );
}
