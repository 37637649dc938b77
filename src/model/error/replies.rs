//! The constructors of errors: one for each situation, so that its text stands in one place.
//!
//! The constructors are in the order of their reply codes. The texts are RabbitMQ's if RabbitMQ
//! knows the situation.

use std::{fmt::Display, sync::Arc};

use super::{
    EntityKind, Error, Inequivalent, Permission, PermissionDenied, Precondition, Resource,
};
use crate::model::{
    field_value::{ErlangBinary, ErlangValue, FieldValue},
    name::Name,
};

impl Error {
    /// 312: a mandatory message reached no queue.
    pub(crate) fn no_route(exchange: &Name, routing_key: &str) -> Error {
        Error::NoRoute {
            exchange: exchange.clone(),
            routing_key: routing_key.into(),
        }
    }

    /// 320: the virtual host was deleted.
    pub(crate) fn vhost_deleted(vhost: &Name) -> Error {
        Error::VhostDeleted {
            vhost: vhost.clone(),
        }
    }

    /// 320: the user of the connection was deleted.
    pub(crate) fn user_deleted(user: &Name) -> Error {
        Error::UserDeleted { user: user.clone() }
    }

    /// 403: the user lacks a permission for the resource. `topic` is a refused routing key.
    pub(crate) fn permission_denied(
        user: &Name,
        permission: Permission,
        resource: Resource,
        topic: Option<Name>,
    ) -> Error {
        Error::PermissionDenied(Box::new(PermissionDenied {
            user: user.clone(),
            permission,
            resource,
            topic,
        }))
    }

    /// 403: a bind, unbind, declaration or deletion of the default exchange.
    pub(crate) fn default_exchange() -> Error {
        Error::AccessRefused("operation not permitted on the default exchange".into())
    }

    /// 403: the deletion of a predeclared exchange.
    pub(crate) fn system_exchange(name: &Name, vhost: &Name) -> Error {
        let resource = Resource::new(EntityKind::Exchange, name, vhost);
        access_refused(format_args!("deletion of system {resource} not allowed"))
    }

    /// 403: the creation of a thing whose name begins with `amq.`.
    pub(crate) fn reserved_prefix(entity: EntityKind, name: &Name) -> Error {
        access_refused(format_args!(
            "{entity} name '{name}' contains reserved prefix 'amq.*'"
        ))
    }

    /// 403: a publish to an internal exchange.
    pub(crate) fn internal_exchange(name: &Name, vhost: &Name) -> Error {
        let resource = Resource::new(EntityKind::Exchange, name, vhost);
        access_refused(format_args!("cannot publish to internal {resource}"))
    }

    /// 403: a consumer beside an exclusive consumer, or an exclusive consumer beside another
    /// consumer.
    pub(crate) fn exclusive_use(queue: &Name, vhost: &Name) -> Error {
        let resource = Resource::new(EntityKind::Queue, queue, vhost);
        access_refused(format_args!("{resource} in exclusive use"))
    }

    /// 403: a binding of an address of direct replies.
    pub(crate) fn volatile_binding() -> Error {
        access_refused("cannot bind or unbind to a volatile (direct reply-to) queue")
    }

    /// 404: the thing does not exist.
    pub(crate) fn not_found(entity: EntityKind, name: &Name, vhost: &Name) -> Error {
        Error::NotFound {
            entity,
            name: name.clone(),
            vhost: vhost.clone(),
        }
    }

    /// 405: an exclusive queue of another connection, or a redeclaration with another `exclusive`.
    pub(crate) fn resource_locked(queue: &Name, vhost: &Name) -> Error {
        Error::ResourceLocked {
            entity: EntityKind::Queue,
            name: queue.clone(),
            vhost: vhost.clone(),
        }
    }

