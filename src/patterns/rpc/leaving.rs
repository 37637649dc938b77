//! A request that leaves the process, as a program outside sees it.

use std::sync::Arc;

use super::{any_call::AnyCall, request::Wanted};
use crate::{
    message::{
        payload::{Departed, Exit, ReplyAddress, ReplyTaker},
        properties::Properties,
    },
    model::{
        error::{CodecError, Result},
        version::Version,
    },
};

/// The header with the namespace of a request.
pub(super) const NAMESPACE: &str = "x-rpc-namespace";
/// The header with the version that a request needs.
pub(super) const VERSION: &str = "x-rpc-version";
/// The header of a request that has more than one reply, with the value [`MANY`].
pub(super) const REPLIES: &str = "x-rpc-replies";
pub(super) const MANY: &str = "many";
/// The beginning of the names of all these headers. The others are the request context.
pub(super) const OWN: &str = "x-rpc-";

/// The longest time that AMQP can tell, in milliseconds.
const LONGEST: u128 = u32::MAX as u128;

/// The message of a request, and the address for its replies. `given` are the properties that it
/// was published with. Runs user code.
///
/// # Errors
/// [`Error::Codec`](crate::Error::Codec) if the arguments cannot be encoded, or a server has them;
/// those of [`Exit::reply_address`].
pub(super) fn departed(
    call: &Arc<dyn AnyCall>,
    given: &Properties,
    exit: &dyn Exit,
) -> Result<(Departed, Option<Arc<dyn ReplyAddress>>)> {
    let head = call.head();
    let Some(octets) = call.show(&mut |_| false) else {
        return Err(CodecError::new("", "the arguments cannot be encoded").into());
    };
    let mut properties = given.clone();
    properties.content_type = octets.content_type().map(str::to_owned);
    properties.content_encoding = octets.content_encoding().map(str::to_owned);
    if !head.method.is_empty() {
        properties.message_type = Some(head.method.clone().into_owned());
    }
    for (name, value) in head.context.iter().flat_map(|context| context.iter()) {
        properties.headers_mut().insert(name, value.clone());
    }
    if let Some(namespace) = &head.namespace {
        let namespace: &str = namespace;
        properties.headers_mut().insert(NAMESPACE, namespace);
    }
    if head.version != Version::default() {
        let version = head.version.to_string();
        properties.headers_mut().insert(VERSION, version);
    }
    if let Some(deadline) = head.deadline {
        let left = deadline.saturating_duration_since(exit.now());
        // Rounded up: a server does not stop before its caller.
        let millis = left.as_nanos().div_ceil(1_000_000).min(LONGEST);
        properties.expiration = Some(millis.to_string());
    }
    if head.replies == Wanted::Many {
        properties.headers_mut().insert(REPLIES, MANY);
    }
    let mut replies = None;
    if head.replies != Wanted::None {
        let caller: Arc<dyn ReplyTaker> = Arc::<dyn AnyCall>::clone(call);
        let address = exit.reply_address(Arc::downgrade(&caller))?;
        properties.reply_to = Some(address.name().to_string());
        properties.correlation_id = Some(address.key().to_owned());
        replies = Some(address);
    }
    let departed = Departed {
        properties,
        body: octets.octets().clone(),
        deadline: head.deadline,
    };
    Ok((departed, replies))
}
