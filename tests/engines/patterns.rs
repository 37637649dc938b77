//! Workers, RPC, notifications and control.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::Duration,
};

use futures_lite::future::block_on;
use leveret::{
    Backoff, FieldTable,
    control::{Mailbox, Node, Nodes},
    middleware::Retry,
    notify::Priority,
    rpc::{self, Client, Endpoint, RpcError, Server, Target},
    worker::Settle,
};

use crate::{
    engine::{Engine, LONG},
    on_each_engine,
};

on_each_engine! {
    a_worker_handles_each_message_once
    a_failed_message_is_tried_again_and_put_aside_with_its_reason
    a_task_worker_publishes_what_its_messages_lead_to
    a_call_returns_its_reply
    errors_of_servers_are_typed
    a_caller_gives_up_in_time
    replies_are_streamed
    calls_of_many_threads_find_their_replies
    a_call_of_nobody_fails_at_once
    notifications_reach_their_listeners
    nodes_execute_their_commands
}

fn a_worker_handles_each_message_once(engine: &Engine) {
    let queue = engine.queue("q");
    let (sender, handled) = mpsc::channel();
    let sender = Mutex::new(sender);
    let worker = engine.broker.worker::<u32>(&queue).concurrency(4);
    let worker = worker.handler(move |number, _| sender.lock().unwrap().send(*number));
    let worker = worker.spawn().unwrap();
    let producer = engine.broker.producer::<u32>(&queue).unwrap();
    assert!(producer.publish_batch(0..100).iter().all(Result::is_ok));
    let mut seen: Vec<u32> = (0..100)
        .map(|_| handled.recv_timeout(LONG).unwrap())
        .collect();
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..100));
    let report = worker.stop_and_drain(LONG);
    assert_eq!((report.counts.handled, report.counts.acked), (100, 100));
    assert_eq!(engine.broker.purge(&queue).unwrap(), 0);
}

fn a_failed_message_is_tried_again_and_put_aside_with_its_reason(engine: &Engine) {
    let dead = engine.queue("dead");
    let dead = engine.broker.consumer::<u32>(&dead).unwrap();
    engine.queue("q.retry.5"); // the middleware makes it
    let queue = engine.queue("q").dead_letter_exchange("");
    let queue = queue.dead_letter_routing_key(&**dead.queue());
    let backoff = Backoff::constant(Duration::from_millis(5)).max_attempts(3);
    let attempts = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&attempts);
    let worker = engine.broker.worker::<u32>(&queue);
    let worker = worker.middleware(Retry::new(backoff));
    let worker = worker.handler(move |_, _| -> Result<(), &str> {
        count.fetch_add(1, SeqCst);
        Err("the bank is closed")
    });
    let worker = worker.spawn().unwrap();
    engine.broker.producer(&queue).unwrap().publish(7).unwrap();
    let letter = dead.recv_timeout(LONG).unwrap();
    assert_eq!((*letter, attempts.load(SeqCst)), (7, 3));
    let header = |name| letter.info().properties().header_value(name).cloned();
    let text = |name| header(name).unwrap().as_str().unwrap().to_owned();
    assert_eq!(text("x-exception-message"), "the bank is closed");
    assert_eq!(
        text("x-exception-reason"),
        "failed 3 times: the bank is closed"
    );
    let deaths = header("x-death").unwrap();
    let death = deaths.as_array().unwrap()[0].as_table().unwrap();
    assert_eq!(death.get("queue").unwrap().as_str(), Some(queue.name()));
    assert_eq!(death.get("reason").unwrap().as_str(), Some("rejected"));
    letter.ack().unwrap();
    worker.stop_and_drain(LONG);
}

fn a_task_worker_publishes_what_its_messages_lead_to(engine: &Engine) {
    let (first, second) = (engine.queue("first"), engine.queue("second"));
    let results = engine.broker.consumer::<u32>(&second).unwrap();
    let producer = engine.broker.producer::<u32>(&second).unwrap();
    let worker = engine.broker.worker::<u32>(&first).concurrency(8);
    let worker = worker.handler_async(move |number, context| {
        let producer = context.producer(&producer);
        async move {
            match producer.publish_async(*number * 2).await {
                Ok(_) => Settle::Ack,
                Err(_) => Settle::Reject,
            }
        }
    });
    let (stop, stopping) = mpsc::channel();
    let running = thread::spawn(move || {
        stop.send(worker.stop_handle().unwrap()).unwrap();
        block_on(worker.run_async()).unwrap()
    });
    let stop = stopping.recv().unwrap();
    let producer = engine.broker.producer::<u32>(&first).unwrap();
    assert!(producer.publish_batch(0..20).iter().all(Result::is_ok));
    let mut doubled: Vec<u32> = (0..20)
        .map(|_| results.recv_timeout(LONG).unwrap().ack_into().unwrap())
        .collect();
    doubled.sort_unstable();
    assert!(doubled.into_iter().eq((0..20).map(|number| number * 2)));
    stop.stop();
    assert_eq!(running.join().unwrap().counts.acked, 20);
}