    /// 406: a redeclaration differs in `field`. Both values are given for a property (`durable`,
    /// `type`). For an argument, the value of a side that lacks it is `None`.
    pub(crate) fn inequivalent(
        field: &str,
        entity: EntityKind,
        name: &Name,
        vhost: &Name,
        received: Option<FieldValue>,
        current: Option<FieldValue>,
    ) -> Error {
        Error::Inequivalent(Box::new(Inequivalent {
            field: field.to_owned(),
            entity,
            name: name.clone(),
            vhost: vhost.clone(),
            received,
            current,
        }))
    }

    /// 406: the deletion of a thing in use, if it had to be unused.
    pub(crate) fn in_use(entity: EntityKind, name: &Name, vhost: &Name) -> Error {
        Precondition::InUse(Resource::new(entity, name, vhost)).into()
    }

    /// 406: the deletion of a queue with messages, if it had to be empty.
    pub(crate) fn not_empty(queue: &Name, vhost: &Name) -> Error {
        Precondition::NotEmpty(Resource::new(EntityKind::Queue, queue, vhost)).into()
    }

    /// 406: an argument has a value that is not accepted. The reason names the accepted values.
    pub(crate) fn invalid_argument(
        argument: &str,
        entity: EntityKind,
        name: &Name,
        vhost: &Name,
        reason: impl Display,
    ) -> Error {
        Precondition::InvalidArgument {
            argument: argument.to_owned(),
            resource: Resource::new(entity, name, vhost),
            reason: reason.to_string(),
        }
        .into()
    }

    /// 406: `x-dead-letter-exchange` or `alternate-exchange` is not a string.
    pub(crate) fn invalid_argument_type(
        argument: &str,
        value: &FieldValue,
        entity: EntityKind,
        name: &Name,
        vhost: &Name,
    ) -> Error {
        Precondition::InvalidArgumentType {
            type_name: value.type_name(),
            argument: argument.to_owned(),
            resource: Resource::new(entity, name, vhost),
        }
        .into()
    }

    /// 406: a queue of this type does not take this argument.
    pub(crate) fn unsupported_argument(
        argument: &str,
        queue: &Name,
        vhost: &Name,
        queue_type: &str,
    ) -> Error {
        Precondition::UnsupportedArgument {
            argument: argument.to_owned(),
            resource: Resource::new(EntityKind::Queue, queue, vhost),
            queue_type: queue_type.to_owned(),
        }
        .into()
    }

    /// 406: a queue of this type cannot be `exclusive`, `auto-delete` or `non-durable`.
    pub(crate) fn invalid_property(property: &'static str, queue: &Name, vhost: &Name) -> Error {
        Precondition::InvalidProperty {
            property,
            resource: Resource::new(EntityKind::Queue, queue, vhost),
        }
        .into()
    }

    /// 406: a quorum queue without a name.
    pub(crate) fn server_named(queue_type: &'static str) -> Error {
        Precondition::ServerNamed { queue_type }.into()
    }

    /// 406: a type of exchange that the broker does not know.
    pub(crate) fn unknown_exchange_type(kind: &str) -> Error {
        Precondition::UnknownExchangeType(kind.to_owned()).into()
    }

    /// 406: a topic binding key with too many words that are `#`.
    pub(crate) fn too_many_hashes(routing_key: &str, hashes: usize, most: usize) -> Error {
        Precondition::InvalidBinding(format!(
            "Topic binding key '{routing_key}' uses {hashes} '#' wildcards, at most {most} are \
             allowed"
        ))
        .into()
    }

    /// 406: a binding with a key, for an exchange type that takes none.
    pub(crate) fn binding_with_key(routing_key: &str) -> Error {
        let text = format!("Non empty binding '{routing_key}' key not permitted");
        Precondition::InvalidBinding(text).into()
    }

    /// 406: a binding to an exchange, for an exchange type that takes queues only.
    pub(crate) fn binding_to_exchange() -> Error {
        Precondition::InvalidBinding("Destination not found".to_owned()).into()
    }

