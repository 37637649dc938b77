//! The messages of one type that were published to one target, and what a test says of them.

use std::{any, fmt, ops::Deref};

use super::{
    publish_record::{PublishRecord, Target},
    report::Report,
};
use crate::message::payload::Payload;

/// The messages that were published to one exchange with one routing key, in order.
/// [`TestBroker::published`](super::TestBroker::published) returns them.
///
/// It derefs to a slice. A failed assertion shows what was published instead, and points to the
/// nearest match.
///
/// # Examples
/// ```
/// use leveret::testing::TestBroker;
///
/// let test = TestBroker::new();
/// let producer = test.producer::<String>("names")?;
/// producer.publish("Ada".to_owned())?;
/// producer.publish("Grace".to_owned())?;
///
/// let names = test.published::<String>("", "names");
/// names.assert_count(2).assert_any(|name| **name == "Grace").assert_all(|name| name.len() > 2);
/// assert_eq!(*names[0], "Ada");
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Debug)]
pub struct PublishedMessages<T: Payload> {
    exchange: String,
    routing_key: String,
    messages: Vec<PublishedMessage<T>>,
    others: Report,
}

/// A message that was published. It derefs to its payload.
///
/// # Panics
/// The deref panics if the value is not recorded: that of a [`Local`](crate::Local), and one that
/// does not encode.
///
/// [`PublishedMessages`] has an example.
pub struct PublishedMessage<T: Payload> {
    record: PublishRecord,
    /// `None` if the record lends it, or has none.
    payload: Option<Box<T>>,
}

impl<T: Payload> PublishedMessages<T> {
    /// Selects messages among all publishes.
    pub(super) fn select(
        publishes: Vec<PublishRecord>,
        exchange: &str,
        routing_key: &str,
    ) -> PublishedMessages<T> {
        let mut messages = Vec::new();
        let mut others = Report::new(exchange, routing_key);
        for record in publishes {
            let is_there = **record.exchange() == *exchange && record.routing_key() == routing_key;
            if !is_there || !record.is_published() {
                others.add(record, None);
                continue;
            }
            match record.open::<T>() {
                Ok(payload) => messages.push(PublishedMessage { record, payload }),
                Err(error) => others.add(record, Some(error)),
            }
        }
        PublishedMessages {
            exchange: exchange.to_owned(),
            routing_key: routing_key.to_owned(),
            messages,
            others,
        }
    }

    /// Asserts the number of messages.
    ///
    /// # Panics
    /// If there are more or fewer.
    #[track_caller]
    pub fn assert_count(&self, count: usize) -> &PublishedMessages<T> {
        let found = self.messages.len();
        if found != count {
            let verb = if found == 1 { "is" } else { "are" };
            self.fail(format_args!(
                "expected {} {}, and there {verb} {found}",
                messages(count),
                self.target()
            ));
        }
        self
    }

    /// Asserts that one of the messages matches.
    ///
    /// # Panics
    /// If none does.
    #[track_caller]
    pub fn assert_any(
        &self,
        mut matches: impl FnMut(&PublishedMessage<T>) -> bool,
    ) -> &PublishedMessages<T> {
        if !self.messages.iter().any(&mut matches) {
            self.fail(format_args!("no message {} matches", self.target()));
        }
        self
    }

    /// Asserts that each message matches. It holds if there is no message.
    ///
    /// # Panics
    /// If one does not.
    #[track_caller]
    pub fn assert_all(
        &self,
        mut matches: impl FnMut(&PublishedMessage<T>) -> bool,
    ) -> &PublishedMessages<T> {
        if let Some(place) = self.messages.iter().position(|it| !matches(it)) {
            self.fail(format_args!(
                "message {} {} does not match",
                place + 1,
                self.target()
            ));
        }
        self
    }

    fn target(&self) -> String {
        let target = Target(&self.exchange, &self.routing_key);
        format!("of `{}` to {target}", any::type_name::<T>())
    }

    #[track_caller]
    fn fail(&self, reason: fmt::Arguments<'_>) -> ! {
        let found = self.messages.iter().map(|message| &message.record);
        panic!("{reason}\n{}", self.others.after(found));
    }
}

/// A number of messages, as text.
fn messages(count: usize) -> String {
    match count {
        0 => "no message".to_owned(),
        1 => "1 message".to_owned(),
        count => format!("{count} messages"),
    }
}

impl<T: Payload> Deref for PublishedMessages<T> {
    type Target = [PublishedMessage<T>];

    fn deref(&self) -> &[PublishedMessage<T>] {
        &self.messages
    }
}

impl<T: Payload> PublishedMessage<T> {
    /// The payload. `None` if its value is not recorded.
    pub fn payload(&self) -> Option<&T> {
        self.payload.as_deref().or_else(|| self.record.lent())
    }

    /// The target, the properties and the outcome.
    pub fn record(&self) -> &PublishRecord {
        &self.record
    }
}

impl<T: Payload> Deref for PublishedMessage<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self.payload() {
            Some(payload) => payload,
            None => panic!("the value of this message is not recorded: {}", self.record),
        }
    }
}

impl<T: Payload> fmt::Debug for PublishedMessage<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublishedMessage({})", self.record)
    }
}
