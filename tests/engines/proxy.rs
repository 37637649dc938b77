//! A proxy between a client and its server, which a test can cut, stall and close.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
};

/// What the proxy does with octets and with new connections.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Forward,
    /// Octets wait.
    Stall,
    /// New connections end at once.
    Refuse,
    /// Connections end when their client has sent this number of octets.
    Limit(usize),
}

struct State {
    mode: Mutex<Mode>,
    changed: Condvar,
    streams: Mutex<Vec<TcpStream>>,
    connections: AtomicUsize,
}

pub(crate) struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
}

impl Proxy {
    /// A proxy for the server of a URL, whose host and port stand at its end.
    pub(crate) fn of(url: &str) -> Proxy {
        let server = url.rsplit_once('@').unwrap().1.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            mode: Mutex::new(Mode::Forward),
            changed: Condvar::new(),
            streams: Mutex::default(),
            connections: AtomicUsize::new(0),
        });
        thread::spawn({
            let state = Arc::clone(&state);
            move || {
                for client in listener.incoming().flatten() {
                    // A connection is there before the mode changes, and ends with the others, or
                    // is one of the next mode.
                    let mode = state.mode.lock().unwrap();
                    if *mode == Mode::Refuse {
                        continue;
                    }
                    let Ok(server) = TcpStream::connect(&server) else {
                        continue;
                    };
                    state.connections.fetch_add(1, SeqCst);
                    state.join(&client, &server, true);
                    state.join(&server, &client, false);
                }
            }
        });
        Proxy { address, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("amqp://guest:guest@{}", self.address)
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Ends all connections. New ones are welcome.
    pub(crate) fn cut(&self) {
        for stream in self.state.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Ends all connections, and all that come.
    pub(crate) fn close(&self) {
        self.cut_and(Mode::Refuse);
    }

    /// Holds everything back.
    pub(crate) fn stall(&self) {
        self.set(Mode::Stall);
    }

    /// Forwards again.
    pub(crate) fn open(&self) {
        self.set(Mode::Forward);
    }

    /// Ends all connections, and each that comes when its client has sent this number of octets.
    pub(crate) fn limit(&self, octets: usize) {
        self.cut_and(Mode::Limit(octets));
    }

    /// How many connections there were.
    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(SeqCst)
    }

    /// Ends all connections, and changes the mode. Octets that were held back go nowhere.
    fn cut_and(&self, next: Mode) {
        let mut mode = self.state.mode.lock().unwrap();
        self.cut();
        *mode = next;
        self.state.changed.notify_all();
    }

    fn set(&self, mode: Mode) {
        *self.state.mode.lock().unwrap() = mode;
        self.state.changed.notify_all();
    }
}

impl State {
    /// Forwards from one stream to another on a thread of its own.
    fn join(self: &Arc<State>, from: &TcpStream, to: &TcpStream, is_client: bool) {
        let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        self.streams.lock().unwrap().push(from.try_clone().unwrap());
        let state = Arc::clone(self);
        thread::spawn(move || {
            let (mut buffer, mut total) = ([0; 16 * 1024], 0);
            loop {
                let count = from.read(&mut buffer).unwrap_or(0);
                total += count;
                let mode = state.mode.lock().unwrap();
                let stalled = |mode: &mut Mode| *mode == Mode::Stall;
                let mode = state.changed.wait_while(mode, stalled).unwrap();
                let limit = match *mode {
                    Mode::Limit(limit) if is_client => limit,
                    _ => usize::MAX,
                };
                drop(mode);
                if count == 0 || total > limit || to.write_all(&buffer[..count]).is_err() {
                    break;
                }
            }
            let _ = to.shutdown(Shutdown::Both);
            let _ = from.shutdown(Shutdown::Both);
        });
    }
}
