//! The description of a model queue.

use serde::{Deserialize, Serialize};

use super::{Queue, entity_name, is_unset, read_entity_name};

/// Describes a *model queue*: a template of queues. It has no messages itself.
///
/// [`Connection::open_model_queue`](crate::Connection::open_model_queue) makes a *dynamic queue*
/// with the attributes of the template, and returns its description. Its name comes from the
/// [pattern](ModelQueue::pattern). A dynamic queue is temporary: it belongs to the connection that
/// has opened the model, and ends with it. [`permanent`](ModelQueue::permanent) lets it stay until
/// it is deleted.
///
/// A second declaration with the same properties does nothing. Another one fails with
/// [`Error::PreconditionFailed`](crate::Error::PreconditionFailed) (406), and so does a name that a
/// queue or an alias has, and a pattern that makes no valid name. The deletion of a model leaves
/// its dynamic queues.
///
/// # RabbitMQ
/// RabbitMQ has only queues that the server names. IBM MQ has model queues (`QMODEL`), whose
/// attribute `DEFTYPE` is `TEMPDYN` or `PERMDYN`. The pattern is the dynamic queue name of its
/// `MQOPEN`.
///
/// # Examples
/// ```
/// use leveret::{Broker, ModelQueue, Queue};
///
/// let broker = Broker::new();
/// let model = ModelQueue::new("reply.model", Queue::new("").max_length(100)).pattern("reply.*");
/// broker.declare(&model)?;
/// let replies = broker.open_model_queue("reply.model")?;
/// assert!(replies.name().starts_with("reply.") && replies.is_exclusive());
/// let queue = broker.simple_queue::<u32>(&replies)?;
/// broker.producer::<u32>(replies.name())?.publish(7)?;
/// assert_eq!(*queue.get()?, 7);
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelQueue {
    #[serde(deserialize_with = "read_entity_name")]
    name: String,
    template: Queue,
    #[serde(deserialize_with = "read_entity_name")]
    pattern: String,
    #[serde(default, skip_serializing_if = "is_unset")]
    permanent: bool,
}

impl ModelQueue {
    /// Describes a model. The name has 1 to 255 bytes. The dynamic queues have the arguments, the
    /// flags and the bindings of `template`, whose own name has no effect. Their names are the name
    /// of the model, a dot and 16 hexadecimal digits.
    ///
    /// # RabbitMQ
    /// RabbitMQ has no model queues.
    pub fn new(name: impl Into<String>, template: impl Into<Queue>) -> Self {
        let name = entity_name(name);
        Self {
            pattern: format!("{name}.*"),
            name,
            template: template.into(),
            permanent: false,
        }
    }

    /// Sets the pattern of the names. Its only `*` becomes 16 hexadecimal digits, which differ for
    /// each queue. The declaration refuses a pattern without `*` or with several of them, one that
    /// begins with `amq.`, and one that makes a name of more than 255 bytes.
    ///
    /// # RabbitMQ
    /// RabbitMQ has no model queues.
    #[must_use]
    pub fn pattern(mut self, pattern: impl Into<String>) -> Self {
        self.pattern = entity_name(pattern);
        self
    }

    /// Lets the dynamic queues stay until they are deleted. They are durable if the template is.
    ///
    /// # RabbitMQ
    /// RabbitMQ has no model queues.
    #[must_use]
    pub fn permanent(mut self) -> Self {
        self.permanent = true;
        self
    }

    /// The given name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The attributes of the dynamic queues.
    pub fn template(&self) -> &Queue {
        &self.template
    }

    /// The pattern of the names.
    pub fn name_pattern(&self) -> &str {
        &self.pattern
    }

    /// Whether the dynamic queues stay until they are deleted.
    pub fn is_permanent(&self) -> bool {
        self.permanent
    }

    /// Whether the queues of both have the same properties. The name of the template and its flags
    /// for queues that exist have no effect.
    pub(crate) fn is_equivalent(&self, other: &ModelQueue) -> bool {
        let are_same = self.name == other.name
            && self.pattern == other.pattern
            && self.permanent == other.permanent
            && self.template.is_exclusive() == other.template.is_exclusive();
        are_same && self.dynamic_queue("") == other.dynamic_queue("")
    }

    /// The dynamic queue that has `unique` in its name.
    pub(crate) fn dynamic_queue(&self, unique: &str) -> Queue {
        let template = &self.template;
        let name = self.pattern.replace('*', unique);
        let mut queue = Queue::new(name).arguments(template.argument_table().clone());
        if template.is_durable() {
            queue = queue.durable();
        }
        if template.is_auto_delete() {
            queue = queue.auto_delete();
        }
        if template.is_exclusive() || !self.permanent {
            queue = queue.exclusive_flag();
        }
        let bindings = template.bindings().iter().cloned();
        bindings.fold(queue, Queue::binding)
    }
}
