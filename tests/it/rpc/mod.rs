//! RPC.

mod calls;
mod cost;
mod deadlines;
mod ends;
mod errors;
mod limits;
mod model;
mod order;
mod replies;
mod shutdown;

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
    server(broker, endpoint).spawn().unwrap()
}

pub fn server(broker: &Broker, endpoint: Endpoint) -> Server {
    Server::new(broker, target()).endpoint(endpoint)
}