    /// 406: a binding to a queue of another type than the exchange type takes.
    pub(crate) fn binding_to_queue_type(queue_type: &str) -> Error {
        let text = format!("Queue type {queue_type} not valid for this exchange type");
        Precondition::InvalidBinding(text).into()
    }

    /// 406: an exchange of the type `x-delayed-message` whose `x-delayed-type` is missing or no
    /// text.
    pub(crate) fn no_delayed_type() -> Error {
        Precondition::DelayedType("'x-delayed-type' must be an existing exchange type").into()
    }

    /// 406: an exchange of the type `x-delayed-message` whose `x-delayed-type` is the same type.
    pub(crate) fn delayed_by_delayed() -> Error {
        Precondition::DelayedType("'x-delayed-message' can't be used for 'x-delayed-type'").into()
    }

    /// 406: a list of delayed messages of an exchange that is not of the type `x-delayed-message`.
    pub(crate) fn not_delayed(exchange: &Name, vhost: &Name) -> Error {
        Precondition::NotDelayed(Resource::new(EntityKind::Exchange, exchange, vhost)).into()
    }

    /// 406: messages are moved from a queue to itself.
    pub(crate) fn moved_to_itself(queue: &Name, vhost: &Name) -> Error {
        Precondition::MovedToItself(Resource::new(EntityKind::Queue, queue, vhost)).into()
    }

    /// 406: a headers binding whose `x-match` is not one of the four words.
    pub(crate) fn invalid_x_match(value: &FieldValue) -> Error {
        Precondition::InvalidBinding(match value {
            FieldValue::LongString(word) => format!(
                "Invalid x-match field value {}; expected all, any, all-with-x, or any-with-x",
                ErlangBinary(word.as_bytes())
            ),
            other => format!(
                "Invalid x-match field type {} (value {}); expected longstr",
                other.type_name(),
                ErlangValue(other)
            ),
        })
        .into()
    }

    /// 406: the settlement of a delivery that the channel does not have.
    pub(crate) fn unknown_delivery_tag(delivery_tag: u64) -> Error {
        Precondition::UnknownDeliveryTag(delivery_tag).into()
    }

    /// 406: `tx.select` in confirm mode.
    pub(crate) fn tx_in_confirm_mode() -> Error {
        Precondition::ChannelMode("cannot switch from confirm to tx mode").into()
    }

    /// 406: `confirm.select` in transaction mode.
    pub(crate) fn confirm_in_tx_mode() -> Error {
        Precondition::ChannelMode("cannot switch from tx to confirm mode").into()
    }

    /// 406: `tx.commit` or `tx.rollback` without `tx.select`.
    pub(crate) fn not_transactional() -> Error {
        Precondition::ChannelMode("channel is not transactional").into()
    }

    /// 406: a wait for confirms without `confirm.select`.
    pub(crate) fn not_confirming() -> Error {
        Precondition::ChannelMode("channel is not in confirm mode").into()
    }

    /// 406: a queue refused a message of the transaction.
    pub(crate) fn partial_commit() -> Error {
        Precondition::ChannelMode("partial tx completion").into()
    }

    /// 406: a request with direct reply-to before the channel consumes from
    /// `amq.rabbitmq.reply-to`.
    pub(crate) fn no_reply_consumer() -> Error {
        Precondition::DirectReplyTo("fast reply consumer does not exist").into()
    }

    /// 406: a consumer of `amq.rabbitmq.reply-to` with acknowledgements.
    pub(crate) fn reply_consumer_cannot_acknowledge() -> Error {
        Precondition::DirectReplyTo("reply consumer cannot acknowledge").into()
    }

    /// 406: a consumer of an address of direct replies.
    pub(crate) fn volatile_consumer(is_second: bool, address: &Name, vhost: &Name) -> Error {
        let why = match is_second {
            true => "multiple consumers are unsupported for",
            false => "only creator channel may consume from",
        };
        let queue = Resource::new(EntityKind::Queue, address, vhost);
        Precondition::ReplyAddress(why, queue).into()
    }

