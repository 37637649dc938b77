//! The server's side of AMQP 0-9-1, without a socket: programs in any language use this broker.
//!
//! leveret opens no socket, but a program that embeds it may own one. A [`ServerConnection`] is a
//! connection of a client, as a state machine: the program hands it the octets that the client has
//! sent, and sends the client the octets that it makes of them. It does no input or output of its
//! own, has no thread and needs no runtime.
//!
//! A driver is a loop around these calls:
//!
//! - [`receive`](ServerConnection::receive) takes octets of the client, and
//!   [`poll_ready`](ServerConnection::poll_ready) tells when it takes more.
//! - [`poll_output`](ServerConnection::poll_output) gives octets for the client, or has the task
//!   woken when there are some: when a queue has a message, for example.
//! - [`poll_timeout`](ServerConnection::poll_timeout) and
//!   [`handle_timeout`](ServerConnection::handle_timeout) keep the heartbeats and time-outs.
//! - [`handle_disconnect`](ServerConnection::handle_disconnect), or a drop, tells that the client
//!   is gone.
//!
//! The example `amqp_listener` is a driver on the sockets of the standard library, with two threads
//! for a client. The thread that reads from the client also answers it. So a wake-up is needed only
//! for what comes from elsewhere.
//!
//! # Scope
//! Every method of AMQP 0-9-1 and RabbitMQ's extensions: confirms, `basic.nack`, bindings between
//! exchanges, cancelled consumers, blocked connections, `update-secret`, direct reply-to. The login
//! is by `PLAIN`, `AMQPLAIN`, or [`EXTERNAL`](ServerConfig::external). Channels and connections are
//! those of [`Channel`](crate::Channel) and [`Connection`](crate::Connection), and see the same
//! queues as the rest of the program.
//!
//! # Clients
//! These clients were run against the example `amqp_listener` on 2026-11-30, with their own tests
//! for a broker where those can be had (`tests/peers/clients.sh`):
//!
//! | client | version | tests | passed | not passed |
//! |---|---|---|---|---|
//! | pika | 1.4.4 | 561 of its own | 561 | |
//! | py-amqp | 5.4.2 | 12 of its own, those of TLS left out | 12 | |
//! | kombu | 5.7.0 | 51 of its own | 51 | |
//! | amqplib (Node) | 2.0.1 (program: 2.3.1) | 80 of its own, 3 of ours | 82 | one connects to port 5672 whatever it is told |
//! | amqp091-go | 1.5.0 | 116 of its own | 116 | |
//! | RabbitMQ's Java client | 5.0.0 | 4 of ours | 4 | |
//! | bunny (Ruby) | 2.19.0 | 5 of ours | 5 | |
//! | php-amqplib | 3.5.3 | 5 of ours | 5 | |
//! | rabbitmq-c | 0.11.0 | 4 of ours | 4 | |
//! | aio-pika | 10.2.1 | 6 of ours | 6 | |
//! | oslo.messaging | 18.3.1 | 4 of ours: calls and notifications | 4 | |
//! | celery | 5.7.0 | 4 of ours: 1,000 tasks, retries, chords, an ETA | 4 | |
//! | lapin | 4.12.3 | 4 of ours | 4 | |
//! | amqprs | 2.1.5 | 2 of ours | 2 | |
//!
//! # Errors close
//! Unlike in the rest of leveret, an error closes the channel or the connection of the client, with
//! RabbitMQ's reply code, text and method. [`Error::scope`](crate::Error::scope) says which. Octets
//! that are no AMQP close the connection with 501 to 505 and 540. A connection that ends, in
//! whatever way, loses its exclusive queues. Its unsettled messages return.
//!
//! # Limits
//! A client costs a bounded amount of memory:
//!
//! - A frame that does not end costs at most the largest frame
//!   ([`frame_max`](ServerConfig::frame_max)).
//! - A body has at most [`max_message_size`](ServerConfig::max_message_size) octets (311), and all
//!   bodies that have begun on a connection have four times as many (506).
//! - A client that does not read costs about 64 KiB of octets and what its channels hold unread.
//!   Nothing more is taken from it meanwhile.
//! - A client has at most [`channel_max`](ServerConfig::channel_max) channels (530).
//! - A client that is silent is given up, by the handshake's time-out or the heartbeats.
//!
//! A publish that has to wait for room on the disk or in a budget blocks no thread. The connection
//! takes nothing more from its client meanwhile, and tells it (`connection.blocked`).
//!
//! # Examples
//! A client logs in. Its octets come from a string here, and from a socket in a real driver.
//! ```
//! use leveret::{amqp::{ServerConfig, ServerConnection}, Broker};
//! use std::task::{Context, Poll, Waker};
//!
//! let broker = Broker::new();
//! let mut server = ServerConnection::new(&broker, ServerConfig::new());
//! let mut context = Context::from_waker(Waker::noop()); // a driver has a real waker
//! // Sends octets to the server, and returns the method that it answers by: its class and number.
//! let mut ask = |octets: &[u8]| {
//!     assert_eq!(server.receive(octets), octets.len());
//!     let mut answer = Vec::new();
//!     assert!(matches!(server.poll_output(&mut context, &mut answer), Poll::Ready(Some(_))));
//!     [answer[8], answer[10]]
//! };
//! /// A frame with a method on channel 0.
//! fn frame(method: &[u8]) -> Vec<u8> {
//!     let size = (method.len() as u32).to_be_bytes();
//!     [&[1, 0, 0][..], &size, method, &[0xce]].concat()
//! }
//! assert_eq!(ask(b"AMQP\x00\x00\x09\x01"), [10, 10]); // connection.start
//! let start_ok = b"\x00\x0a\x00\x0b\0\0\0\0\x05PLAIN\0\0\0\x0c\0guest\0guest\x05en_US";
//! assert_eq!(ask(&frame(start_ok)), [10, 30]); // connection.tune
//! let tune_ok = frame(&[0, 10, 0, 31, 0, 1, 0, 0, 16, 0, 0, 0]);
//! let open = frame(b"\x00\x0a\x00\x28\x01/\0\0");
//! assert_eq!(ask(&[tune_ok, open].concat()), [10, 41]); // connection.open-ok
//! ```

mod codec;
mod server;

pub use self::server::{CloseReason, ExternalLogin, ServerConfig, ServerConnection};
