//! Calls and casts, and the servers that they reach.

use std::{
    fs::File,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use leveret::{
    Broker, FieldTable, Local, Overflow, Queue,
    rpc::{self, Client, Endpoint, RpcError, Server, ServerHandle, Target},
};

use super::{client, serve, server, target};
use crate::common::{Alarm, PATIENCE, block_on, connect};

/// An endpoint whose method returns its own name.
fn named(name: &'static str) -> Endpoint {
    Endpoint::new().method("name", move |(): (), _| name.to_owned())
}

fn named_server(broker: &Broker, name: &'static str) -> ServerHandle {
    let server = Server::new(broker, target().server(name));
    server.endpoint(named(name)).spawn().unwrap()
}

#[test]
fn each_caller_gets_its_own_reply() {
    let broker = Broker::new();
    let endpoint = Endpoint::new()
        .method("add", |(a, b): (u64, u64), _| a + b)
        .method_async("add_async", |(a, b): (u64, u64), _| async move { a + b });
    let server = server(&broker, endpoint).concurrency(3).spawn().unwrap();
    let callers = (0..8_u64).map(|caller| {
        let client = client(&broker);
        thread::spawn(move || {
            for number in 0..200_u64 {
                let (method, sum) = match number % 2 {
                    0 => ("add", client.call::<u64>("add", (caller, number))),
                    _ => (
                        "add_async",
                        block_on(client.call_async("add_async", (caller, number))),
                    ),
                };
                assert_eq!(sum, Ok(caller + number), "{method}");
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.join().unwrap();
    }
    let report = server.stop_and_drain(PATIENCE);
    assert_eq!(report.worker.counts.handled, 8 * 200);
    assert_eq!(report.requests, rpc::RpcCounts::default());
}

#[test]
fn a_value_moves_to_the_method_without_an_encoding() {
    let broker = Broker::new();
    let endpoint = Endpoint::new()
        .method("is_file", |Local(file): Local<File>, _| {
            file.metadata().unwrap().is_file()
        })
        .method("address", |Local(value): Local<Box<u32>>, _| {
            Local(value) // the same box
        });
    let server = serve(&broker, endpoint);
    let client = client(&broker);
    let file = File::open(file!())
        .or_else(|_| File::open("Cargo.toml"))
        .unwrap();
    assert_eq!(client.call::<bool>("is_file", Local(file)), Ok(true));
    let value = Box::new(7_u32);
    let address = &raw const *value;
    let Local(back) = client
        .call::<Local<Box<u32>>>("address", Local(value))
        .unwrap();
    assert_eq!(&raw const *back, address);
    drop(server);
}

#[test]
fn calls_of_one_thread_are_served_in_order_and_casts_before_them() {
    let broker = Broker::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&seen);
    let endpoint = Endpoint::new().method("note", move |number: u32, _| {
        note.lock().unwrap().push(number);
    });
    let server = serve(&broker, endpoint);
    let client = client(&broker);
    for number in 0..100 {
        match number % 3 {
            0 => client.call::<()>("note", number).unwrap(),
            1 => assert_eq!(client.cast("note", number), Ok(1)),
            _ => assert_eq!(block_on(client.cast_async("note", number)), Ok(1)),
        }
    }
    server.stop_and_drain(PATIENCE);
    assert!(seen.lock().unwrap().iter().copied().eq(0..100));
}

#[test]
fn a_cast_of_a_task_waits_for_room() {
    let broker = Broker::new();
    let small = Queue::new("small").max_length(1).overflow(Overflow::Block);
    broker.declare(&small).unwrap();
    let client = Client::new(&broker, Target::queue("small"));
    assert_eq!(client.cast("note", 1_u32), Ok(1));
    let alarm = Alarm::new();
    let mut cast = Box::pin(client.cast_async("note", 2_u32));
    assert!(alarm.poll(cast.as_mut()).is_pending());
    let short = client.prepare().timeout(Duration::from_millis(1));
    assert_eq!(
        block_on(short.cast_async("note", 3_u32)),
        Err(RpcError::Timeout)
    );
    assert_eq!(short.cast("note", 4_u32), Err(RpcError::Timeout));
    assert_eq!(short.call::<()>("note", 5_u32), Err(RpcError::Timeout));
    assert_eq!(
        block_on(short.call_async::<()>("note", 6_u32)),
        Err(RpcError::Timeout)
    );
    assert_eq!(broker.purge("small").unwrap(), 1);
    assert_eq!(block_on(cast), Ok(1));
}

#[test]
fn a_server_is_chosen_by_its_name_and_a_fanout_reaches_all() {
    let broker = Broker::new();
    let (ada, bob) = (named_server(&broker, "Ada"), named_server(&broker, "Bob"));
    let client = client(&broker);
    for name in ["Ada", "Bob"] {
        let one = client.prepare().server(name);
        assert_eq!(one.call::<String>("name", ()), Ok(name.to_owned()));
    }
    let any = client.call::<String>("name", ()).unwrap();
    assert!(["Ada", "Bob"].contains(&&*any));
    assert_eq!(client.prepare().fanout().cast("name", ()), Ok(2));
    // The servers share the topic.
    for _ in 0..10 {
        client.call::<String>("name", ()).unwrap();
    }
    ada.stop_and_drain(PATIENCE);
    let one = client.prepare().server("Ada").call::<String>("name", ());
    assert!(matches!(one, Err(RpcError::NoServer { .. })));
    assert_eq!(client.prepare().fanout().cast("name", ()), Ok(1));
    assert_eq!(client.call::<String>("name", ()), Ok("Bob".to_owned()));
    let report = bob.stop_and_drain(PATIENCE);
    assert!(report.worker.counts.handled >= 4);
    assert_eq!(broker.snapshot().unwrap().vhosts[0].queues.len(), 0);
}

#[test]
fn exchanges_and_topics_are_apart() {
    let broker = Broker::new();
    let target = |exchange: &str, topic: &str| Target::topic(topic).exchange(exchange);
    let places = [("rpc", "a"), ("rpc", "b"), ("other", "a")];
    let servers = places.map(|(exchange, topic)| {
        let text = format!("{exchange} {topic}");
        let endpoint = Endpoint::new().method("where", move |(): (), _| text.clone());
        let server = Server::new(&broker, target(exchange, topic));
        server.endpoint(endpoint).spawn().unwrap()
    });
    for (exchange, topic) in places {
        let client = Client::new(&broker, target(exchange, topic));
        let place = client.call::<String>("where", ()).unwrap();
        assert_eq!(place, format!("{exchange} {topic}"));
        let place = client.scatter::<String>("where", ()).unwrap();
        assert_eq!(place.map(Result::unwrap).collect::<Vec<_>>().len(), 1);
    }
    let elsewhere = Client::new(&broker, target("other", "b"));
    assert!(matches!(elsewhere.ping(), Err(RpcError::NoServer { .. })));
    drop(servers);
}

#[test]
fn namespaces_old_and_new_lead_to_their_endpoints() {
    let broker = Broker::new();
    let server = server(&broker, named("plain"))
        .endpoint(named("math").namespace("math").legacy_namespace("maths"))
        .endpoint(named("second").namespace("math").version((2, 0)));
    let server = server.spawn().unwrap();
    let client = client(&broker);
    let call = |client: Client| client.call::<String>("name", ()).unwrap();
    assert_eq!(call(client.prepare()), "plain");
    assert_eq!(call(client.prepare().namespace("math")), "math");
    assert_eq!(call(client.prepare().namespace("maths")), "math");
    assert_eq!(
        call(client.prepare().namespace("math").version((2, 0))),
        "second"
    );
    let prepared = client.prepare().target(target().namespace("math"));
    assert_eq!(call(prepared), "math");
    assert_eq!(call(client), "plain"); // it is unchanged
    drop(server);
}

#[test]
fn the_request_context_travels_unchanged_and_further() {
    let broker = Broker::new();
    let inner = Endpoint::new().method("inner", |(): (), context| {
        let table = context.request_context().cloned().unwrap_or_default();
        (table.get("user") == Some(&"Ada".into()), table.len())
    });
    let inner = Server::new(&broker, Target::topic("inner")).endpoint(inner);
    let inner = inner.spawn().unwrap();
    let to_inner = Client::new(&broker, Target::topic("inner"));
    let outer = Endpoint::new()
        .try_method("outer", {
            let to_inner = to_inner.clone();
            move |(): (), context| {
                assert_eq!((context.method(), context.namespace()), ("outer", None));
                assert_eq!(context.version().to_string(), "1.0");
                context.client(&to_inner).call::<(bool, usize)>("inner", ())
            }
        })
        .try_method_async("outer_async", move |(): (), context| {
            let to_inner = context.client(&to_inner);
            async move { to_inner.call_async::<(bool, usize)>("inner", ()).await }
        });
    let outer = serve(&broker, outer);
    let ada = FieldTable::from([("user", "Ada"), ("token", "t")]);
    let client = client(&broker);
    for method in ["outer", "outer_async"] {
        let ada = client.prepare().context(ada.clone());
        assert_eq!(ada.call::<(bool, usize)>(method, ()), Ok((true, 2)));
        assert_eq!(client.call::<(bool, usize)>(method, ()), Ok((false, 0)));
    }
    drop((inner, outer));
}

#[test]
fn the_short_form_serves_a_queue_of_any_kind() {
    let broker = Broker::new();
    let connection = connect(&broker).unwrap();
    let server = rpc::serve::<u32, u32>(&connection, "double", |number, _| number * 2).unwrap();
    let double = rpc::client::<u32, u32>(&broker, "double");
    assert_eq!(double.call(4), Ok(8));
    assert_eq!(block_on(double.call_async(5)), Ok(10));
    assert_eq!(double.cast(6), Ok(()));
    assert_eq!(double.clone().timeout(PATIENCE).call(7), Ok(14));
    assert_eq!(double.client().ping(), Ok(()));
    let second = rpc::serve::<u32, u32>(&broker, "double", |number, _| number * 2).unwrap();
    connection.close().unwrap();
    server.join();
    assert_eq!(double.call(4), Ok(8));
    drop(second);

    // A queue that outlives its servers keeps the requests for the next one.
    let lasting = Queue::new("lasting").durable();
    let server = rpc::serve::<u32, u32>(&broker, &lasting, |number, _| number * 2).unwrap();
    let client = rpc::client::<u32, u32>(&broker, &lasting);
    assert_eq!(client.call(4), Ok(8));
    server.stop();
    server.join();
    let waiting = thread::spawn(move || client.call(5));
    while broker.snapshot().unwrap().vhosts[0].queues[0]
        .ready
        .messages
        == 0
    {
        thread::yield_now();
    }
    let server = rpc::serve::<u32, u32>(&broker, "lasting", |number, _| number * 2).unwrap();
    assert_eq!(waiting.join().unwrap(), Ok(10));
    drop(server);
}

#[test]
fn requests_can_wait_for_the_first_server() {
    let broker = Broker::new();
    let patient = client(&broker).queue_if_absent();
    assert_eq!(patient.cast("name", ()), Ok(1));
    let caller = patient.prepare();
    let waiting = thread::spawn(move || caller.call::<String>("name", ()));
    while broker.snapshot().unwrap().vhosts[0].queues[0]
        .ready
        .messages
        < 2
    {
        thread::yield_now();
    }
    let server = named_server(&broker, "Ada");
    assert_eq!(waiting.join().unwrap(), Ok("Ada".to_owned()));
    let chosen = patient.prepare().server("Bob");
    assert_eq!(chosen.cast("name", ()), Ok(1));
    let bob = named_server(&broker, "Bob");
    assert_eq!(chosen.call::<String>("name", ()), Ok("Bob".to_owned()));
    drop((server, bob));
}

#[test]
fn a_message_that_is_no_request_is_rejected_and_a_request_stays_in_its_process() {
    let broker = Broker::new();
    let called = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&called);
    let server = rpc::serve::<u32, u32>(&broker, "double", move |number, _| {
        count.fetch_add(1, SeqCst);
        number * 2
    });
    let server = server.unwrap();
    let words = broker.producer::<String>("double").unwrap();
    words.publish("8".to_owned()).unwrap();
    let double = rpc::client::<u32, u32>(&broker, "double");
    assert_eq!(double.call(4), Ok(8));
    let counts = server.stop_and_drain(PATIENCE).worker.counts;
    assert_eq!(
        (counts.failed, counts.rejected, called.load(SeqCst)),
        (1, 1, 1)
    );

    let encoding = Broker::builder().always_encode().build();
    let server = rpc::serve::<u32, u32>(&encoding, "double", |number, _| number * 2).unwrap();
    let double = rpc::client::<u32, u32>(&encoding, "double");
    let error = double.call(4).unwrap_err();
    assert!(
        error.to_string().contains("stays in its process"),
        "{error}"
    );
    drop(server);
}

#[test]
fn a_server_on_the_current_thread_ends_by_its_stop_handle() {
    let broker = Broker::new();
    let (started, is_started) = mpsc::channel();
    let served = server(&broker, named("Ada")).concurrency(2);
    let serving = thread::spawn(move || served.run(|stop| started.send(stop).unwrap()));
    let stop = is_started.recv().unwrap();
    let client = client(&broker);
    while client.ping().is_err() {
        thread::yield_now();
    }
    assert_eq!(client.call::<String>("name", ()), Ok("Ada".to_owned()));
    stop.stop();
    let report = serving.join().unwrap().unwrap();
    assert!(report.worker.counts.handled >= 2);
}

#[test]
fn a_server_in_a_task_holds_many_methods_at_a_time() {
    let broker = Broker::new();
    let (reached, all) = (Arc::new(AtomicUsize::new(0)), 20);
    let count = Arc::clone(&reached);
    let endpoint = Endpoint::new().method_async("meet", move |(): (), context| {
        let count = Arc::clone(&count);
        async move {
            count.fetch_add(1, SeqCst);
            // Until all are here.
            std::future::poll_fn(|task| match count.load(SeqCst) < all {
                true if !context.is_stopping() => {
                    task.waker().wake_by_ref();
                    std::task::Poll::Pending
                }
                _ => std::task::Poll::Ready(()),
            })
            .await;
        }
    });
    let server = server(&broker, endpoint).concurrency(all);
    let serving = server.run_async();
    let client = client(&broker);
    let calls = async {
        let calls = (0..all).map(|_| client.call_async::<()>("meet", ()));
        let calls: FuturesUnordered<_> = calls.collect();
        calls.collect::<Vec<_>>().await
    };
    let (serving, calls) = (std::pin::pin!(serving), std::pin::pin!(calls));
    let both = futures_util::future::select(calls, serving);
    match block_on(both) {
        futures_util::future::Either::Left((replies, _)) => {
            assert!(replies.iter().all(Result::is_ok), "{replies:?}");
        }
        futures_util::future::Either::Right((report, _)) => panic!("{report:?}"),
    }
    assert_eq!(reached.load(SeqCst), all);
}
