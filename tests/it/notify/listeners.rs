//! Endpoints, pools, and the queues behind them.

use std::{
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use leveret::{
    Backoff, Broker, Error, Exchange, Overflow, Queue,
    middleware::Retry,
    notify::{
        ListenerBuilder, ListenerHandle, Notification, NotificationFilter, Priority, StartAt,
    },
    worker::{Settle, WorkerEnd},
};

use crate::common::{PATIENCE, SECOND, advance_until, on_a_manual_clock};

type Seen = Arc<Mutex<Vec<(String, u32)>>>;

/// An endpoint for every priority, which notes what it sees.
fn noting(listener: ListenerBuilder<u32>, name: &str, seen: &Seen) -> ListenerBuilder<u32> {
    let (name, seen) = (name.to_owned(), Arc::clone(seen));
    listener.endpoint("all", Priority::ALL, move |worker| {
        worker.handler(move |notification, _| {
            seen.lock()
                .unwrap()
                .push((name.clone(), notification.payload));
        })
    })
}

/// The payloads that the listener of this name has seen, in their order.
fn seen_by(seen: &Seen, name: &str) -> Vec<u32> {
    let seen = seen.lock().unwrap();
    let own = seen.iter().filter(|(by, _)| by == name);
    own.map(|(_, payload)| *payload).collect()
}

pub(super) fn queues(broker: &Broker) -> Vec<String> {
    let vhosts = broker.snapshot().unwrap().vhosts;
    let queues = vhosts.iter().flat_map(|vhost| &vhost.queues);
    queues.map(|queue| queue.name.to_string()).collect()
}

#[test]
fn each_priority_comes_to_the_endpoints_that_ask_for_it() {
    let broker = Broker::new();
    let (sender, seen) = mpsc::channel();
    let mut listener = broker.listener::<u32>();
    for priority in [Priority::Info, Priority::Error] {
        let sender = sender.clone();
        listener = listener.on(priority, move |notification, _| {
            sender.send((priority, notification.priority)).unwrap();
        });
    }
    let listener = listener.spawn().unwrap();
    let notifier = broker.notifier::<u32>("p").build().unwrap();
    let mut routed = Vec::new();
    for priority in Priority::ALL {
        routed.push(notifier.notify(priority, "e", 0).unwrap().routed);
    }
    assert_eq!(routed, [0, 0, 1, 0, 1, 0, 0]);
    listener.stop_and_drain(PATIENCE);
    drop(sender);
    let mut seen: Vec<_> = seen.iter().collect();
    seen.sort();
    let own = |priority| (priority, priority);
    assert_eq!(seen, [own(Priority::Info), own(Priority::Error)]);
}

#[test]
fn each_listener_and_each_pool_gets_a_copy_and_the_members_of_a_pool_share_it() {
    let broker = Broker::new();
    let seen = Seen::default();
    let listeners = [
        ("alone", None),
        ("other", None),
        ("first", Some("pool")),
        ("second", Some("pool")),
        ("third", Some("third")),
    ];
    let listeners = listeners.map(|(name, pool)| {
        let mut listener = broker.listener::<u32>();
        if let Some(pool) = pool {
            listener = listener.pool(pool);
        }
        noting(listener, name, &seen).spawn().unwrap()
    });
    let notifier = broker.notifier::<u32>("p").build().unwrap();
    for number in 0..100 {
        assert_eq!(notifier.info("e", number).unwrap().routed, 4);
    }
    for listener in listeners {
        listener.stop_and_drain(PATIENCE);
    }
    let all: Vec<_> = (0..100).collect();
    for name in ["alone", "other", "third"] {
        assert_eq!(seen_by(&seen, name), all, "{name}");
    }
    let mut pool = seen_by(&seen, "first");
    pool.extend(seen_by(&seen, "second"));
    pool.sort_unstable();
    assert_eq!(pool, all);
    assert_eq!(queues(&broker), [""; 0], "no queue is left");
}

#[test]
fn a_requeue_touches_only_its_pool_and_its_endpoint() {
    let broker = Broker::new();
    let seen = Seen::default();
    let other = noting(broker.listener::<u32>().pool("other"), "other", &seen);
    let other = other.spawn().unwrap();
    let (sender, tries) = mpsc::channel();
    let trying = broker.listener::<u32>().pool("trying");
    let trying = noting(trying, "beside", &seen).on(Priority::Info, move |_, context| {
        sender.send(context.acquired_count()).unwrap();
        match context.acquired_count() {
            0 => Settle::Requeue(Duration::ZERO),
            _ => Settle::Ack,
        }
    });
    let trying = trying.spawn().unwrap();
    let notifier = broker.notifier::<u32>("p").build().unwrap();
    assert_eq!(notifier.info("e", 7).unwrap().routed, 3);
    let reports = [trying, other].map(|listener| listener.stop_and_drain(PATIENCE));
    assert_eq!(tries.iter().collect::<Vec<_>>(), [0, 1]);
    assert_eq!(seen_by(&seen, "beside"), [7]);
    assert_eq!(seen_by(&seen, "other"), [7]);
    let names: Vec<_> = reports[0].endpoints.iter().map(|it| &*it.worker).collect();
    assert_eq!(names, ["all", "info"]);
    assert_eq!(reports[0].endpoints[1].counts.requeued, 1);
}

#[test]
fn a_notification_for_several_topics_comes_once_to_a_listener_of_several() {
    let broker = Broker::new();
    let seen = Seen::default();
    let both = broker.listener::<u32>().topics(["orders", "audits"]);
    let both = noting(both, "both", &seen).spawn().unwrap();
    let one = noting(broker.listener::<u32>().topic("audits"), "one", &seen);
    let one = one.spawn().unwrap();
    let any = noting(broker.listener::<u32>().topic("#"), "any", &seen);
    let any = any.spawn().unwrap();
    let notifier = broker
        .notifier::<u32>("p")
        .topics(["orders", "audits", "mails"]);
    let notifier = notifier.build().unwrap();
    assert_eq!(notifier.warn("e", 7).unwrap().routed, 3);
    let other = broker
        .notifier::<u32>("p")
        .exchange("other")
        .topic("audits");
    assert_eq!(other.build().unwrap().warn("e", 8).unwrap().routed, 0);
    for listener in [both, one, any] {
        listener.stop_and_drain(PATIENCE);
    }
    for name in ["both", "one", "any"] {
        assert_eq!(seen_by(&seen, name), [7], "{name}");
    }
}

#[test]
fn those_who_start_at_the_backlog_share_what_was_stored_within_its_limit() {
    let broker = Broker::new();
    let notifier = broker.notifier::<u32>("p").store_and_forward(10);
    let notifier = notifier.build().unwrap();
    for number in 0..25 {
        assert_eq!(notifier.info("e", number).unwrap().routed, 1);
    }
    let seen = Seen::default();
    let new = noting(broker.listener::<u32>(), "new", &seen)
        .spawn()
        .unwrap();
    let old = ["first", "second"].map(|name| {
        let listener = broker.listener::<u32>().start_at(StartAt::Backlog);
        noting(listener, name, &seen).spawn().unwrap()
    });
    notifier.info("e", 25).unwrap();
    let listeners = old.into_iter().chain([new]);
    listeners.for_each(|listener| drop(listener.stop_and_drain(PATIENCE)));
    let mut old = seen_by(&seen, "first");
    old.extend(seen_by(&seen, "second"));
    old.sort_unstable();
    assert_eq!(old, (15..=25).collect::<Vec<_>>());
    assert_eq!(seen_by(&seen, "new"), [25]);
    assert_eq!(queues(&broker).len(), Priority::ALL.len());
}

#[test]
fn what_a_notifier_keeps_outlives_it_and_goes_to_no_other_exchange() {
    let broker = Broker::new();
    let keep = |exchange: &str, number| {
        let notifier = broker.notifier::<u32>("p").exchange(exchange).topic("t");
        let notifier = notifier.store_and_forward(10).build().unwrap();
        assert_eq!(notifier.info("e", number).unwrap().routed, 1);
    };
    keep("a", 1);
    keep("b", 2);
    let seen = Seen::default();
    let late = broker.listener::<u32>().exchange("a").topic("t");
    let late = noting(late.start_at(StartAt::Backlog), "late", &seen);
    late.spawn().unwrap().stop_and_drain(PATIENCE);
    assert_eq!(seen_by(&seen, "late"), [1]);
    let left = broker.snapshot().unwrap().vhosts.remove(0).queues;
    let left: Vec<_> = left.iter().filter(|it| it.ready.messages > 0).collect();
    assert_eq!(
        left.iter().map(|it| &*it.name).collect::<Vec<_>>(),
        ["b.t.info"]
    );
}

#[test]
fn the_queues_of_endpoints_have_the_properties_that_the_listener_describes() {
    let broker = Broker::new();
    let dead = broker.consumer::<Notification<u32>>("dead").unwrap();
    let (sender, tries) = mpsc::channel();
    let (free, is_free) = mpsc::channel::<()>();
    let is_free = Mutex::new(is_free);
    let listener = broker.listener::<u32>().pool("p").queues(|queue| {
        let queue = queue.max_length(1).overflow(Overflow::RejectPublish);
        queue
            .dead_letter_exchange("")
            .dead_letter_routing_key("dead")
    });
    let listener = listener.endpoint("e", [Priority::Info], move |worker| {
        let retry = Retry::new(Backoff::new(Duration::ZERO).max_attempts(3));
        worker.prefetch(1).middleware(retry).handler(move |it, _| {
            sender.send(it.payload).unwrap();
            let _ = is_free.lock().unwrap().recv();
            Err::<(), _>("it fails")
        })
    });
    let listener = listener.spawn().unwrap();
    let notifier = broker.notifier::<u32>("p").build().unwrap();
    notifier.info("e", 1).unwrap();
    assert_eq!(tries.recv().unwrap(), 1);
    notifier.info("e", 2).unwrap(); // it is ready
    let full = notifier.info("e", 3).unwrap_err();
    assert!(matches!(full.broker(), Some(Error::Refused { .. })));
    drop(free);
    let dead = [(); 2].map(|()| dead.recv().unwrap());
    let mut numbers = dead.each_ref().map(|it| it.payload);
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2]);
    drop(dead);
    listener.stop_and_drain(PATIENCE);
    assert_eq!(tries.iter().count(), 5, "each is tried three times");
}