fn a_call_returns_its_reply(engine: &Engine) {
    let queue = engine.queue("double");
    let server = rpc::serve::<u32, u32>(&engine.broker, &queue, |n, _| n * 2).unwrap();
    let client = rpc::client::<u32, u32>(&engine.broker, &queue);
    assert_eq!(client.call(21).unwrap(), 42);
    assert_eq!(block_on(client.call_async(4)).unwrap(), 8);
    let report = server.stop_and_drain(LONG);
    assert_eq!(report.worker.counts.handled, 2);
}

fn errors_of_servers_are_typed(engine: &Engine) {
    #[derive(Debug, thiserror::Error)]
    #[error("{0} is negative")]
    struct Negative(i64);
    let target = Target::queue(engine.queue("rpc")).version((1, 2));
    let endpoint = Endpoint::new()
        .version((1, 2))
        .try_method(
            "root",
            |n: i64, _| if n < 0 { Err(Negative(n)) } else { Ok(n) },
        )
        .method("break", |(): (), _| -> () { panic!("it broke") });
    let admin = Endpoint::new().namespace("admin").method(
        "whoami",
        |(): (), context: &rpc::Context<'_>| {
            let user = context
                .request_context()
                .and_then(|it| it.get("user").cloned());
            user.and_then(|user| user.as_str().map(str::to_owned))
        },
    );
    let server = Server::new(&engine.broker, target.clone())
        .endpoint(endpoint)
        .endpoint(admin);
    let server = server.spawn().unwrap();
    let client = Client::new(&engine.broker, target);
    assert_eq!(client.call::<i64>("root", 9_i64).unwrap(), 9);
    let Err(RpcError::Remote(error)) = client.call::<i64>("root", -1_i64) else {
        panic!("-1 is negative");
    };
    assert_eq!(error.message(), "-1 is negative");
    assert!(
        error.type_name().ends_with("Negative"),
        "{}",
        error.type_name()
    );
    let missing = client.call::<()>("missing", ()).unwrap_err();
    assert!(matches!(&missing, RpcError::NoSuchMethod { method } if &**method == "missing"));
    let newer = client.prepare().version((1, 9)).call::<i64>("root", 1_i64);
    assert!(
        matches!(newer, Err(RpcError::UnsupportedVersion { .. })),
        "{newer:?}"
    );
    let broken = client.call::<()>("break", ()).unwrap_err();
    assert!(matches!(&broken, RpcError::Panicked(text) if text.contains("it broke")));
    let bad = client.call::<i64>("root", "many".to_owned()).unwrap_err();
    assert!(matches!(bad, RpcError::BadArguments(_)), "{bad:?}");
    let ada = client.prepare().namespace("admin").version((1, 0));
    let ada = ada.context(FieldTable::from([("user", "Ada")]));
    assert_eq!(
        ada.call::<Option<String>>("whoami", ()).unwrap().as_deref(),
        Some("Ada")
    );
    client.ping().unwrap();
    client.cast("root", 1_i64).unwrap();
    server.stop_and_drain(LONG);
}

fn a_caller_gives_up_in_time(engine: &Engine) {
    let queue = engine.queue("slow");
    let server = rpc::serve::<(), ()>(&engine.broker, &queue, |(), context| {
        context.stop_signal().wait(); // until the caller gives up
    });
    let server = server.unwrap();
    let client = rpc::client::<(), ()>(&engine.broker, &queue);
    let late = client.call_timeout((), Duration::from_millis(200));
    assert_eq!(late, Err(RpcError::Timeout));
    let report = server.stop_and_drain(LONG);
    assert_eq!(
        report.requests.late + report.requests.expired,
        1,
        "{report:?}"
    );
}

fn replies_are_streamed(engine: &Engine) {
    let target = Target::queue(engine.queue("stream"));
    let endpoint = Endpoint::new().stream("count", |to: u32, _, sender| {
        (0..to).try_for_each(|number| sender.send(number))
    });
    let server = Server::new(&engine.broker, target.clone()).endpoint(endpoint);
    let server = server.spawn().unwrap();
    let client = Client::new(&engine.broker, target);
    let replies = client.call_stream::<u32>("count", 5_u32).unwrap();
    let numbers: Vec<u32> = replies.take(5).collect::<Result<_, _>>().unwrap();
    assert_eq!(numbers, [0, 1, 2, 3, 4]);
    let replies = client.call_stream::<u32>("count", 3_u32).unwrap();
    assert_eq!(replies.map(Result::unwrap).count(), 3);
    server.stop_and_drain(LONG);
}

