//! Remote procedure calls: methods of servers, called through queues.
//!
//! # Programs outside
//! A program outside of this process calls a server, and serves a client, as in RabbitMQ's tutorial
//! "Remote procedure call". It comes by AMQP, behind the feature `amqp`, or by a
//! [RabbitMQ](crate::guide::rabbitmq) that both are connected to. A user of a
//! [`Channel`](crate::Channel) in this process does the same. The parts of a call are properties of
//! its messages:
//!
//! | of a request | |
//! |---|---|
//! | body | the arguments, encoded as `content-type` says; JSON without one |
//! | `reply-to` | the queue for the reply, or `amq.rabbitmq.reply-to`; without it there is no reply |
//! | `correlation-id` | its reply has the same |
//! | `type` | the name of the method; [`serve`] has the one without a name |
//! | `expiration` | the method is not called after this time |
//! | headers | the request context, but `x-rpc-namespace`, and `x-rpc-version` such as `1.4` |
//!
//! A reply has the format of its request, if that has one of leveret's codecs. A reply that is an
//! error is a text. Its header `x-rpc-error` has the name of the [`RpcError`], such as `Denied`. If
//! that is `Remote`, `x-rpc-error-type` names the type of the error. An error with another name is
//! an [`RpcError::Remote`], whose type is that name. A request without `reply-to` whose arguments
//! do not decode is rejected, and its queue dead-letters or drops it.
//!
//! A server that ends does not tell its caller outside, and the request returns to its queue. It is
//! not served again then, unless the server is one of [at least once](Server::at_least_once). In
//! the other direction, a service outside that takes a request and does not reply lets the caller
//! wait for its time-out.
//!
//! # Several replies
//! A call from outside gets one reply, the first one of a stream, unless its request has the header
//! `x-rpc-replies` with the value `many`. Then each server may send more than one:
//!
//! | of a reply | |
//! |---|---|
//! | header `x-rpc-reply` | `more` if another one follows. `end` if it is none and none follows |
//! | header `x-rpc-credit` | how many replies the server may send when the caller has taken this one |
//! | `reply-to`, `message-id` | where the caller gives that credit |
//!
//! The caller gives credit by a message to that `reply-to`, with the `message-id` as its
//! `correlation-id` and the same header. The credit 0 tells that the caller has gone. A caller of
//! leveret gives credit only at addresses that begin with `amq.rabbitmq.reply-to.`. Its call ends
//! with [`Error::ResourceError`](crate::Error::ResourceError) when 8,192 replies of other processes
//! wait for it.
//!
//! A server sends up to 256 replies without credit. It also stops at the time of `expiration`, or
//! of the [method](Endpoint::timeout). If there is neither, it stops when it has waited for credit
//! for five minutes.
//!
//! # Modules
//! - `server`, `handle`: [`Server`], and its [`ServerHandle`] and report.
//! - `endpoint`: [`Endpoint`], the methods in one namespace and version. `method`: one of them.
//! - `limits`: the limits of methods. `order`: [`RequestInfo`], for the key of an ordered server.
//! - `dispatch`: the method of a request. `core`: the way of a request through a server.
//! - `context`: [`Context`], the second argument of a method.
//! - `target`: [`Target`], the address of servers.
//! - `client`, `settings`, `typed`: [`Client`], and [`TypedClient`] for one method.
//! - `pending`: the caller's side of a call.
//! - `call`, `rest`: the slot that a caller and its servers share. `any_call`: the same without its
//!   types.
//! - `arguments`: the values on their way.
//! - `request`: the payload of a request. `leaving`: the same outside of the process.
//! - `outside`, `answer`: the part of a call in other processes, and a reply of them.
//! - `foreign`: the call of a program outside. `window`: how much of a stream is on its way there.
//! - `fault`: errors on their way between processes.
//! - `replies`, `sender`: [`Replies`] of scatters and streams, and their [`ReplySender`].
//! - `connected`: [`Connected`].

mod answer;
mod any_call;
mod arguments;
mod call;
mod client;
mod connected;
mod context;
mod core;
mod dispatch;
mod endpoint;
mod fault;
mod foreign;
mod handle;
mod leaving;
mod limits;
mod method;
mod order;
mod outside;
mod pending;
mod replies;
mod request;
mod requesting;
mod rest;
mod sender;
mod server;
mod settings;
mod target;
mod typed;
mod window;

pub use self::{
    client::Client,
    connected::Connected,
    context::Context,
    core::RpcCounts,
    endpoint::Endpoint,
    handle::{ServerHandle, ServerReport},
    order::RequestInfo,
    replies::Replies,
    sender::{CallerGone, ReplySender},
    server::Server,
    target::Target,
    typed::TypedClient,
};
pub use crate::model::{
    error::{RemoteError, RpcError},
    version::{InvalidVersion, Version},
};

use crate::{message::payload::Payload, model::descriptions::Queue};

/// Serves the requests in a queue by a function, on a thread of its own, until the handle is
/// dropped.
///
/// It is the short form of a [`Server`] with one method. A plain name of a queue means the existing
/// queue, or a new one that ends with its last server.
///
/// # RabbitMQ
/// The server of the tutorial "Remote procedure call".
///
/// # Errors
/// Those of [`Server::spawn`].
///
/// # Examples
/// ```
/// use leveret::{Broker, rpc};
///
/// let broker = Broker::new();
/// let server = rpc::serve::<u32, u32>(&broker, "double", |number, _| number * 2)?;
/// let double = rpc::client::<u32, u32>(&broker, "double");
/// assert_eq!(double.call(21)?, 42);
/// # drop(server);
/// # Ok::<(), rpc::RpcError>(())
/// ```
pub fn serve<Req: Payload, Resp: Payload>(
    broker: &impl Connected,
    queue: impl Into<Queue>,
    function: impl Fn(Req, &Context<'_>) -> Resp + Send + Sync + 'static,
) -> Result<ServerHandle, RpcError> {
    let endpoint = Endpoint::new().method(typed::ONLY_METHOD, function);
    Server::new(broker, Target::queue(queue))
        .endpoint(endpoint)
        .spawn()
}

/// Makes a client of a queue whose server has one method.
///
/// [`serve`] has an example.
pub fn client<Req: Payload, Resp: Payload>(
    broker: &impl Connected,
    queue: impl Into<Queue>,
) -> TypedClient<Req, Resp> {
    TypedClient::new(Client::new(broker, Target::queue(queue)))
}
