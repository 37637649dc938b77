//! [`RequestInfo`], a request as the key of a server sees it.

use std::{fmt, sync::Arc};

use super::{any_call::AnyCall, request::Request};
use crate::{
    message::payload::Payload,
    model::{field_value::FieldTable, version::Version},
};

/// Finds the key of a request, as a number. It is user code.
pub(super) type KeyOf = dyn Fn(&RequestInfo<'_>) -> u64 + Send + Sync;

/// A request as the key of a [server with an order](super::Server::ordered_by) sees it: before its
/// method is called.
pub struct RequestInfo<'a> {
    call: &'a Arc<dyn AnyCall>,
}

impl<'a> RequestInfo<'a> {
    pub(super) fn new(request: &'a Request) -> RequestInfo<'a> {
        RequestInfo {
            call: request.call(),
        }
    }

    /// The name of the method.
    pub fn method(&self) -> &str {
        &self.call.head().method
    }

    /// The namespace of the request, if it has one.
    pub fn namespace(&self) -> Option<&str> {
        self.call.head().namespace.as_deref()
    }

    /// The version that the request needs.
    pub fn version(&self) -> Version {
        self.call.head().version
    }

    /// The context of the request, as the client has set it by
    /// [`Client::context`](super::Client::context).
    pub fn request_context(&self) -> Option<&FieldTable> {
        self.call.head().context.as_deref()
    }

    /// Looks at the arguments, as an `A`. Arguments of another type are encoded and decoded for
    /// that, so it costs least with the type that the clients send.
    ///
    /// `None` if the arguments do not decode as an `A`, if the caller has gone, and within another
    /// look.
    ///
    /// [`Server::ordered_by`](super::Server::ordered_by) has an example.
    pub fn arguments<A: Payload, T>(&self, look: impl FnOnce(&A) -> T) -> Option<T> {
        let (mut look, mut looked) = (Some(look), None);
        let octets = self.call.show(&mut |arguments| {
            let arguments = arguments.downcast_ref::<A>();
            looked = arguments.and_then(|arguments| Some(look.take()?(arguments)));
            arguments.is_some()
        });
        match looked {
            None => octets?.decode::<A>().ok().as_ref().map(look?),
            looked => looked,
        }
    }
}

impl fmt::Debug for RequestInfo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RequestInfo")
            .field(self.call.head())
            .finish()
    }
}
