//! Clients of AMQP 0-9-1, on the server's side without a socket.

mod close;
mod dialogues;
mod flow;
mod handshake;
mod octets;
mod order;
mod rpc;
mod timing;
mod typed;

use leveret::{Broker, amqp::ServerConfig};

use crate::wire::{Arguments, Client, Closed};

/// A client with an open channel 1.
fn client(broker: &Broker) -> Client {
    let mut client = Client::open(broker, ServerConfig::new());
    client.open_channel(1).unwrap();
    client
}

/// What the server closes because of a method on channel 1.
fn close_by(client: &mut Client, id: (u16, u16), arguments: Arguments) -> Closed {
    client.call(1, id, arguments, &[]).unwrap_err()
}

/// A method that settles a delivery or several.
fn settle(number: u16, tag: u64, bits: u8) -> Vec<u8> {
    let arguments = Arguments::new().longlong(tag).octet(bits);
    crate::wire::method(1, (60, number), arguments)
}
