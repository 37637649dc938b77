//! The types of exchanges, and the options of each.

use super::Exchange;
use crate::model::descriptions::{
    HashOn, count,
    names::{
        CONSISTENT_HASH, DELAYED_MESSAGE, DELAYED_TYPE, HASH_HEADER, HASH_PROPERTY, LOCAL_RANDOM,
        MODULUS_HASH, RANDOM, RECENT_HISTORY, RECENT_HISTORY_LENGTH,
    },
};

impl Exchange {
    /// Describes a direct exchange. A binding matches if the routing key equals its binding key.
    ///
    /// # RabbitMQ
    /// `exchange.declare` with the type `direct`.
    pub fn direct(name: impl Into<String>) -> Self {
        Self::new(name, "direct")
    }

    /// Describes a fanout exchange. Every binding matches every message.
    ///
    /// # RabbitMQ
    /// `exchange.declare` with the type `fanout`.
    pub fn fanout(name: impl Into<String>) -> Self {
        Self::new(name, "fanout")
    }

    /// Describes a topic exchange. Binding keys are patterns of words, where `*` is one word and
    /// `#` is any number of words.
    ///
    /// # RabbitMQ
    /// `exchange.declare` with the type `topic`.
    pub fn topic(name: impl Into<String>) -> Self {
        Self::new(name, "topic")
    }

    /// Describes a headers exchange. Bindings match by message headers.
    ///
    /// # RabbitMQ
    /// `exchange.declare` with the type `headers`.
    pub fn headers(name: impl Into<String>) -> Self {
        Self::new(name, "headers")
    }