#[test]
fn the_handlers_are_gone_when_a_listener_has_ended() {
    let broker = Broker::new();
    let ends: [fn(ListenerHandle); 3] = [
        |listener| drop(listener.stop_and_drain(PATIENCE)),
        |listener| {
            listener.stop();
            listener.join();
        },
        |listener| {
            listener.stop();
            listener.join_timeout(PATIENCE).unwrap();
        },
    ];
    for end in ends {
        let held = Arc::new(());
        let mut listener = broker.listener::<u32>();
        for priority in Priority::ALL {
            let held = Arc::clone(&held);
            listener = listener.on(priority, move |_, _| {
                let _ = &held;
            });
        }
        end(listener.spawn().unwrap());
        assert_eq!(Arc::strong_count(&held), 1);
    }
}

#[test]
fn an_endpoint_that_is_stuck_holds_up_no_wait_with_a_limit() {
    let (broker, clock) = on_a_manual_clock();
    let (free, is_free) = mpsc::channel::<()>();
    let (begins, begun) = mpsc::channel();
    let is_free = Mutex::new(is_free);
    let listener = broker.listener::<u32>().on(Priority::Error, |_, _| ());
    let listener = listener.on(Priority::Info, move |_, _| {
        begins.send(()).unwrap();
        let _ = is_free.lock().unwrap().recv();
    });
    let listener = listener.spawn().unwrap();
    let notifier = broker.notifier::<u32>("p").build().unwrap();
    notifier.info("e", 7).unwrap();
    begun.recv().unwrap();
    let advanced = |waiting: thread::JoinHandle<_>| {
        advance_until(&clock, || waiting.is_finished());
        waiting.join().unwrap()
    };
    listener.stop();
    while listener.report().endpoints[0].end == WorkerEnd::Running {
        thread::yield_now();
    }
    let waiting = thread::spawn(move || listener.join_timeout(SECOND).map_err(Some));
    let Err(Some(listener)) = advanced(waiting) else {
        panic!("an endpoint is stuck");
    };
    assert!(!listener.is_finished());
    let waiting = thread::spawn(move || Ok(listener.stop_and_drain(SECOND)));
    let report = advanced(waiting).unwrap();
    let ends: Vec<_> = report.endpoints.iter().map(|it| it.end).collect();
    assert_eq!(ends, [WorkerEnd::Stopped, WorkerEnd::TimedOut]);
    drop(free);
}

