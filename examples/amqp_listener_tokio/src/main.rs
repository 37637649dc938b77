//! Programs in any language use the broker of this process, with one task of tokio for each: an
//! example, no server.
//!
//! `cargo run --manifest-path examples/amqp_listener_tokio/Cargo.toml -- --port 5672` serves
//! clients until Ctrl-C. They log in as `guest`, password `guest`. Without a port its own client
//! comes and goes:
//!
//! ```text
//! listening on 127.0.0.1:40307
//! 127.0.0.1:51218 has connected
//! 127.0.0.1:51218: the peer is gone
//! ```

use std::{
    env,
    future::poll_fn,
    io,
    task::Poll,
    time::{Duration, Instant},
};

use leveret::{
    Broker,
    amqp::{ServerConfig, ServerConnection},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    signal,
    sync::watch,
    time,
};

/// Serves a peer until it is gone, as an error of its socket tells.
async fn serve(
    mut socket: TcpStream,
    server: &mut ServerConnection,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let (mut reader, mut writer) = socket.split();
    let (mut input, mut start, mut end) = (vec![0; 64 << 10], 0, 0);
    let mut output = Vec::new();
    loop {
        // The connection may take no more for now. Then the rest waits.
        start += server.receive(&input[start..end]);
        let timeout = server.poll_timeout();
        let timeout = timeout.map_or(FAR, |at| at.saturating_duration_since(Instant::now()));
        tokio::select! {
            more = poll_fn(|context| match server.poll_output(context, &mut output) {
                Poll::Pending if start < end => server.poll_ready(context).map(|()| Some(0)),
                output => output,
            }) => match more {
                None => return Ok(()),
                Some(_) => {
                    time::timeout(PATIENCE, writer.write_all(&output)).await??;
                    output.clear();
                }
            },
            count = reader.read(&mut input), if start == end => match count? {
                0 => return Ok(()),
                count => (start, end) = (0, count),
            },
            () = time::sleep(timeout) => server.handle_timeout(Instant::now()),
            Ok(()) = stop.changed() => server.close("the listener ends"),
        }
    }
}

/// A peer that takes no output for so long is gone.
const PATIENCE: Duration = Duration::from_secs(30);

/// No time-out.
const FAR: Duration = Duration::from_secs(3600);

#[tokio::main]
async fn main() -> io::Result<()> {
    let port = env::args()
        .skip_while(|argument| argument != "--port")
        .nth(1);
    let address = format!("127.0.0.1:{}", port.as_deref().unwrap_or("0"));
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    println!("listening on {address}");
    let (stop, stopped) = watch::channel(false);
    let broker = Broker::new();
    let accepting = broker.clone();
    let accept = tokio::spawn(async move {
        while let Ok((socket, peer)) = listener.accept().await {
            let config = ServerConfig::new().peer_address(peer.to_string());
            let mut server = ServerConnection::new(&accepting, config);
            let stopped = stopped.clone();
            tokio::spawn(async move {
                println!("{peer} has connected");
                serve(socket, &mut server, stopped).await.unwrap_or(());
                server.handle_disconnect();
                println!("{peer}: {}", server.close_reason().unwrap());
            });
        }
    });
    if port.is_some() {
        signal::ctrl_c().await?;
    } else {
        let mut client = TcpStream::connect(address).await?;
        client.shutdown().await?;
        client.read_to_end(&mut Vec::new()).await?;
    }
    accept.abort();
    stop.send_replace(true);
    // Each connection holds a receiver until it has ended.
    stop.closed().await;
    Ok(())
}