    /// 406: a second consumer of `amq.rabbitmq.reply-to` on the channel.
    pub(crate) fn reply_consumer_already_set() -> Error {
        Precondition::DirectReplyTo("reply consumer already set").into()
    }

    /// 406: an expiration that is not a number of milliseconds.
    pub(crate) fn invalid_expiration(value: &str, reason: impl Display) -> Error {
        Precondition::InvalidExpiration {
            value: value.to_owned(),
            reason: reason.to_string(),
        }
        .into()
    }

    /// 406: a `user_id` that is not the connection's user.
    pub(crate) fn user_id_mismatch(claimed: &str, actual: &Name) -> Error {
        Precondition::UserIdMismatch {
            claimed: claimed.to_owned(),
            actual: actual.clone(),
        }
        .into()
    }

    /// 406: an invalid property or header.
    pub(crate) fn invalid_message(reason: impl Display) -> Error {
        Precondition::InvalidMessage(reason.to_string()).into()
    }

    /// 406: `CC` or `BCC` is not an array.
    pub(crate) fn invalid_routing_header(header: &str, value: &FieldValue) -> Error {
        Error::invalid_message(format_args!(
            "{{unacceptable_type_in_header,\"{header}\",{}}}",
            value.type_name()
        ))
    }

    /// 406: a queue beyond the limit of the virtual host.
    pub(crate) fn queue_limit(name: &Name, vhost: &Name, limit: i64) -> Error {
        let (name, vhost) = (name.clone(), vhost.clone());
        Precondition::QueueLimit { name, vhost, limit }.into()
    }

    /// 406: a budget for the whole virtual host that comes after its first queue.
    pub(crate) fn late_budget(budget: &Name, vhost: &Name) -> Error {
        Precondition::LateBudget(Resource::new(EntityKind::Budget, budget, vhost)).into()
    }

    /// 506: the commit of a message to a queue that was deleted since the publish. RabbitMQ shows
    /// the error as Erlang prints it. It breaks a long line, which is not done here.
    pub(crate) fn commit_to_deleted(entity: EntityKind, name: &Name, vhost: &Name) -> Error {
        let binary = |name: &Name| ErlangBinary(name.as_bytes()).to_string();
        let (vhost, name) = (binary(vhost), binary(name));
        let resource = format!("{{resource,{vhost},{entity},{name}}}");
        Error::ResourceError(format!("failed to deliver message: {{not_found,{resource}}}").into())
    }

    /// 530: a consumer tag that is in use on the channel.
    pub(crate) fn consumer_tag_in_use(consumer_tag: &Name) -> Error {
        Error::NotAllowed(format!("attempt to reuse consumer tag '{consumer_tag}'").into())
    }

    /// 530: a connection to a virtual host in which the user has no permissions.
    pub(crate) fn vhost_refused(vhost: &Name, user: &Name) -> Error {
        Error::NotAllowed(format!("access to vhost '{vhost}' refused for user '{user}'").into())
    }

    /// 530: a connection to a virtual host that has as many as it may have.
    pub(crate) fn vhost_connection_limit(vhost: &Name, user: &Name, limit: i64) -> Error {
        let refused = format!("access to vhost '{vhost}' refused for user '{user}'");
        Error::NotAllowed(format!("{refused}: connection limit ({limit}) is reached").into())
    }

    /// 530: a connection of a user who has as many as are allowed.
    pub(crate) fn user_connection_limit(user: &Name, limit: i64) -> Error {
        let refused = format!("connection refused for user '{user}'");
        Error::NotAllowed(format!("{refused}: user connection limit ({limit}) is reached").into())
    }

    /// 530: a channel of a user who has as many as are allowed.
    pub(crate) fn user_channel_limit(user: &Name, limit: i64) -> Error {
        let opened = format!("number of channels opened for user '{user}'");
        let reached = format!("has reached the maximum allowed user limit of {limit}");
        Error::NotAllowed(format!("{opened} {reached}").into())
    }

