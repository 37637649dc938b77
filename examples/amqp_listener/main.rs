//! Programs in any language use the broker of this process, by AMQP 0-9-1: an example, no server.
//!
//! `cargo run --features amqp --example amqp_listener -- --port 5672` serves clients until Ctrl-C.
//! They log in as `guest`, password `guest`. Without a port its own client comes and goes:
//!
//! ```text
//! listening on 127.0.0.1:40307
//! 127.0.0.1:51218 has connected
//! 127.0.0.1:51218: the peer is gone
//! ```

mod peer;

use std::{
    env, io,
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex, mpsc},
    thread::{self, JoinHandle},
};

use leveret::Broker;
use leveret::amqp::{ServerConfig, ServerConnection};

fn main() -> io::Result<()> {
    let port = env::args().skip_while(|it| it != "--port").nth(1);
    let listener = TcpListener::bind(format!("127.0.0.1:{}", port.as_deref().unwrap_or("0")))?;
    let address = listener.local_addr()?;
    println!("listening on {address}");
    let (broker, open) = (Broker::new(), Arc::new(Mutex::new(Vec::new())));
    let accepted = Arc::clone(&open);
    thread::spawn(move || {
        while let Ok((socket, peer)) = listener.accept() {
            let config = ServerConfig::new().peer_address(peer.to_string());
            let server = ServerConnection::new(&broker, config);
            let connection = Arc::new(Mutex::new(server));
            let served = Arc::clone(&connection);
            let thread = thread::spawn(move || peer::serve(&socket, peer, &served));
            let mut open = accepted.lock().unwrap();
            open.retain(|(_, thread): &(_, JoinHandle<_>)| !thread.is_finished());
            open.push((connection, thread));
        }
    });
    let (stop, stopped) = mpsc::channel();
    ctrlc::set_handler(move || stop.send(()).unwrap()).unwrap();
    if port.is_some() {
        stopped.recv().unwrap();
    } else {
        let client = TcpStream::connect(address)?;
        client.shutdown(Shutdown::Write)?;
        io::copy(&mut &client, &mut io::sink())?;
    }
    for (connection, thread) in open.lock().unwrap().drain(..) {
        connection.lock().unwrap().close("the listener ends");
        thread.join().unwrap();
    }
    Ok(())
}
