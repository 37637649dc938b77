//! Commands, while nodes begin and end.
//!
//! Each node answers a command once at most, and one that stays answers. A name has one node.

use super::*;
use crate::{
    model::error::{Error, RpcError},
    patterns::{
        control::{Mailbox, Node, Nodes},
        rpc::ServerHandle,
    },
    runtime::sync::atomic::{AtomicUsize, Ordering::SeqCst},
};

fn node(broker: &Broker, name: &str, number: u32) -> Result<ServerHandle, RpcError> {
    let node = Node::new(broker, name);
    node.command("number", move |(): (), _| number).spawn()
}

fn assert_no_queue_left(broker: &Broker) {
    assert_eq!(broker.snapshot().unwrap().vhosts[0].queues.len(), 0);
}

#[test]
fn one_of_two_nodes_gets_the_name() {
    explore(|| {
        let broker = Broker::new();
        let second = broker.clone();
        let second = thread::spawn(move || node(&second, "web", 2));
        let both = [node(&broker, "web", 1), second.join().unwrap()];
        let is_refused = |node: &&Result<ServerHandle, RpcError>| match node {
            Ok(_) => false,
            Err(RpcError::Broker(Error::AccessRefused(_))) => true,
            Err(error) => panic!("{error}"),
        };
        assert_eq!(both.iter().filter(is_refused).count(), 1);
        let reply = Mailbox::new(&broker).call::<u32>("web", "number", ());
        assert!(matches!(reply, Ok(1 | 2)), "{reply:?}");
        for node in both.into_iter().flatten() {
            node.stop_and_drain(Duration::MAX);
        }
        assert_no_queue_left(&broker);
    });
}

/// Gathers the numbers of some nodes while one of them ends. `ends` is called with that one.
fn gather(nodes: fn() -> Nodes, ends: fn(ServerHandle)) {
    let broker = Broker::new();
    let [stays, leaves] =
        [("a", 1), ("b", 2)].map(|(name, number)| node(&broker, name, number).unwrap());
    let mailbox = Mailbox::new(&broker);
    let gathering = thread::spawn(move || {
        let replies = mailbox.gather::<u32>(nodes(), "number", ()).unwrap();
        replies
            .map(|reply| reply.map(|reply| reply.result))
            .collect::<Vec<_>>()
    });
    ends(leaves);
    let mut numbers = Vec::new();
    for reply in gathering.join().unwrap() {
        match reply {
            Ok(number) => numbers.push(number.unwrap()),
            Err(error) => assert_eq!(error, RpcError::ServerGone),
        }
    }
    assert!(matches!(sorted(numbers)[..], [1] | [1, 2]));
    stays.stop_and_drain(Duration::MAX);
    assert_no_queue_left(&broker);
}

#[test]
fn a_node_that_stays_answers_while_another_one_is_stopped() {
    explore(|| gather(Nodes::all, drop));
    explore(|| gather(|| Nodes::named(["a", "b", "c"]), drop));
}

#[test]
fn a_node_that_stays_answers_while_another_one_drains() {
    explore(|| {
        gather(
            || Nodes::matching("?"),
            |node| drop(node.stop_and_drain(Duration::MAX)),
        )
    });
}

#[test]
fn a_name_passes_from_a_node_to_the_next_one() {
    explore(|| {
        let broker = Broker::new();
        let first = node(&broker, "web", 1).unwrap();
        let mailbox = Mailbox::new(&broker);
        let calling = thread::spawn(move || mailbox.call::<u32>("web", "number", ()));
        first.stop();
        let second = node(&broker, "web", 2).unwrap();
        let reply = calling.join().unwrap();
        let is_valid = match &reply {
            Ok(number) => matches!(number, 1 | 2),
            Err(error) => matches!(error, RpcError::ServerGone | RpcError::NoServer { .. }),
        };
        assert!(is_valid, "{reply:?}");
        assert_eq!(
            Mailbox::new(&broker).call::<u32>("web", "number", ()),
            Ok(2)
        );
        drop((first, second));
    });
}

#[test]
fn a_command_whose_caller_has_gone_is_not_begun_or_late() {
    explore(|| {
        let broker = Broker::new();
        let calls = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&calls);
        let node = Node::new(&broker, "web").command("count", move |(): (), _| {
            count.fetch_add(1, SeqCst);
        });
        let node = node.spawn().unwrap();
        let mailbox = Mailbox::new(&broker);
        let calling = thread::spawn(move || {
            let mut replies = mailbox.gather::<()>(Nodes::all(), "count", ()).unwrap();
            let mut context = Context::from_waker(Waker::noop());
            match pin!(replies.next_async()).poll(&mut context) {
                Poll::Ready(reply) => reply.unwrap().unwrap().result.is_ok(),
                Poll::Pending => false,
            }
        });
        let is_answered = calling.join().unwrap();
        let requests = node.stop_and_drain(Duration::MAX).requests;
        assert_eq!(calls.load(SeqCst) as u64, 1 - requests.expired);
        assert!(!is_answered || (requests.late, requests.expired) == (0, 0));
        assert_no_queue_left(&broker);
    });
}
