//! A client of AMQP 0-9-1 that costs little: large writes, and no more of the protocol than the
//! rows need.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// The octets around a payload: seven before it, and one behind it.
const OVERHEAD: usize = 8;

/// The octets of one read.
const READ: usize = 64 << 10;

/// The time limit that ends the run if a message is lost.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The queue of the bench.
const QUEUE: &str = "leveret-bench-wire";

/// The class and the number of a method.
type MethodId = [u16; 2];

pub const DELIVER: MethodId = [60, 60];
pub const ACK: MethodId = [60, 80];

/// A connection with one channel.
pub struct Client {
    socket: TcpStream,
    input: Vec<u8>,
    /// Where the next frame begins.
    next: usize,
    output: Vec<u8>,
}

/// A method that the broker has sent, with its arguments.
pub struct Method<'a> {
    pub id: MethodId,
    pub arguments: &'a [u8],
}

fn short(text: &str) -> Vec<u8> {
    [&[text.len() as u8], text.as_bytes()].concat()
}

fn frame(kind: u8, channel: u16, payload: &[u8], to: &mut Vec<u8>) {
    to.push(kind);
    to.extend(channel.to_be_bytes());
    to.extend((payload.len() as u32).to_be_bytes());
    to.extend(payload);
    to.push(0xce);
}

fn method(channel: u16, [class, number]: MethodId, arguments: &[u8], to: &mut Vec<u8>) {
    let (class, number) = (class.to_be_bytes(), number.to_be_bytes());
    frame(1, channel, &[&class, &number, arguments].concat(), to);
}

/// A message to the queue of the bench, as octets.
pub fn message(body: usize) -> Vec<u8> {
    let mut octets = Vec::new();
    let to_queue = [&[0; 3], &*short(QUEUE), &[0]].concat();
    method(1, [60, 40], &to_queue, &mut octets);
    let size = (body as u64).to_be_bytes();
    frame(
        2,
        1,
        &[&[0, 60, 0, 0], &size[..], &[0, 0]].concat(),
        &mut octets,
    );
    frame(3, 1, &vec![7; body], &mut octets);
    octets
}

impl Client {
    /// A connection with an open channel.
    pub fn connect(address: SocketAddr) -> Client {
        let socket = TcpStream::connect(address).expect("the broker listens");
        socket.set_nodelay(true).expect("a new socket");
        let patience = Some(PATIENCE);
        socket.set_read_timeout(patience).expect("a new socket");
        let mut client = Client {
            socket,
            input: Vec::new(),
            next: 0,
            output: b"AMQP\0\0\x09\x01".to_vec(),
        };
        client.expect([10, 10]);
        let login = b"\0\0\0\0\x05PLAIN\0\0\0\x0c\0guest\0guest\x05en_US";
        method(0, [10, 11], login, &mut client.output);
        client.expect([10, 30]);
        // 128 KiB, and no heartbeats.
        method(0, [10, 31], &[0, 9, 0, 2, 0, 0, 0, 0], &mut client.output);
        method(0, [10, 40], b"\x01/\0\0", &mut client.output);
        client.expect([10, 41]);
        client.call([20, 10], &[0], [20, 11]);
        client
    }

    /// Closes the connection in order.
    pub fn close(mut self) {
        method(0, [10, 50], &[0; 7], &mut self.output);
        self.expect([10, 51]);
    }

    /// Sends a method, and waits for its answer.
    pub fn call(&mut self, id: MethodId, arguments: &[u8], answer: MethodId) {
        method(1, id, arguments, &mut self.output);
        self.expect(answer);
    }

    /// Declares the queue of the bench, which ends with this connection.
    pub fn declare(&mut self) {
        let exclusive = [&[0; 2], &*short(QUEUE), &[4, 0, 0, 0, 0]].concat();
        self.call([50, 10], &exclusive, [50, 11]);
    }

    /// The number of ready messages. The broker has done everything before this.
    pub fn ready(&mut self) -> u32 {
        let passive = [&[0; 2], &*short(QUEUE), &[1, 0, 0, 0, 0]].concat();
        method(1, [50, 10], &passive, &mut self.output);
        self.expect([50, 11]);
        let end = self.next - 1;
        let count = &self.input[end - 8..end - 4];
        u32::from_be_bytes(count.try_into().expect("four octets"))
    }

    /// Has at most 256 unacknowledged messages.
    pub fn consume(&mut self) {
        self.call([60, 10], &[0, 0, 0, 0, 1, 0, 0], [60, 11]);
        let from_queue = [&[0; 2], &*short(QUEUE), &[1, b'c', 0, 0, 0, 0, 0]].concat();
        self.call([60, 20], &from_queue, [60, 21]);
    }

    pub fn confirm_select(&mut self) {
        self.call([85, 10], &[0], [85, 11]);
    }

    /// Puts an acknowledgement of one message into the next write.
    pub fn acknowledge(&mut self, tag: u64) {
        let arguments = [&tag.to_be_bytes()[..], &[0]].concat();
        method(1, ACK, &arguments, &mut self.output);
    }

    /// Writes octets at once.
    pub fn write(&mut self, octets: &[u8]) {
        self.socket.write_all(octets).expect("the broker is there");
    }

    /// Writes what waits for that.
    pub fn flush(&mut self) {
        if !self.output.is_empty() {
            let output = std::mem::take(&mut self.output);
            self.write(&output);
            self.output = output;
            self.output.clear();
        }
    }

    /// Reads once, and waits for that.
    pub fn read(&mut self) {
        self.input.drain(..self.next);
        self.next = 0;
        let end = self.input.len();
        self.input.resize(end + READ, 0);
        let count = self.socket.read(&mut self.input[end..]);
        let count = count.expect("no message is lost");
        assert!(count > 0, "the broker has closed the connection");
        self.input.truncate(end + count);
    }

    /// The next method that was read. The frames of contents are skipped.
    pub fn next(&mut self) -> Option<Method<'_>> {
        loop {
            let rest = &self.input[self.next..];
            let (kind, size) = match rest {
                [kind, _, _, a, b, c, d, ..] => (*kind, u32::from_be_bytes([*a, *b, *c, *d])),
                _ => return None,
            };
            let length = size as usize + OVERHEAD;
            if rest.len() < length {
                return None;
            }
            let payload = self.next + OVERHEAD - 1..self.next + length - 1;
            self.next += length;
            if kind == 1 {
                let payload = &self.input[payload];
                let number = |at| u16::from_be_bytes([payload[at], payload[at + 1]]);
                return Some(Method {
                    id: [number(0), number(2)],
                    arguments: &payload[4..],
                });
            }
        }
    }

    /// Writes what waits, and reads until this method comes. Nothing else may come before it.
    fn expect(&mut self, id: MethodId) {
        self.flush();
        loop {
            if let Some(method) = self.next() {
                assert_eq!(method.id, id, "{:?}", method.arguments);
                return;
            }
            self.read();
        }
    }
}

impl Method<'_> {
    /// The delivery tag of a `basic.deliver` of the consumer `c`, or of a `basic.ack`.
    pub fn tag(&self) -> u64 {
        let start = if self.id == DELIVER { 2 } else { 0 };
        let octets = &self.arguments[start..start + 8];
        u64::from_be_bytes(octets.try_into().expect("eight octets"))
    }
}
