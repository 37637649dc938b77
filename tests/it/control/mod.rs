//! Commands to named nodes, and their replies.

mod model;

use std::{
    sync::{Mutex, mpsc},
    thread,
    time::Duration,
};

use leveret::{
    Broker, Error,
    control::{CommandError, Mailbox, Node, Nodes},
    rpc::{RpcError, ServerHandle},
};

use crate::common::{PATIENCE, SECOND, advance_until, block_on, connect, on_a_manual_clock};

/// A node that tells its name, with an error for odd numbers and a panic for 13.
fn node(broker: &Broker, name: &'static str) -> Result<ServerHandle, RpcError> {
    Node::new(broker, name)
        .command("name", move |(): (), _| name.to_owned())
        .try_command("half", |number: u32, _| match number {
            13 => panic!("unlucky"),
            even if even % 2 == 0 => Ok(even / 2),
            _ => Err("odd"),
        })
        .spawn()
}

fn names(mailbox: &Mailbox, nodes: Nodes) -> Vec<String> {
    let replies = mailbox.gather::<String>(nodes, "name", ()).unwrap();
    let mut names: Vec<_> = replies
        .map(|reply| {
            let reply = reply.unwrap();
            assert_eq!(reply.result.as_ref(), Ok(&reply.node));
            reply.node
        })
        .collect();
    names.sort();
    names
}

#[test]
fn a_command_reaches_one_node_those_of_a_pattern_or_all() {
    let broker = Broker::new();
    let mailbox = Mailbox::new(&broker).timeout(PATIENCE);
    assert_eq!(names(&mailbox, Nodes::all()), [""; 0]);
    let _nodes = ["worker.1", "worker.22", "web"].map(|name| node(&broker, name).unwrap());
    assert_eq!(
        names(&mailbox, Nodes::all()),
        ["web", "worker.1", "worker.22"]
    );
    assert_eq!(
        names(&mailbox, Nodes::matching("worker.*")),
        ["worker.1", "worker.22"]
    );
    assert_eq!(names(&mailbox, Nodes::matching("worker.?")), ["worker.1"]);
    assert_eq!(names(&mailbox, Nodes::named(["web", "nowhere"])), ["web"]);
    assert_eq!(names(&mailbox, Nodes::matching("nothing")), [""; 0]);
    assert_eq!(mailbox.call::<String>("web", "name", ()).unwrap(), "web");
    let called = block_on(mailbox.call_async::<u32>("worker.1", "half", 8_u32));
    assert_eq!(called.unwrap(), 4);
    let two = mailbox.gather::<String>(Nodes::all(), "name", ()).unwrap();
    assert_eq!(two.take(2).count(), 2);
}

#[test]
fn a_second_node_of_the_same_name_is_an_error_until_the_first_ends() {
    let broker = Broker::new();
    let first = node(&broker, "web").unwrap();
    let second = node(&broker, "web").unwrap_err();
    assert!(
        matches!(second, RpcError::Broker(Error::AccessRefused(_))),
        "{second}"
    );
    // Elsewhere the name is free.
    let elsewhere = Node::new(&broker, "web").exchange("elsewhere");
    let elsewhere = elsewhere
        .command("name", |(): (), _| "elsewhere".to_owned())
        .spawn()
        .unwrap();
    let mailbox = Mailbox::new(&broker)
        .exchange("elsewhere")
        .timeout(PATIENCE);
    assert_eq!(
        mailbox.call::<String>("web", "name", ()).unwrap(),
        "elsewhere"
    );
    let mailbox = Mailbox::new(&broker).timeout(PATIENCE);
    assert_eq!(mailbox.call::<String>("web", "name", ()).unwrap(), "web");
    first.stop_and_drain(PATIENCE);
    let third = node(&broker, "web").unwrap();
    assert_eq!(mailbox.call::<String>("web", "name", ()).unwrap(), "web");
    for last in [third, elsewhere] {
        last.stop_and_drain(PATIENCE);
    }
    assert_eq!(queues(&broker), 0);
}

/// The number of queues.
fn queues(broker: &Broker) -> usize {
    let vhosts = broker.snapshot().unwrap().vhosts;
    vhosts.iter().map(|it| it.queues.len()).sum()
}

/// The number of commands that no node has begun.
fn waiting(broker: &Broker) -> u64 {
    let vhosts = broker.snapshot().unwrap().vhosts;
    let queues = vhosts.iter().flat_map(|it| &it.queues);
    queues
        .map(|queue| queue.ready.messages + queue.unsettled.messages)
        .sum::<u64>()
        - 1
}