#[test]
fn a_batch_of_a_member_that_ends_goes_to_another_one() {
    let broker = Broker::new();
    let seen = Seen::default();
    let (sender, batches) = mpsc::channel();
    let member = |name: &'static str, most: usize| {
        let (seen, sender) = (Arc::clone(&seen), sender.clone());
        let listener = broker.listener::<u32>().pool("p");
        let listener = listener.endpoint("all", Priority::ALL, move |worker| {
            // Nothing but the end of the listener ends a batch that is not full.
            worker.batch(most, Duration::MAX).handler(move |batch| {
                let payloads = batch.iter().map(|it| (name.to_owned(), it.payload));
                seen.lock().unwrap().extend(payloads);
                sender.send(batch.iter().count()).unwrap();
            })
        });
        listener.spawn().unwrap()
    };
    let notifier = broker.notifier::<u32>("p").build().unwrap();
    let all: Vec<_> = (0..20).collect();
    for is_stopped in [true, false] {
        seen.lock().unwrap().clear();
        let first = member("first", 100);
        for number in &all {
            assert_eq!(notifier.info("e", *number).unwrap().routed, 1);
        }
        let second = member("second", 20);
        if is_stopped {
            first.stop();
        }
        drop(first);
        assert_eq!(batches.recv().unwrap(), 20);
        second.stop_and_drain(PATIENCE);
        let mut numbers = seen_by(&seen, "second");
        numbers.sort_unstable();
        assert_eq!(numbers, all);
        assert_eq!(seen_by(&seen, "first"), [0; 0]);
    }
    assert_eq!(queues(&broker), [""; 0]);
}

