//! ZeroMQ inside the process: a push and a pull socket, and a pair for requests and replies.

use std::time::{Duration, Instant};

use super::{
    Rival,
    item::{Item, id_of},
    options::Options,
    own::p50,
    race::{Job, Tally, race},
};

pub fn rivals(options: &Options) -> Vec<Rival> {
    let messages = options.messages;
    let calls = options.size(20, 2_000);
    vec![
        Rival::new("zeromq-inproc", "leveret-bytes", Some(1.0), move || {
            stream(messages).as_nanos() as f64 / messages as f64
        }),
        Rival::new("zeromq-rpc", "leveret-rpc", Some(1.0), move || {
            p50(call(calls))
        }),
    ]
}

/// Two connected sockets.
fn sockets(
    context: &zmq::Context,
    here: zmq::SocketType,
    there: zmq::SocketType,
) -> (zmq::Socket, zmq::Socket) {
    let receiver = context.socket(there).expect("a socket");
    receiver.bind("inproc://floor").expect("a new context");
    let sender = context.socket(here).expect("a socket");
    sender.connect("inproc://floor").expect("it is bound");
    (sender, receiver)
}

fn stream(messages: u64) -> Duration {
    let context = zmq::Context::new();
    let (sender, receiver) = sockets(&context, zmq::PUSH, zmq::PULL);
    let sending: Job<()> = Box::new(move || {
        for id in 1..=messages {
            sender
                .send(Vec::make(id), 0)
                .expect("the other end is there");
        }
    });
    let receiving: Job<Tally> = Box::new(move || {
        let mut tally = Tally::default();
        let mut message = zmq::Message::new();
        while tally.messages < messages {
            receiver
                .recv(&mut message, 0)
                .expect("the other end is there");
            tally.add(id_of(&message));
        }
        tally
    });
    let (time, got) = race(vec![sending], vec![receiving], || {});
    assert_eq!(got, Tally::expected(messages, 1));
    time
}

fn call(calls: u64) -> Vec<Duration> {
    let context = zmq::Context::new();
    let (caller, server) = sockets(&context, zmq::PAIR, zmq::PAIR);
    let serving = std::thread::spawn(move || {
        for _ in 0..calls {
            let request = server.recv_msg(0).expect("the caller is there");
            server.send(request, 0).expect("the caller is there");
        }
    });
    let times = (0..calls)
        .map(|id| {
            let began = Instant::now();
            caller.send(Vec::make(id), 0).expect("the server is there");
            let reply = caller.recv_msg(0).expect("the server is there");
            let time = began.elapsed();
            assert_eq!(id_of(&reply), id);
            time
        })
        .collect();
    serving.join().expect("the server panicked");
    times
}
