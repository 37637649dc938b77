//! The errors of alias queues and model queues, which RabbitMQ does not have.

use super::{EntityKind, Error, Precondition, Resource};
use crate::model::name::Name;

impl Error {
    /// 406: an alias queue or a model queue that does not exist. `kind` is its kind.
    pub(crate) fn no_such_kind(kind: &str, name: &Name, vhost: &Name) -> Error {
        let resource = Resource::new(EntityKind::Queue, name, vhost);
        Precondition::QueueKind(format!("{resource} is no {kind}")).into()
    }

    /// 406: a name that a queue of another kind has.
    pub(crate) fn name_is_of(kind: &str, name: &Name, vhost: &Name) -> Error {
        let resource = Resource::new(EntityKind::Queue, name, vhost);
        Precondition::QueueKind(format!("{resource} is {kind}")).into()
    }

    /// 406: an alias that would lead to itself.
    pub(crate) fn alias_cycle(name: &Name, vhost: &Name) -> Error {
        let resource = Resource::new(EntityKind::Queue, name, vhost);
        Precondition::QueueKind(format!("{resource} would be an alias of itself")).into()
    }

    /// 406: messages are taken from an alias of an exchange.
    pub(crate) fn alias_of_exchange(name: &Name, exchange: &Name, vhost: &Name) -> Error {
        let resource = Resource::new(EntityKind::Queue, name, vhost);
        let text =
            format!("{resource} is an alias of exchange '{exchange}', which has no messages");
        Precondition::QueueKind(text).into()
    }

    /// 406: an invalid name, target or pattern.
    pub(crate) fn invalid_queue_kind(reason: &str, name: &Name, vhost: &Name) -> Error {
        let resource = Resource::new(EntityKind::Queue, name, vhost);
        Precondition::QueueKind(format!("{resource} {reason}")).into()
    }
}