    /// Describes an exchange that sends each message to one destination, chosen by a hash of its
    /// routing key. [`hash_on`](Exchange::hash_on) lets it hash something else.
    ///
    /// A binding key is a *weight*, a whole number from 1 to 4294967295: a destination with the
    /// weight 2 gets about twice as many messages as one with the weight 1.
    /// [`Binding::weighted`](crate::Binding::weighted) writes it. Any other key is refused with
    /// [`Error::PreconditionFailed`](crate::Error::PreconditionFailed) (406).
    ///
    /// The choice depends on the hash and on the order of the bindings. So equal keys go to the
    /// same destination, as long as the bindings stay. A new destination takes its share from all
    /// others. If one goes, the keys of those that were bound after it move as well.
    ///
    /// A destination counts once. A second binding to it has no effect, and the removal of either
    /// one ends its share. The keys in the headers `CC` and `BCC` have no effect.
    ///
    /// # RabbitMQ
    /// `exchange.declare` with the type `x-consistent-hash` of the plugin
    /// `rabbitmq_consistent_hash_exchange`. Every key goes to the same destination there. RabbitMQ
    /// has no limit of a weight but its memory.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Binding, Broker, Exchange, FieldTable, Queue};
    /// let broker = Broker::new();
    /// let orders = Exchange::consistent_hash("orders");
    /// for (queue, weight) in [("small", 1), ("large", 3)] {
    ///     broker.declare(&Queue::new(queue).binding(Binding::weighted(&orders, weight)))?;
    /// }
    /// let route = |key: &str| broker.route(&orders, key, &FieldTable::new());
    /// let keys: Vec<String> = (0..1000).map(|customer| format!("customer {customer}")).collect();
    /// let large = keys.iter().filter(|key| route(key).unwrap() == ["large"]).count();
    /// assert!((700..800).contains(&large));
    /// assert_eq!(route("customer 7")?, route("customer 7")?);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn consistent_hash(name: impl Into<String>) -> Self {
        Self::new(name, CONSISTENT_HASH)
    }

    /// Sets what a [consistent-hash exchange](Exchange::consistent_hash) hashes instead of the
    /// routing key. Exchanges of other types ignore it.
    ///
    /// # RabbitMQ
    /// The argument `hash-header` or `hash-property`.
    #[must_use]
    pub fn hash_on(mut self, part: HashOn) -> Self {
        for argument in [HASH_HEADER, HASH_PROPERTY] {
            self.arguments.remove(argument);
        }
        match part.argument() {
            Some((argument, value)) => self.argument(argument, value),
            None => self,
        }
    }

    /// Describes an exchange that sends each message to all of its destinations, and the last
    /// messages to each new one. It keeps 20 messages.
    /// [`history_length`](Exchange::history_length) sets another number. Binding keys have no
    /// effect.
    ///
    /// A new binding to a queue gets the kept messages at once, the oldest one first. A new binding
    /// to an exchange gets the newest one first, as in RabbitMQ. A second binding of a queue with
    /// another key gets them again, and so does a queue that is unbound and bound again. They have
    /// the exchange, the routing key and the properties that they were published with. Their time
    /// to live begins when they come to the queue.
    ///
    /// Every message that comes to the exchange is kept, also one that no binding takes, and one of
    /// a transaction that is rolled back.
    /// [`Message::keep_out_of_history`](crate::Message::keep_out_of_history) keeps a message out.
    /// A message is kept in memory until newer ones have taken its place, or the exchange is
    /// deleted. A broker with a folder (feature `durable`) keeps it over its end, also a transient
    /// one. A [`Local`](crate::Local) cannot be kept: its publish fails with
    /// [`Error::NotShareable`](crate::Error::NotShareable).
    ///
    /// # RabbitMQ
    /// `exchange.declare` with the type `x-recent-history` of the plugin
    /// `rabbitmq_recent_history_exchange`. A new binding to an exchange that leads a kept message
    /// nowhere closes the connection there (541). Here the message is dropped.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Exchange, Queue};
    /// let broker = Broker::new();
    /// let room = Exchange::recent_history("room").history_length(2);
    /// let speaker = broker.producer::<String>(&room)?;
    /// for line in ["first", "second", "third"] {
    ///     speaker.publish(line.to_owned())?;
    /// }
    /// let late = broker.simple_queue::<String>(&Queue::new("late").bind(&room, ""))?;
    /// assert_eq!([&*late.get()?, &*late.get()?], ["second", "third"]);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn recent_history(name: impl Into<String>) -> Self {
        Self::new(name, RECENT_HISTORY)
    }

    /// Sets how many messages an [exchange with a history](Exchange::recent_history) keeps. The
    /// declaration refuses 0. Exchanges of other types ignore it.
    ///
    /// # RabbitMQ
    /// The argument `x-recent-history-length`.
    #[must_use]
    pub fn history_length(self, messages: u64) -> Self {
        self.argument(RECENT_HISTORY_LENGTH, count(messages))
    }

    /// Describes an exchange that sends each message to one of its destinations, chosen by chance.
    /// Binding keys have no effect, and a destination with two bindings gets two shares.
    ///
    /// # RabbitMQ
    /// `exchange.declare` with the type `x-random` of the plugin `rabbitmq_random_exchange`.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Exchange, Queue};
    /// let broker = Broker::new();
    /// let exchange = Exchange::random("samples");
    /// for queue in ["a", "b"] {
    ///     broker.declare(&Queue::new(queue).bind(&exchange, "any key"))?;
    /// }
    /// let published = broker.producer::<u32>(&exchange)?.publish(7)?;
    /// assert_eq!(published.routed, 1);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn random(name: impl Into<String>) -> Self {
        Self::new(name, RANDOM)
    }

    /// Describes an exchange that sends each message to one of its queues, chosen by chance. It
    /// takes bindings with an empty key to classic queues only.
    ///
    /// # RabbitMQ
    /// `exchange.declare` with the type `x-local-random`, since RabbitMQ 4.0. RabbitMQ chooses
    /// among the queues of the publisher's node.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Exchange, Queue};
    /// let broker = Broker::new();
    /// let exchange = Exchange::local_random("work");
    /// for queue in ["a", "b"] {
    ///     broker.declare(&Queue::new(queue).bind(&exchange, ""))?;
    /// }
    /// let published = broker.producer::<u32>(&exchange)?.publish(7)?;
    /// assert_eq!(published.routed, 1);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn local_random(name: impl Into<String>) -> Self {
        Self::new(name, LOCAL_RANDOM)
    }

    /// Describes an exchange that spreads messages over its bindings by a hash of the routing key.
    /// Messages with the same key go to the same destination, as long as the bindings stay. Binding
    /// keys have no effect.
    ///
    /// # RabbitMQ
    /// `exchange.declare` with the type `x-modulus-hash`, since RabbitMQ 4.3. The hash is
    /// RabbitMQ's, so that a key goes to the same queue there.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Exchange, FieldTable, Queue};
    /// let broker = Broker::new();
    /// let exchange = Exchange::modulus_hash("orders");
    /// for queue in ["a", "b", "c"] {
    ///     broker.declare(&Queue::new(queue).bind(&exchange, ""))?;
    /// }
    /// let route = |key| broker.route(&exchange, key, &FieldTable::new());
    /// assert_eq!(route("customer 7")?, route("customer 7")?);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn modulus_hash(name: impl Into<String>) -> Self {
        Self::new(name, MODULUS_HASH)
    }

    /// Lets the exchange delay messages. Its type becomes `x-delayed-message`. Its previous type
    /// becomes the argument `x-delayed-type`, by which it routes.
    ///
    /// A message waits in the exchange if it has the header `x-delay`, a positive number of
    /// milliseconds. [`Message::delay`](crate::Message::delay) sets the header. All other messages
    /// are routed at once.
    ///
    /// A delayed message is routed when its time has come, by the bindings and the alternate
    /// exchange of that moment. Its header is then negated (`x-delay: -5000`), so that the next
    /// delayed exchange does not delay it again.
    ///
    /// The broker itself publishes the message then, so it does not wait. A full queue drops its
    /// head for it, also with [`Overflow::Block`](crate::Overflow::Block). With
    /// [`Overflow::RejectPublish`](crate::Overflow::RejectPublish) the queue refuses it, and it is
    /// lost. To lose no message, delay it in the queue with
    /// [`Message::deliver_after`](crate::Message::deliver_after).
    ///
    /// A waiting message counts as [`Published::delayed`](crate::Published::delayed), even if it is
    /// mandatory. If it is unroutable in the end, its publisher gets no notice. It then goes to the
    /// virtual host's dead-letter queue, if there is one. A [`Local`](crate::Local) that would
    /// reach several queues goes to the first one. When the exchange is deleted, its waiting
    /// messages are lost.
    ///
    /// # RabbitMQ
    /// The exchange type `x-delayed-message` of the plugin `rabbitmq_delayed_message_exchange`,
    /// with its argument `x-delayed-type` and its header `x-delay`.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Exchange, ManualClock, Message, Queue};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
    /// let broker = Broker::builder().clock(clock.clone()).build();
    /// let reminders = Exchange::topic("reminders").delayed();
    /// assert_eq!(reminders.kind(), "x-delayed-message");
    /// let kitchen = Queue::new("kitchen").bind(&reminders, "kitchen.#");
    /// let consumer = broker.consumer::<String>(&kitchen)?;
    /// let tea = Message::new("tea".to_owned()).routing_key("kitchen.pot");
    /// let tea = tea.delay(Duration::from_secs(240));
    /// let published = broker.producer::<String>(&reminders)?.publish_message(tea)?;
    /// assert_eq!((published.routed, published.delayed), (0, 1));
    /// clock.advance(Duration::from_secs(240));
    /// assert_eq!(*consumer.try_recv()?, "tea");
    /// # Ok::<(), leveret::Error>(())
    /// ```
    #[must_use]
    pub fn delayed(mut self) -> Self {
        if self.kind == DELAYED_MESSAGE {
            return self;
        }
        let kind = std::mem::replace(&mut self.kind, DELAYED_MESSAGE.to_owned());
        self.argument(DELAYED_TYPE, kind)
    }
}
