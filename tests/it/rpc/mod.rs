//! RPC.

mod errors;

use leveret::{
    Broker,
    rpc::{Client, Endpoint, Server, ServerHandle, Target},
};

pub fn target() -> Target {
    Target::topic("test")
}

pub fn client(broker: &Broker) -> Client {
    Client::new(broker, target())
}

pub fn serve(broker: &Broker, endpoint: Endpoint) -> ServerHandle {
    let server = Server::new(broker, target()).endpoint(endpoint);
    server.spawn().unwrap()
}
