//! One publish of a test broker, as it was recorded.

use std::{any, fmt, sync::Arc};

use crate::{
    engine::vhost::Published,
    message::{codec::Codecs, envelope::Envelope, payload::Payload, properties::Properties},
    model::{
        error::{CodecError, Result},
        name::Name,
    },
    session::{delivery::open_body, publisher::Attempt},
};

/// A publish of a [`TestBroker`](super::TestBroker): its message, and its outcome so far.
///
/// # Examples
/// ```
/// use leveret::{Error, testing::TestBroker};
///
/// let test = TestBroker::new();
/// test.producer::<u32>("jobs")?.publish(7)?;
/// test.delete(&leveret::Queue::new("jobs"))?;
///
/// let [publish] = &test.publishes()[..] else { panic!("there is one publish") };
/// assert_eq!((&**publish.exchange(), publish.routing_key()), ("", "jobs"));
/// assert_eq!(publish.payload_type(), Some("u32"));
/// assert!(publish.outcome().is_some_and(|outcome| outcome.is_ok()));
/// assert_eq!(
///     publish.to_string(),
///     "default exchange, routing key 'jobs', `u32` 7, to 1 queue"
/// );
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct PublishRecord {
    facts: Arc<PublishFacts>,
    outcome: Option<Result<Published>>,
}

/// The facts of a publish that are known when it begins.
#[derive(Debug)]
pub(super) struct PublishFacts {
    vhost: Name,
    exchange: Name,
    routing_key: String,
    properties: Properties,
    /// Empty if the publish has not passed its checks.
    type_name: &'static str,
    copy: Option<Envelope>,
}

impl PublishFacts {
    pub(super) fn new(attempt: Attempt<'_>) -> PublishFacts {
        PublishFacts {
            vhost: attempt.vhost.clone(),
            exchange: attempt.exchange.clone(),
            routing_key: attempt.routing_key.to_owned(),
            properties: attempt.properties,
            type_name: attempt.type_name,
            copy: attempt.copy,
        }
    }
}

impl PublishRecord {
    pub(super) fn new(
        facts: Arc<PublishFacts>,
        outcome: Option<Result<Published>>,
    ) -> PublishRecord {
        PublishRecord { facts, outcome }
    }

    pub(super) fn end(&mut self, outcome: Result<Published>) {
        self.outcome = Some(outcome);
    }

    /// The name of the virtual host.
    pub fn vhost(&self) -> &Name {
        &self.facts.vhost
    }

    /// The name of the exchange; empty for the default exchange.
    pub fn exchange(&self) -> &Name {
        &self.facts.exchange
    }

    /// The routing key. For the default exchange this is the name of a queue.
    pub fn routing_key(&self) -> &str {
        &self.facts.routing_key
    }

    /// The properties of the message.
    pub fn properties(&self) -> &Properties {
        &self.facts.properties
    }

    /// The name of the payload's type. `None` if the publish has failed before its message was
    /// made: its exchange does not exist, for example.
    ///
    /// A broker that [always encodes](crate::BrokerBuilder::always_encode) has the type of the
    /// encoded form here. So has a channel.
    pub fn payload_type(&self) -> Option<&'static str> {
        Some(self.facts.type_name).filter(|name| !name.is_empty())
    }

    /// The outcome of the publish. `None` if it has not ended: it may wait for room in a queue.
    pub fn outcome(&self) -> Option<&Result<Published>> {
        self.outcome.as_ref()
    }

    /// Whether the publish has succeeded.
    pub(super) fn is_published(&self) -> bool {
        matches!(self.outcome, Some(Ok(_)))
    }

    /// The payload, as a consumer of `T` would receive it. `None` if [`lent`](Self::lent) has it,
    /// or if it is a `T` whose value is not recorded.
    pub(super) fn open<T: Payload>(&self) -> Result<Option<Box<T>>, CodecError> {
        let facts = &*self.facts;
        let Some(copy) = &facts.copy else {
            return match facts.type_name == any::type_name::<T>() {
                true => Ok(None),
                false => Err(CodecError::new(
                    facts.type_name,
                    "the value cannot be recorded",
                )),
            };
        };
        let codecs = match copy.meta().and_then(|meta| meta.codec.clone()) {
            None => Codecs::default(),
            Some(codec) => Codecs::default().with_shared(codec),
        };
        open_body(copy, &codecs)
    }

    /// The payload, if it is recorded as a `T`.
    pub(super) fn lent<T: Payload>(&self) -> Option<&T> {
        self.facts.copy.as_ref()?.body().downcast_ref()
    }

    /// The payload as text, if it is text and not too long.
    fn preview(&self) -> Option<String> {
        let octets = self.facts.copy.as_ref()?.encode().ok()?;
        let text = std::str::from_utf8(&octets).ok()?;
        Some(match text.char_indices().nth(MOST_CHARACTERS) {
            None => text.to_owned(),
            Some((end, _)) => format!("{}…", &text[..end]),
        })
    }
}

/// The length of a payload in a text.
const MOST_CHARACTERS: usize = 60;

/// Shows the target, the payload and the outcome.
impl fmt::Display for PublishRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Target(self.exchange(), self.routing_key()))?;
        if let Some(name) = self.payload_type() {
            write!(f, ", `{name}`")?;
        }
        if let Some(payload) = self.preview() {
            write!(f, " {payload}")?;
        }
        match self.outcome() {
            None => f.write_str(", not ended"),
            Some(Ok(published)) => match published.routed + published.delayed {
                1 => f.write_str(", to 1 queue"),
                queues => write!(f, ", to {queues} queues"),
            },
            Some(Err(error)) => write!(f, ", failed: {error}"),
        }
    }
}

/// An exchange and a routing key, for texts.
pub(super) struct Target<'a>(pub(super) &'a str, pub(super) &'a str);

impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            "" => f.write_str("default exchange")?,
            exchange => write!(f, "exchange '{exchange}'")?,
        }
        write!(f, ", routing key '{}'", self.1)
    }
}