#[test]
fn a_listener_in_a_task_ends_when_it_is_stopped() {
    let broker = Broker::new();
    let seen = Seen::default();
    let listener = noting(broker.listener::<u32>(), "task", &seen)
        .build()
        .unwrap();
    let stops = listener.stop_handles().unwrap();
    let running = listener.run_async();
    let notifier = broker.notifier::<u32>("p").build().unwrap();
    assert_eq!(notifier.info("e", 7).unwrap().routed, 1);
    let running = std::thread::spawn(|| crate::common::block_on(running));
    while seen_by(&seen, "task").is_empty() {
        std::thread::yield_now();
    }
    stops.iter().for_each(|stop| stop.stop());
    let report = running.join().unwrap().unwrap();
    assert_eq!(report.endpoints[0].counts.acked, 1);
}

#[test]
fn a_listener_that_cannot_be_made_says_why() {
    let broker = Broker::new();
    let listener = || broker.listener::<u32>();
    let refused = |listener: ListenerBuilder<u32>| match listener.spawn() {
        Err(Error::NotAllowed(text)) => text.to_string(),
        other => panic!("{other:?}"),
    };
    let on = |listener: ListenerBuilder<u32>| listener.on(Priority::Info, |_, _| ());
    assert_eq!(refused(listener()), "a listener needs an endpoint");
    let twice = refused(on(on(listener())));
    assert_eq!(twice, "a listener has two endpoints named 'info'");
    let none = listener().endpoint("none", [], |worker| worker.handler(|_, _| ()));
    assert_eq!(
        refused(none),
        "endpoint 'none' of a listener needs a priority"
    );
    let pool = on(listener().pool("p").start_at(StartAt::Backlog));
    assert!(refused(pool).contains("no backlog"));
    // Without a notifier that stores, there is no backlog.
    let backlog = on(listener().start_at(StartAt::Backlog)).spawn();
    assert!(backlog.unwrap_err().is_not_found());
    let long = on(listener().pool("x".repeat(300))).spawn();
    assert!(matches!(long, Err(Error::InvalidName(_))));
    broker.declare(&Exchange::fanout("notifications")).unwrap();
    assert!(on(listener()).spawn().unwrap_err().is_inequivalent());
    assert_eq!(queues(&broker), [""; 0], "nothing is half done");
    broker.shutdown(Duration::ZERO).unwrap();
    assert!(on(listener()).spawn().unwrap_err().is_closed());
}

