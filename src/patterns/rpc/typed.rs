//! [`TypedClient`], a client of one method.

use std::{fmt, marker::PhantomData, time::Duration};

use super::{Client, RpcError};
use crate::message::payload::Payload;

/// A client of a queue whose server has one method, with arguments `Req` and replies `Resp`.
/// [`rpc::client`](super::client()) makes it.
///
/// [`serve`](super::serve) has an example.
pub struct TypedClient<Req, Resp> {
    client: Client,
    types: PhantomData<fn(Req) -> Resp>,
}

/// The method of a server that has no other.
pub(super) const ONLY_METHOD: &str = "";

impl<Req: Payload, Resp: Payload> TypedClient<Req, Resp> {
    pub(super) fn new(client: Client) -> TypedClient<Req, Resp> {
        TypedClient {
            client,
            types: PhantomData,
        }
    }

    /// Sets the time-out of calls, as [`Client::timeout`] does.
    pub fn timeout(self, timeout: Duration) -> TypedClient<Req, Resp> {
        TypedClient::new(self.client.timeout(timeout))
    }

    /// The client, for its other settings.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Sends a request, and waits for its reply.
    ///
    /// # Errors
    /// Those of [`Client::call`].
    pub fn call(&self, request: Req) -> Result<Resp, RpcError> {
        self.client.call(ONLY_METHOD, request)
    }

    /// Same as [`call`](Self::call), with another time-out.
    ///
    /// # Errors
    /// Those of [`Client::call`].
    pub fn call_timeout(&self, request: Req, timeout: Duration) -> Result<Resp, RpcError> {
        self.client.call_timeout(ONLY_METHOD, request, timeout)
    }

    /// Same as [`call`](Self::call), for a task.
    ///
    /// # If dropped
    /// The caller gives up.
    ///
    /// # Errors
    /// Those of [`Client::call`].
    pub async fn call_async(&self, request: Req) -> Result<Resp, RpcError> {
        self.client.call_async(ONLY_METHOD, request).await
    }

    /// Sends a request, and waits for no reply.
    ///
    /// # Errors
    /// Those of [`Client::cast`].
    pub fn cast(&self, request: Req) -> Result<(), RpcError> {
        self.client.cast(ONLY_METHOD, request).map(drop)
    }
}

impl<Req, Resp> Clone for TypedClient<Req, Resp> {
    fn clone(&self) -> TypedClient<Req, Resp> {
        TypedClient {
            client: self.client.clone(),
            types: PhantomData,
        }
    }
}

impl<Req, Resp> fmt::Debug for TypedClient<Req, Resp> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.client, f)
    }
}