#[test]
fn failures_say_where_and_why() {
    let broker = Broker::new();
    let mailbox = Mailbox::new(&broker).timeout(PATIENCE);
    let half = |number: u32| mailbox.call::<u32>("web", "half", number);
    assert!(matches!(half(2), Err(RpcError::NoServer { .. })));
    let _nodes = ["web", "worker"].map(|name| node(&broker, name).unwrap());
    assert_eq!(half(2).unwrap(), 1);
    let RpcError::Remote(error) = half(3).unwrap_err() else {
        panic!("3 is odd");
    };
    let error = error.downcast_ref::<CommandError>().unwrap();
    assert_eq!((error.type_name(), error.message()), ("&str", "odd"));
    assert!(matches!(half(13), Err(RpcError::Panicked(text)) if &*text == "unlucky"));
    let missing = mailbox.call::<()>("web", "missing", ()).unwrap_err();
    assert!(matches!(missing, RpcError::NoSuchMethod { .. }));
    let text = mailbox
        .call::<u32>("web", "half", "two".to_owned())
        .unwrap_err();
    assert!(matches!(text, RpcError::BadArguments(_)));

    let gather = |number: u32, command: &'static str| {
        let replies = mailbox
            .gather::<u32>(Nodes::all(), command, number)
            .unwrap();
        replies.collect::<Vec<_>>()
    };
    for reply in gather(3, "half") {
        assert_eq!(reply.unwrap().result.unwrap_err().to_string(), "odd");
    }
    assert_eq!(gather(3, "missing"), []);
    let panics = gather(13, "half");
    assert!(
        panics
            .iter()
            .all(|it| matches!(it, Err(RpcError::Panicked(_))))
            && panics.len() == 2
    );

    let twice = Node::new(&broker, "twice").command("a", |(): (), _| ());
    let twice = twice.command("a", |(): (), _| ()).spawn();
    assert!(matches!(twice, Err(RpcError::DuplicateMethod { .. })));
    assert!(node(&broker, "twice").is_ok(), "the name is free again");
}

#[test]
fn a_node_that_does_not_reply_ends_the_wait_in_time() {
    let (broker, clock) = on_a_manual_clock();
    let (begins, begun) = mpsc::channel();
    let slow = Node::new(&broker, "slow").command("wait", move |(): (), context| {
        begins.send(()).unwrap();
        context.stop_signal().wait(); // until the caller gives up
    });
    let slow = slow.spawn().unwrap();
    let quick = Node::new(&broker, "quick")
        .command("wait", |(): (), _| ())
        .spawn()
        .unwrap();
    let mailbox = Mailbox::new(&broker).timeout(SECOND);
    let (sender, replies) = mpsc::channel();
    let waiting = thread::spawn(move || {
        let all = mailbox.gather::<()>(Nodes::all(), "wait", ()).unwrap();
        for reply in all {
            sender.send(reply.map(|reply| reply.node)).unwrap();
        }
    });
    begun.recv().unwrap();
    assert_eq!(replies.recv().unwrap(), Ok("quick".to_owned()));
    advance_until(&clock, || waiting.is_finished());
    waiting.join().unwrap();
    let replies: Vec<_> = replies.iter().collect();
    assert_eq!(replies, [Err(RpcError::Timeout)]);
    for node in [slow, quick] {
        node.stop_and_drain(PATIENCE);
    }
}

#[test]
fn a_cast_counts_the_nodes_and_waits_for_none() {
    let broker = Broker::new();
    let (sender, seen) = mpsc::channel();
    let node = |name: &'static str| {
        let sender = sender.clone();
        let node = Node::new(&broker, name);
        node.command("tell", move |number: u32, _| {
            sender.send((name, number)).unwrap()
        })
    };
    let mailbox = Mailbox::new(&broker);
    assert_eq!(mailbox.cast(Nodes::all(), "tell", 1_u32).unwrap(), 0);
    let nodes = ["a", "b"].map(|name| node(name).spawn().unwrap());
    assert_eq!(mailbox.cast(Nodes::all(), "tell", 2_u32).unwrap(), 2);
    assert_eq!(mailbox.cast(Nodes::named(["b"]), "tell", 3_u32).unwrap(), 1);
    assert_eq!(
        mailbox.cast(Nodes::named([""; 0]), "tell", 4_u32).unwrap(),
        0
    );
    assert_eq!(mailbox.cast(Nodes::named(["c"]), "tell", 5_u32).unwrap(), 0);
    let pattern = mailbox.cast(Nodes::matching("?"), "tell", 6_u32);
    assert_eq!(pattern.unwrap(), 2);
    assert_eq!(
        mailbox.cast(Nodes::matching("c"), "tell", 7_u32).unwrap(),
        2
    );
    for node in nodes {
        node.stop_and_drain(PATIENCE);
    }
    let mut seen: Vec<_> = seen.try_iter().collect();
    seen.sort_unstable();
    assert_eq!(seen, [("a", 2), ("a", 6), ("b", 2), ("b", 3), ("b", 6)]);
}

