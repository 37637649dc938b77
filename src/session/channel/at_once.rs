//! The common way of a channel's message: its route is known and leads to one queue, which takes it
//! at once.
//!
//! Nothing is looked up and nothing is waited for here. Every other message goes through
//! [`outgoing`](super::outgoing).

use std::sync::Arc;

use super::{ChannelCore, ChannelState, PublishMode, PublishOptions, PublishOutcome};
use crate::{
    engine::vhost::{Published, REPLY_TO},
    message::{
        envelope::{Envelope, Meta},
        headers::cc_bcc,
        payload::Body,
        properties::Properties,
    },
    model::{bytes::Bytes, field_value::FieldTable},
    session::publisher::CachedRoute,
};

impl ChannelCore {
    /// Publishes a message, if that needs no checks and no wait.
    ///
    /// # Errors
    /// Gives the message back otherwise. Nothing has happened then.
    pub(crate) fn publish_at_once(
        self: &Arc<Self>,
        exchange: &str,
        routing_key: &str,
        body: Bytes,
        properties: Properties,
        options: PublishOptions,
    ) -> Result<PublishOutcome, (Bytes, Properties)> {
        let drain = self.vhost().drain();
        if options.immediate
            || !self.gate().is_plain()
            || drain.has_begun()
            || !is_plain(&properties)
        {
            return Err((body, properties));
        }
        let Some((route, confirms)) = self.route_at_once(exchange, routing_key) else {
            return Err((body, properties));
        };
        let queue = route.only_queue();
        let Some(queue) = queue.filter(|_| !route.keeps(|| properties.are_persistent())) else {
            return Err((body, properties));
        };
        let _on_its_way = drain.begin_watched_move();
        let has_priority = properties.given_priority().is_some();
        let meta = (!properties.is_absent()).then(|| {
            Arc::new(Meta {
                properties,
                ..Meta::default()
            })
        });
        let make = |(body, meta): (Bytes, Option<Arc<Meta>>), position| {
            route.tally.count_push();
            let body = match &meta {
                None => Body::untyped(body),
                Some(_) => Body::encoded(body),
            };
            Envelope::new(body, &route.address, meta).at(position)
        };
        let (size, message) = ((body.len() as u64, has_priority), (body, meta));
        if let Err((body, meta)) = self.vhost().try_enqueue(queue, size, message, make) {
            self.forget_route(&route);
            let meta = meta.map(Arc::unwrap_or_clone);
            return Err((body, meta.unwrap_or_default().properties));
        }
        let published = Published::to_one();
        let number = match confirms {
            true => self.confirm_at_once(),
            false => None,
        };
        Ok(PublishOutcome::of(published, number))
    }

    /// The route of a message that needs nothing else, and whether the message is confirmed. `None`
    /// if the channel is closed or in a transaction, or if the route is not known.
    fn route_at_once(&self, exchange: &str, key: &str) -> Option<(Arc<CachedRoute>, bool)> {
        let forgotten;
        let mut state = self.lock();
        let confirms = match &state.mode {
            _ if state.closed.is_some() => return None,
            PublishMode::Plain => false,
            PublishMode::Confirm(_) => true,
            PublishMode::Tx(_) => return None,
        };
        if let Some(last) = state.last_route(exchange, key) {
            return Some((Arc::clone(last), confirms));
        }
        let route = state.publishers.get(exchange)?.known_route(key)?;
        // It may be the last to hold a queue with its messages, and is dropped without the lock.
        forgotten = state.last_route.replace(Arc::clone(&route));
        drop(state);
        drop(forgotten);
        Some((route, confirms))
    }

    /// Forgets the route of the last publish: its queue may be deleted, and another may have its
    /// name. The default exchange has no epoch that would show that.
    #[cold]
    fn forget_route(&self, route: &Arc<CachedRoute>) {
        let is_it = |last: &mut Arc<CachedRoute>| Arc::ptr_eq(last, route);
        let forgotten = self.lock().last_route.take_if(is_it);
        drop(forgotten);
    }
}

impl ChannelState {
    /// The route of the last publish, if it is that of this key and current.
    #[inline]
    fn last_route(&self, exchange: &str, key: &str) -> Option<&Arc<CachedRoute>> {
        let last = self.last_route.as_ref();
        last.filter(|last| last.is_of(exchange, key) && last.is_current())
    }
}

/// Whether nothing in the properties has to be checked or changed, and a route by the key alone is
/// the message's.
#[inline]
fn is_plain(properties: &Properties) -> bool {
    match properties.asked() {
        Some(asked) => !asked.is_checked,
        None => properties.is_absent() || are_plain(properties),
    }
}

fn are_plain(properties: &Properties) -> bool {
    let headers = properties.headers.as_ref();
    properties.expiration.is_none()
        && properties.user_id.is_none()
        && properties.reply_to.as_deref() != Some(REPLY_TO)
        && !cc_bcc::is_selected_by_sender(headers)
        && headers.is_none_or(|headers| FieldTable::check_depth(headers).is_ok())
}