    /// 403: a login with wrong credentials.
    pub(crate) fn login_refused(mechanism: impl Into<Arc<str>>) -> Error {
        Error::LoginRefused {
            mechanism: mechanism.into(),
        }
    }

    /// 406: a queue that lets its publishers wait, for a client that does not know it.
    pub(crate) fn invalid_overflow(name: &Name, vhost: &Name) -> Error {
        let reason = "invalid_overflow";
        Error::invalid_argument("x-overflow", EntityKind::Queue, name, vhost, reason)
    }

    /// 504: a channel with a number that is in use.
    pub(crate) fn channel_in_use() -> Error {
        Error::ChannelError("second 'channel.open' seen".into())
    }

    /// 504: a channel with the number of the connection itself.
    pub(crate) fn channel_zero() -> Error {
        Error::ChannelError("unexpected method in connection state running".into())
    }

    /// 530: a connection to a virtual host that does not exist.
    pub(crate) fn vhost_not_found(vhost: &Name) -> Error {
        Error::NotAllowed(format!("vhost {vhost} not found").into())
    }

    /// 540: a publish with `immediate`.
    pub(crate) fn immediate() -> Error {
        Error::NotImplemented("immediate=true".into())
    }

    /// 540: a prefetch in bytes.
    pub(crate) fn prefetch_size(size: u32) -> Error {
        Error::NotImplemented(format!("prefetch_size!=0 ({size})").into())
    }

    /// 540: `basic.recover` without `requeue`.
    pub(crate) fn recover_without_requeue() -> Error {
        Error::NotImplemented("requeue=false".into())
    }

    /// 540: the deletion of a quorum queue with a condition: `if-unused` or `if-empty`.
    pub(crate) fn conditional_delete(condition: &str, queue: &Name, vhost: &Name) -> Error {
        let resource = Resource::new(EntityKind::Queue, queue, vhost);
        Error::not_implemented(format_args!(
            "cannot delete {resource}. queue.delete operations with {condition} flag set are not \
             supported by quorum queues"
        ))
    }

    /// 540: a consumer of a quorum queue on a channel whose consumers share a limit.
    pub(crate) fn global_qos(queue: &Name, vhost: &Name) -> Error {
        let resource = Resource::new(EntityKind::Queue, queue, vhost);
        Error::not_implemented(format_args!("{resource} does not support global qos"))
    }

    /// 540: a get from an address of direct replies.
    pub(crate) fn volatile_get(address: &Name, vhost: &Name) -> Error {
        let queue = Resource::new(EntityKind::Queue, address, vhost);
        Error::NotImplemented(format!("basic.get not supported by volatile {queue}").into())
    }

    /// 540: what an engine outside of this process does not offer.
    pub(crate) fn not_embedded(what: &str) -> Error {
        Error::not_implemented(format_args!("{what} at an engine outside of this process"))
    }

    /// 540: any other feature of AMQP or RabbitMQ that the broker does not have.
    pub(crate) fn not_implemented(what: impl Display) -> Error {
        Error::NotImplemented(what.to_string().into())
    }

    /// 541: a queue with the argument `x-queue-master-locator`. RabbitMQ cuts its text there.
    pub(crate) fn queue_master_locator() -> Error {
        Error::InternalError(
            "Feature `queue_master_locator` is deprecated.\nBy default, this feature is not \
             permitted anymore.\nThe feature will be removed from a future major RabbitMQ version, \
             regardless of the configuration; actual version to be determined.\nTo con..."
                .into(),
        )
    }
}

fn access_refused(text: impl Display) -> Error {
    Error::AccessRefused(text.to_string().into())
}

impl From<Precondition> for Error {
    fn from(precondition: Precondition) -> Error {
        Error::PreconditionFailed(Box::new(precondition))
    }
}