/// A node that is busy with the command "wait" until the returned sender is dropped.
fn busy(broker: &Broker, name: &str) -> (ServerHandle, mpsc::Sender<()>, mpsc::Receiver<u32>) {
    let (free, is_free) = mpsc::channel::<()>();
    let (begins, begun) = mpsc::channel();
    let (sender, told) = mpsc::channel();
    let is_free = Mutex::new(is_free);
    let node = Node::new(broker, name)
        .command("wait", move |(): (), _| {
            begins.send(()).unwrap();
            is_free.lock().unwrap().recv().unwrap_err();
        })
        .command("tell", move |number: u32, _| sender.send(number).unwrap());
    let node = node.spawn().unwrap();
    let mailbox = Mailbox::new(broker);
    assert_eq!(mailbox.cast(Nodes::named([name]), "wait", ()).unwrap(), 1);
    begun.recv().unwrap();
    (node, free, told)
}

#[test]
fn a_node_that_is_busy_keeps_no_one_waiting_who_names_others() {
    let broker = Broker::new();
    let (busy, free, _told) = busy(&broker, "busy");
    let _other = node(&broker, "other").unwrap();
    let mailbox = Mailbox::new(&broker).timeout(PATIENCE);
    let others = Nodes::named(["other", "nowhere"]);
    assert_eq!(names(&mailbox, others), ["other"]);
    drop(free);
    busy.stop_and_drain(PATIENCE);
}

#[test]
fn a_command_that_is_cast_waits_for_its_node_and_one_with_a_reply_only_as_long_as_its_caller() {
    let (broker, clock) = on_a_manual_clock();
    let (busy, free, told) = busy(&broker, "busy");
    let mailbox = Mailbox::new(&broker);
    mailbox.cast(Nodes::all(), "tell", 7_u32).unwrap();
    let mut replies = mailbox.gather::<()>(Nodes::all(), "tell", 8_u32).unwrap();
    clock.advance(2 * SECOND);
    assert_eq!(replies.next(), Some(Err(RpcError::Timeout)));
    assert_eq!(replies.next(), None);
    drop(mailbox.gather::<()>(Nodes::all(), "tell", 9_u32).unwrap());
    drop(free);
    busy.stop_and_drain(PATIENCE);
    assert_eq!(told.iter().collect::<Vec<_>>(), [7]);
}

#[test]
fn a_name_may_begin_like_the_queue_of_another_one() {
    let broker = Broker::new();
    let mailbox = Mailbox::new(&broker).timeout(PATIENCE);
    let nodes = ["web", "nodes", "nodes.web"].map(|name| node(&broker, name).unwrap());
    for name in ["web", "nodes", "nodes.web"] {
        assert_eq!(mailbox.call::<String>(name, "name", ()).unwrap(), name);
    }
    assert_eq!(names(&mailbox, Nodes::all()), ["nodes", "nodes.web", "web"]);
    drop(nodes);
}

#[test]
fn a_name_that_cannot_be_one_is_refused() {
    let broker = Broker::new();
    for name in ["", "*", "worker.#"] {
        let refused = Node::new(&broker, name).spawn().unwrap_err();
        assert!(matches!(refused, RpcError::InvalidTarget(_)), "{refused}");
    }
    let long = Node::new(&broker, "x".repeat(256)).spawn().unwrap_err();
    assert!(
        matches!(long, RpcError::Broker(Error::InvalidName(_))),
        "{long}"
    );
    assert_eq!(queues(&broker), 0);
}

#[test]
fn a_node_that_is_stopped_gives_up_its_name_while_its_last_command_runs() {
    let broker = Broker::new();
    let (first, free, _told) = busy(&broker, "web");
    first.stop();
    let mailbox = Mailbox::new(&broker).timeout(PATIENCE);
    let second = node(&broker, "web").unwrap();
    assert_eq!(mailbox.call::<String>("web", "name", ()).unwrap(), "web");
    drop(free);
    assert_eq!(first.stop_and_drain(PATIENCE).worker.counts.acked, 1);
    assert_eq!(names(&mailbox, Nodes::all()), ["web"]);
    second.stop_and_drain(PATIENCE);
    assert_eq!(queues(&broker), 0);
}

