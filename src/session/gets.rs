//! The origins of gets, here and at an engine outside of this process.

use std::sync::{Arc, OnceLock, Weak};

use super::{
    backend::Backend, holding::Holders, remote_origin::RemoteOrigin, unacked::DeliveryOrigin,
};
use crate::{
    engine::{queue::QueueCore, vhost::VirtualHost},
    model::name::Name,
};

impl DeliveryOrigin {
    /// That of gets from a queue.
    pub(crate) fn gets(
        vhost: &Arc<VirtualHost>,
        queue: &Arc<QueueCore>,
        auto_ack: bool,
    ) -> Arc<DeliveryOrigin> {
        Arc::new(DeliveryOrigin {
            vhost: Arc::clone(vhost),
            queue: Arc::clone(queue),
            consumer: None,
            consumer_tag: Name::empty(),
            account: queue.account_of_deliveries().cloned(),
            auto_ack,
            remote: None,
            overdue: None,
            subscriber: Weak::new(),
            channel: None,
            first_exchange: OnceLock::new(),
            holders: Holders::new(auto_ack).of(queue),
        })
    }

    /// That of gets at an engine outside of this process. `queue` is its place here.
    pub(super) fn remote_gets(
        vhost: &Arc<VirtualHost>,
        queue: &Arc<QueueCore>,
        backend: &Arc<dyn Backend>,
    ) -> Arc<DeliveryOrigin> {
        Arc::new(DeliveryOrigin {
            vhost: Arc::clone(vhost),
            queue: Arc::clone(queue),
            consumer: None,
            consumer_tag: Name::empty(),
            account: None,
            auto_ack: false,
            remote: Some(Box::new(RemoteOrigin::of_gets(Arc::clone(backend)))),
            overdue: None,
            subscriber: Weak::new(),
            channel: None,
            first_exchange: OnceLock::new(),
            holders: Holders::new(false).of(queue),
        })
    }
}
