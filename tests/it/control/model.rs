//! Random programs of nodes and mailboxes: each node that is there and meant answers once.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
};

use leveret::{
    Broker, Error,
    control::{Mailbox, Node, Nodes},
    rpc::{RpcError, ServerHandle},
};
use proptest::{collection::vec, prelude::*, sample::subsequence};

use super::queues;
use crate::common::{PATIENCE, cases};

const NAMES: [&str; 4] = ["web", "worker.1", "worker.22", "nodes.web"];
const PATTERNS: [&str; 5] = ["*", "worker.*", "worker.?", "?*web", "nothing"];

/// What the nodes do at a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    Succeed,
    Fail,
    Panic,
    /// Only the nodes with an even place in the list of names have it.
    OfSome,
    Unknown,
}

impl Command {
    fn name(self) -> &'static str {
        match self {
            Command::Succeed => "succeed",
            Command::Fail => "fail",
            Command::Panic => "panic",
            Command::OfSome => "of_some",
            Command::Unknown => "unknown",
        }
    }

    fn is_known_to(self, node: usize) -> bool {
        match self {
            Command::Unknown => false,
            Command::OfSome => node.is_multiple_of(2),
            _ => true,
        }
    }
}

#[derive(Clone, Debug)]
enum Chosen {
    All,
    Matching(&'static str),
    Named(Vec<&'static str>),
}

impl Chosen {
    fn nodes(&self) -> Nodes {
        match self {
            Chosen::All => Nodes::all(),
            Chosen::Matching(pattern) => Nodes::matching(*pattern),
            Chosen::Named(names) => Nodes::named(names.iter().copied()),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum End {
    Drop,
    Stop,
    Drain,
}

#[derive(Clone, Debug)]
enum Step {
    Join(usize),
    Leave(usize, End),
    Call(usize, Command),
    Cast(Chosen, Command),
    /// At most as many replies are taken as the limit says.
    Gather(Chosen, Command, Option<usize>),
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        3 => Just(Command::Succeed),
        1 => Just(Command::Fail),
        1 => Just(Command::Panic),
        1 => Just(Command::OfSome),
        1 => Just(Command::Unknown),
    ]
}

fn chosen() -> impl Strategy<Value = Chosen> {
    prop_oneof![
        Just(Chosen::All),
        proptest::sample::select(&PATTERNS[..]).prop_map(Chosen::Matching),
        subsequence(&NAMES[..], 0..=4).prop_map(Chosen::Named),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let name = || 0..NAMES.len();
    let end = prop_oneof![Just(End::Drop), Just(End::Stop), Just(End::Drain)];
    prop_oneof![
        3 => name().prop_map(Step::Join),
        1 => (name(), end).prop_map(|(name, end)| Step::Leave(name, end)),
        1 => (name(), command()).prop_map(|(name, command)| Step::Call(name, command)),
        1 => (chosen(), command()).prop_map(|(chosen, command)| Step::Cast(chosen, command)),
        3 => (chosen(), command(), prop::option::of(0..4_usize))
            .prop_map(|(chosen, command, limit)| Step::Gather(chosen, command, limit)),
    ]
}

/// How often each node was called by each command.
type Calls = Arc<[AtomicUsize; NAMES.len()]>;

fn node(broker: &Broker, place: usize, calls: &Calls) -> Result<ServerHandle, RpcError> {
    let counted = |command: Command| {
        let calls = Arc::clone(calls);
        move |(): (), _: &leveret::rpc::Context<'_>| {
            calls[place].fetch_add(1, SeqCst);
            match command {
                Command::Fail => Err("it fails"),
                Command::Panic => panic!("it panics"),
                _ => Ok(place),
            }
        }
    };
    let mut node = Node::new(broker, NAMES[place]);
    let all = [
        Command::Succeed,
        Command::Fail,
        Command::Panic,
        Command::OfSome,
    ];
    for command in all.into_iter().filter(|it| it.is_known_to(place)) {
        node = node.try_command(command.name(), counted(command));
    }
    node.spawn()
}

/// Waits for the queues of nodes that were stopped. Each of those that are there has two.
fn until_gone(broker: &Broker, nodes: usize) {
    while queues(broker) != 2 * nodes {
        thread::yield_now();
    }
}

/// The reply of a node as its place, or the text of its error.
fn text_of(command: Command, place: usize) -> Result<usize, String> {
    match command {
        Command::Fail => Err("it fails".to_owned()),
        Command::Panic => Err("it panics".to_owned()),
        _ => Ok(place),
    }
}

fn end(node: ServerHandle, end: End) {
    match end {
        End::Drop => drop(node),
        End::Stop => {
            node.stop();
            drop(node);
        }
        End::Drain => drop(node.stop_and_drain(PATIENCE)),
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn each_node_that_is_there_and_meant_answers_once(steps in vec(step(), 1..40)) {
        let broker = Broker::new();
        let mailbox = Mailbox::new(&broker).timeout(PATIENCE);
        let calls = Calls::default();
        let mut expected_calls = [0; NAMES.len()];
        let mut nodes: BTreeMap<usize, ServerHandle> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Join(place) => match node(&broker, place, &calls) {
                    Ok(node) => {
                        let second = nodes.insert(place, node);
                        prop_assert!(second.is_none());
                    }
                    Err(RpcError::Broker(Error::AccessRefused(_))) => {
                        prop_assert!(nodes.contains_key(&place));
                    }
                    Err(error) => panic!("{error}"),
                },
                // A node that a cast has reached may not have begun.
                Step::Leave(place, _) if expected_calls[place] > calls[place].load(SeqCst) => {
                    if let Some(node) = nodes.remove(&place) {
                        end(node, End::Drain);
                    }
                }
                Step::Leave(place, how) => {
                    if let Some(node) = nodes.remove(&place) {
                        end(node, how);
                    }
                }
                Step::Call(place, command) => {
                    until_gone(&broker, nodes.len());
                    let reply = mailbox.call::<usize>(NAMES[place], command.name(), ());
                    if !nodes.contains_key(&place) {
                        let is_none = matches!(reply, Err(RpcError::NoServer { .. }));
                        prop_assert!(is_none, "{:?}", reply);
                    } else if !command.is_known_to(place) {
                        let is_none = matches!(reply, Err(RpcError::NoSuchMethod { .. }));
                        prop_assert!(is_none, "{:?}", reply);
                    } else {
                        expected_calls[place] += 1;
                        let reply = reply.map_err(|error| match error {
                            RpcError::Panicked(text) => text.to_string(),
                            error => error.to_string(),
                        });
                        prop_assert_eq!(reply, text_of(command, place));
                    }
                }
                Step::Cast(chosen, command) => {
                    until_gone(&broker, nodes.len());
                    let reached = mailbox.cast(chosen.nodes(), command.name(), ()).unwrap();
                    let is_reached = |place: &&usize| match &chosen {
                        Chosen::Named(names) => names.contains(&NAMES[**place]),
                        _ => true,
                    };
                    prop_assert_eq!(reached, nodes.keys().filter(is_reached).count());
                    for place in nodes.keys().copied() {
                        let is_meant = chosen.nodes().contains(NAMES[place]);
                        if is_meant && command.is_known_to(place) {
                            expected_calls[place] += 1;
                        }
                    }
                }
                Step::Gather(chosen, command, limit) => {
                    until_gone(&broker, nodes.len());
                    let is_meant = |place: &&usize| {
                        chosen.nodes().contains(NAMES[**place]) && command.is_known_to(**place)
                    };
                    let meant: Vec<usize> = nodes.keys().filter(is_meant).copied().collect();
                    let replies = mailbox.gather::<usize>(chosen.nodes(), command.name(), ());
                    let replies = replies.unwrap();
                    let Some(limit) = limit else {
                        let mut replies: Vec<_> = replies
                            .map(|reply| match reply {
                                Ok(reply) => {
                                    (reply.node, reply.result.map_err(|error| error.to_string()))
                                }
                                Err(RpcError::Panicked(text)) => {
                                    (String::new(), Err(text.to_string()))
                                }
                                Err(error) => panic!("{error}"),
                            })
                            .collect();
                        replies.sort();
                        let mut expected: Vec<_> = meant
                            .iter()
                            .map(|place| match command {
                                Command::Panic => (String::new(), text_of(command, *place)),
                                _ => (NAMES[*place].to_owned(), text_of(command, *place)),
                            })
                            .collect();
                        expected.sort();
                        prop_assert_eq!(replies, expected);
                        meant.iter().for_each(|place| expected_calls[*place] += 1);
                        continue;
                    };
                    let taken = replies.take(limit).count();
                    prop_assert_eq!(taken, limit.min(meant.len()));
                    // The rest may have been given up before they began. The ends of the nodes
                    // show that none runs any more.
                    for (place, node) in std::mem::take(&mut nodes) {
                        node.stop_and_drain(PATIENCE);
                        let called = calls[place].load(SeqCst);
                        let most = expected_calls[place] + usize::from(meant.contains(&place));
                        prop_assert!((expected_calls[place]..=most).contains(&called));
                        expected_calls[place] = called;
                    }
                }
            }
        }
        for node in nodes.into_values() {
            node.stop_and_drain(PATIENCE);
        }
        for (calls, expected) in calls.iter().zip(expected_calls) {
            prop_assert_eq!(calls.load(SeqCst), expected);
        }
        until_gone(&broker, 0);
    }
}

#[test]
fn nodes_that_come_and_go_disturb_no_other_node() {
    let broker = Broker::new();
    let calls = Calls::default();
    let staying = [0, 1].map(|place| node(&broker, place, &calls).unwrap());
    thread::scope(|scope| {
        for place in [2, 3] {
            let (broker, calls) = (&broker, &calls);
            scope.spawn(move || {
                for round in 0..100 {
                    let node = node(broker, place, calls).unwrap();
                    end(node, [End::Drop, End::Stop, End::Drain][round % 3]);
                }
            });
        }
        let mailbox = Mailbox::new(&broker).timeout(PATIENCE);
        for _ in 0..200 {
            let all = mailbox
                .gather::<usize>(Nodes::all(), "succeed", ())
                .unwrap();
            let mut answers = [0; NAMES.len()];
            for reply in all {
                match reply {
                    Ok(reply) => answers[reply.result.unwrap()] += 1,
                    Err(RpcError::ServerGone) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            assert_eq!(answers[..2], [1, 1]);
            assert!(answers[2] <= 1 && answers[3] <= 1, "{answers:?}");
        }
    });
    for node in staying {
        node.stop_and_drain(PATIENCE);
    }
    assert_eq!(queues(&broker), 0);
}