#[test]
fn a_listener_that_cannot_start_one_endpoint_starts_none() {
    let broker = Broker::new();
    let listener = broker.listener::<u32>().on(Priority::Info, |_, _| ());
    let exclusive =
        |worker: leveret::worker::WorkerBuilder<_>| worker.exclusive().handler(|_, _| ());
    let taken = Queue::new("notifications.p.own").auto_delete();
    let _taken = broker.consumer::<u32>(&taken).unwrap();
    let listener = listener
        .pool("p")
        .endpoint("own", [Priority::Warn], exclusive);
    assert!(matches!(listener.spawn(), Err(Error::AccessRefused(_))));
    assert_eq!(queues(&broker), ["notifications.p.own"]);
}

#[test]
fn the_notifications_of_others_are_filtered_and_acknowledged() {
    let broker = Broker::new();
    let (sender, seen) = mpsc::channel();
    let filter = NotificationFilter::new().publisher_id("^local").unwrap();
    let listener = broker.listener::<u32>();
    let listener =
        listener.on_matching(Priority::Info, filter, move |it, _| sender.send(it.payload));
    let listener = listener.spawn().unwrap();
    let local = broker.notifier::<u32>("local.1").build().unwrap();
    let remote = local.with_publisher_id("remote").unwrap();
    local.info("e", 1).unwrap();
    remote.info("e", 2).unwrap();
    local.info("e", 3).unwrap();
    let report = listener.stop_and_drain(PATIENCE);
    assert_eq!(report.endpoints[0].counts.acked, 3);
    assert_eq!(seen.iter().collect::<Vec<_>>(), [1, 3]);
}

#[test]
fn a_listener_in_a_task_reports_an_endpoint_that_does_not_start() {
    let broker = Broker::new();
    broker
        .declare(&Queue::new("notifications.notifications.info"))
        .unwrap();
    let listener = broker.listener::<u32>().start_at(StartAt::Backlog);
    let listener = listener
        .on(Priority::Info, |_, _| ())
        .on(Priority::Error, |_, _| ());
    let listener = listener.build().unwrap();
    let error = crate::common::block_on(listener.run_async()).unwrap_err();
    assert!(error.is_not_found(), "{error}");
}

#[test]
fn an_endpoint_can_take_batches_in_the_order_of_their_arrival() {
    let broker = Broker::new();
    let (sender, batches) = mpsc::channel();
    let listener = broker
        .listener::<u32>()
        .endpoint("all", Priority::ALL, move |worker| {
            worker.batch(4, PATIENCE).handler(move |batch| {
                let payloads: Vec<_> = batch.iter().map(|it| (it.priority, it.payload)).collect();
                sender.send(payloads).unwrap();
                batch
                    .iter()
                    .map(|it| match it.payload {
                        3 => Settle::Reject,
                        _ => Settle::Ack,
                    })
                    .collect::<Vec<_>>()
            })
        });
    let listener = listener.spawn().unwrap();
    let notifier = broker.notifier::<u32>("p").build().unwrap();
    let sent = [
        Priority::Warn,
        Priority::Audit,
        Priority::Error,
        Priority::Debug,
    ];
    for (priority, number) in sent.into_iter().zip(0..) {
        notifier.notify(priority, "e", number).unwrap();
    }
    let expected: Vec<_> = sent.into_iter().zip(0..).collect();
    assert_eq!(batches.recv().unwrap(), expected);
    let counts = listener.stop_and_drain(PATIENCE).endpoints[0].counts;
    assert_eq!((counts.handled, counts.acked, counts.rejected), (4, 3, 1));
}
