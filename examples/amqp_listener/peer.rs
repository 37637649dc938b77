//! A client and its connection, on two threads.

use std::{
    io::{self, BufRead, BufReader, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{
        Arc, Mutex, TryLockError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant},
};

use futures_lite::future::{block_on, poll_fn};
use leveret::amqp::ServerConnection;

/// A peer that takes nothing for so long is gone.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long one write waits for a peer that does not read.
const MOMENT: Duration = Duration::from_millis(20);

/// A client and its connection. Each direction has a thread.
struct Peer<'a> {
    socket: &'a TcpStream,
    connection: &'a Mutex<ServerConnection>,
    /// Octets that are taken from the connection and not written. Who has the lock writes.
    unsent: Mutex<Vec<u8>>,
    waker: Arc<WriterWaker>,
}

/// Wakes the thread that writes.
struct WriterWaker {
    writer: Thread,
    /// The thread that reads has octets of the peer, and is about to send what follows of them.
    is_held: AtomicBool,
}

impl Wake for WriterWaker {
    fn wake(self: Arc<Self>) {
        if !self.is_held.load(SeqCst) {
            self.writer.unpark();
        }
    }
}

impl Peer<'_> {
    /// Hands over everything that comes from the peer, and answers at once.
    fn read(&self) -> io::Result<()> {
        let mut socket = BufReader::with_capacity(64 << 10, self.socket);
        while !socket.fill_buf()?.is_empty() {
            block_on(poll_fn(|context| {
                self.connection.lock().unwrap().poll_ready(context)
            }));
            let mut connection = self.connection.lock().unwrap();
            let time_out = connection.poll_timeout();
            self.waker.is_held.store(true, SeqCst);
            let taken = connection.receive(socket.buffer());
            self.waker.is_held.store(false, SeqCst);
            drop(connection);
            socket.consume(taken);
            let is_done = self.answer()?;
            // A later time-out is seen when the earlier one is over.
            let now = self.connection.lock().unwrap().poll_timeout();
            let is_earlier = now.is_some_and(|now| time_out.is_none_or(|before| now < before));
            if !is_done || is_earlier {
                self.waker.writer.unpark();
            }
        }
        Ok(())
    }

    /// Sends what there is, without a wake of the other thread. `false` if that thread has to go
    /// on: this one reads, and never waits long for a peer that does not read.
    fn answer(&self) -> io::Result<bool> {
        let mut unsent = match self.unsent.try_lock() {
            // Elsewhere a socket is of no use after a write that took too long.
            Ok(unsent) if cfg!(unix) && unsent.is_empty() => unsent,
            Ok(_) | Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Poisoned(_)) => return Err(io::ErrorKind::Other.into()),
        };
        for _ in 0..2 {
            if self.poll(&mut unsent).is_pending() {
                return Ok(true);
            }
            write(self.socket, &mut unsent)?;
            if !unsent.is_empty() {
                break;
            }
        }
        Ok(false)
    }

    fn poll(&self, octets: &mut Vec<u8>) -> Poll<Option<usize>> {
        let waker = Waker::from(Arc::clone(&self.waker));
        let mut connection = self.connection.lock().unwrap();
        connection.poll_output(&mut Context::from_waker(&waker), octets)
    }

    /// Sends the peer everything else that is for it, until the connection ends.
    fn write(&self) -> io::Result<()> {
        loop {
            let mut unsent = self.unsent.lock().unwrap();
            let mut end = Instant::now() + PATIENCE;
            while !unsent.is_empty() {
                let before = unsent.len();
                write(self.socket, &mut unsent)?;
                match unsent.len() < before {
                    true => end = Instant::now() + PATIENCE,
                    false if Instant::now() < end => {}
                    false => return Err(io::ErrorKind::TimedOut.into()),
                }
            }
            self.connection
                .lock()
                .unwrap()
                .handle_timeout(Instant::now());
            let output = self.poll(&mut unsent);
            drop(unsent);
            match output {
                Poll::Ready(None) => return Ok(()),
                Poll::Ready(Some(_)) => continue,
                Poll::Pending => {}
            }
            let time_out = self.connection.lock().unwrap().poll_timeout();
            match time_out {
                Some(end) => thread::park_timeout(end - Instant::now()),
                None => thread::park(),
            }
        }
    }
}

/// Writes the first octets, as many as the peer takes in a moment.
fn write(mut socket: &TcpStream, octets: &mut Vec<u8>) -> io::Result<()> {
    while !octets.is_empty() {
        match socket.write(octets) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => drop(octets.drain(..count)),
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => break,
                _ => return Err(error),
            },
        }
    }
    Ok(())
}

/// Serves a peer until it is gone, as an error of its socket tells.
pub fn serve(socket: &TcpStream, address: SocketAddr, connection: &Mutex<ServerConnection>) {
    let time_out = if cfg!(unix) { MOMENT } else { PATIENCE };
    let _ = socket.set_write_timeout(Some(time_out));
    println!("{address} has connected");
    let peer = Peer {
        socket,
        connection,
        unsent: Mutex::default(),
        waker: Arc::new(WriterWaker {
            writer: thread::current(),
            is_held: AtomicBool::new(false),
        }),
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            peer.read().unwrap_or(());
            connection.lock().unwrap().handle_disconnect();
        });
        peer.write().unwrap_or(());
        // The other thread may wait for room.
        connection.lock().unwrap().handle_disconnect();
        socket.shutdown(Shutdown::Both).unwrap_or(());
    });
    println!(
        "{address}: {}",
        connection.lock().unwrap().close_reason().unwrap()
    );
}