#[test]
fn the_commands_of_a_node_that_ends_fail_at_once() {
    let broker = Broker::new();
    let (node, free, _told) = busy(&broker, "web");
    let mailbox = Mailbox::new(&broker).timeout(PATIENCE);
    thread::scope(|scope| {
        let calling = scope.spawn(|| mailbox.call::<()>("web", "tell", 7_u32));
        let gathering = || mailbox.gather::<()>(Nodes::all(), "tell", 8_u32).unwrap();
        let gathering = scope.spawn(move || gathering().collect::<Vec<_>>());
        while waiting(&broker) < 2 {
            thread::yield_now();
        }
        drop(node);
        assert_eq!(calling.join().unwrap(), Err(RpcError::ServerGone));
        assert_eq!(gathering.join().unwrap(), [Err(RpcError::ServerGone)]);
    });
    drop(free);
}

#[test]
fn a_node_that_a_command_is_not_for_does_not_look_at_its_arguments() {
    let broker = Broker::new();
    let number = Node::new(&broker, "number").command("set", |number: u32, _| number);
    let text = Node::new(&broker, "text").command("set", |text: String, _| text);
    let nodes = [number.spawn().unwrap(), text.spawn().unwrap()];
    let mailbox = Mailbox::new(&broker).timeout(PATIENCE);
    let set = |nodes| {
        let replies = mailbox.gather::<u32>(nodes, "set", 7_u32).unwrap();
        replies.map(|it| it.map(|it| it.result)).collect::<Vec<_>>()
    };
    assert_eq!(set(Nodes::matching("num*")), [Ok(Ok(7))]);
    assert_eq!(set(Nodes::named(["number"])), [Ok(Ok(7))]);
    let mut both = set(Nodes::all());
    both.sort_by_key(Result::is_err);
    assert_eq!(both[0], Ok(Ok(7)));
    assert!(
        matches!(&both[1..], [Err(RpcError::BadArguments(_))]),
        "{both:?}"
    );
    // A reply of another type is an error of its own.
    let replies = mailbox.gather::<u32>(Nodes::named(["text"]), "set", "a".to_owned());
    let replies: Vec<_> = replies.unwrap().collect();
    assert!(
        matches!(&replies[..], [Err(RpcError::BadReply(_))]),
        "{replies:?}"
    );
    drop(nodes);
}

#[test]
fn nodes_and_mailboxes_of_a_closed_connection_say_so() {
    let broker = Broker::new();
    let connection = connect(&broker).unwrap();
    let node = Node::new(&connection, "web").command("name", |(): (), _| "web".to_owned());
    let node = node.spawn().unwrap();
    let mailbox = Mailbox::new(&connection).timeout(PATIENCE);
    assert_eq!(mailbox.call::<String>("web", "name", ()).unwrap(), "web");
    connection.close().unwrap();
    let closed = |error: RpcError| Error::from(error).is_closed();
    assert!(closed(
        mailbox.call::<String>("web", "name", ()).unwrap_err()
    ));
    assert!(closed(mailbox.cast(Nodes::all(), "name", ()).unwrap_err()));
    drop(node);
    broker.shutdown(Duration::ZERO).unwrap();
    assert!(closed(Node::new(&broker, "web").spawn().unwrap_err()));
}

#[test]
fn a_node_in_a_task_runs_several_commands_at_a_time() {
    let broker = Broker::new();
    let (free, is_free) = mpsc::channel::<()>();
    let node = Node::new(&broker, "web").concurrency(2);
    let is_free = Mutex::new(is_free);
    let node = node
        .try_command_async(
            "wait",
            |(): (), context: leveret::rpc::Context<'static>| async move {
                context.stop_signal().wait_async().await;
                Err::<u32, _>("stopped")
            },
        )
        .command_async("free", |number: u32, _| async move { number })
        .command("block", move |(): (), _| {
            let _ = is_free.lock().unwrap().recv();
        });
    let running = node.run_async();
    let second = Node::new(&broker, "web").run_async();
    let refused = block_on(second).unwrap_err();
    assert!(matches!(refused, RpcError::Broker(Error::AccessRefused(_))));
    let running = thread::spawn(|| block_on(running));
    let mailbox = Mailbox::new(&broker).timeout(PATIENCE);
    let waiting = {
        let mailbox = mailbox.clone();
        thread::spawn(move || mailbox.call::<u32>("web", "wait", ()))
    };
    assert_eq!(mailbox.call::<u32>("web", "free", 7_u32).unwrap(), 7);
    drop(free);
    mailbox.call::<()>("web", "block", ()).unwrap();
    let report = broker.shutdown(Duration::ZERO).unwrap();
    drop(report);
    assert!(waiting.join().unwrap().is_err());
    running.join().unwrap().unwrap();
}