fn calls_of_many_threads_find_their_replies(engine: &Engine) {
    let target = Target::queue(engine.queue("rpc"));
    let endpoint = Endpoint::new().method("double", |n: u32, _| n * 2);
    let server = Server::new(&engine.broker, target.clone()).concurrency(3);
    let server = server.endpoint(endpoint).spawn().unwrap();
    let client = Client::new(&engine.broker, target);
    thread::scope(|scope| {
        for thread in 0..8 {
            let client = client.clone();
            scope.spawn(move || {
                for number in 0..25 {
                    let number = thread * 100 + number;
                    assert_eq!(client.call::<u32>("double", number).unwrap(), number * 2);
                }
            });
        }
    });
    assert_eq!(server.stop_and_drain(LONG).worker.counts.acked, 200);
}

fn a_call_of_nobody_fails_at_once(engine: &Engine) {
    let queue = engine.queue("nobody");
    let client = rpc::client::<u32, u32>(&engine.broker, queue.name());
    match client.call(1) {
        Err(RpcError::NoServer { target }) => assert_eq!(&*target, queue.name()),
        other => panic!("{other:?}"),
    }
}

fn notifications_reach_their_listeners(engine: &Engine) {
    let topic = engine.exchange("topic");
    let (sender, heard) = mpsc::channel();
    let sender = Mutex::new(sender);
    let listener = engine.broker.listener::<String>().topic(&topic);
    let listener = listener.endpoint("all", Priority::ALL, move |worker| {
        worker.handler(move |notification, _| {
            let heard = (notification.priority, notification.payload.clone());
            sender.lock().unwrap().send(heard)
        })
    });
    let listener = listener.spawn().unwrap();
    let notifier = engine
        .broker
        .notifier::<String>("test")
        .topic(&topic)
        .build()
        .unwrap();
    notifier.info("my_type", "hello".to_owned()).unwrap();
    notifier.error("my_type", "it broke".to_owned()).unwrap();
    let mut all: Vec<String> = (0..2)
        .map(|_| format!("{:?}", heard.recv_timeout(LONG).unwrap()))
        .collect();
    all.sort();
    assert_eq!(all, ["(Error, \"it broke\")", "(Info, \"hello\")"]);
    listener.stop_and_drain(LONG);
}

fn nodes_execute_their_commands(engine: &Engine) {
    let exchange = engine.exchange("control");
    engine.exchange("control.nodes.fanout"); // the nodes make it
    let node = |name: &str, jobs: u32| {
        Node::new(&engine.broker, name)
            .exchange(&exchange)
            .command("jobs", move |(): (), _| jobs)
            .try_command("parse", |text: String, _| text.parse::<u32>())
            .spawn()
            .unwrap()
    };
    let nodes = [node("worker.1", 3), node("worker.2", 5), node("web", 0)];
    let mailbox = Mailbox::new(&engine.broker)
        .exchange(&exchange)
        .timeout(LONG);
    assert_eq!(mailbox.call::<u32>("worker.2", "jobs", ()).unwrap(), 5);
    let error = mailbox.call::<u32>("web", "parse", "seven".to_owned());
    assert_eq!(
        error.unwrap_err().to_string(),
        "invalid digit found in string"
    );
    let absent = mailbox.call::<u32>("nowhere", "jobs", ()).unwrap_err();
    assert!(matches!(absent, RpcError::NoServer { .. }), "{absent:?}");
    for (chosen, expected) in [
        (Nodes::all(), &["web 0", "worker.1 3", "worker.2 5"][..]),
        (Nodes::matching("worker.*"), &["worker.1 3", "worker.2 5"]),
        (Nodes::named(["web", "worker.1"]), &["web 0", "worker.1 3"]),
    ] {
        let replies = mailbox.gather::<u32>(chosen, "jobs", ()).unwrap();
        // An engine outside does not tell how many nodes have the command.
        let mut jobs: Vec<String> = replies
            .take(expected.len())
            .map(|reply| reply.unwrap())
            .map(|reply| format!("{} {}", reply.node, reply.result.unwrap()))
            .collect();
        jobs.sort();
        assert_eq!(jobs, expected);
    }
    for node in nodes {
        node.stop_and_drain(LONG);
    }
}
