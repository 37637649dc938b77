//! Asking why a message would go where it goes.

use crate::{
    model::{
        descriptions::Exchange, error::Result, explanation::Explanation, field_value::FieldTable,
    },
    session::connection::Connection,
};

impl Connection {
    /// Explains where a message with this routing key and these headers would go if it were
    /// published to `exchange`, and why.
    ///
    /// The explanation has every exchange on the way with the bindings that lead the message on,
    /// those that do not, and the reasons. It follows bindings, bindings between exchanges,
    /// alternate exchanges, aliases, and the keys of the `CC` and `BCC` headers. For each queue it
    /// tells what the queue would do with the message now.
    ///
    /// The method publishes nothing and declares nothing. It uses only the name of the exchange.
    ///
    /// - A delayed exchange would keep a message with an `x-delay` header. The explanation ends
    ///   there. Without the header, it shows the route after the delay.
    /// - An internal exchange is allowed, although no message can be published to it.
    /// - A router that chooses by chance chooses anew for the next message.
    ///
    /// # RabbitMQ
    /// There is no counterpart. `rabbitmqctl list_bindings` lists the bindings only.
    ///
    /// # Errors
    /// - [`Error::NotFound`](crate::Error::NotFound) if the exchange does not exist.
    /// - [`Error::InvalidName`](crate::Error::InvalidName) if the routing key is over 255 bytes.
    /// - [`Error::InvalidTable`](crate::Error::InvalidTable) if the headers are nested too deep.
    /// - [`Error::PreconditionFailed`](crate::Error::PreconditionFailed) for a `CC` or `BCC` header
    ///   that is not an array.
    /// - [`Error::PermissionDenied`](crate::Error::PermissionDenied) for a user who may not publish
    ///   the message.
    /// - [`Error::ConnectionClosed`](crate::Error::ConnectionClosed)
    /// - [`Error::ShutDown`](crate::Error::ShutDown)
    ///
    /// # Examples
    /// ```
    /// use leveret::{Exchange, FieldTable, Queue};
    /// # let broker = leveret::Broker::new();
    /// let rest = Exchange::fanout("rest");
    /// let logs = Exchange::topic("logs").alternate("rest");
    /// broker.declare(&Queue::new("errors").bind(&logs, "*.error"))?;
    /// broker.declare(&Queue::new("other").bind(&rest, ""))?;
    ///
    /// let why = broker.explain(&logs, "disk.info", &FieldTable::new())?;
    /// assert_eq!(
    ///     why.to_string(),
    ///     r#"exchange "logs" (topic), routing key "disk.info"
    /// ├─ no binding matches, so to the alternate exchange "rest" (fanout)
    /// │  └─ every binding: queue "other" takes it
    /// └─ 1 binding does not match
    /// "#,
    /// );
    /// # Ok::<(), leveret::Error>(())
    /// ```
    ///
    /// [`Explanation`] has another example.
    pub fn explain(
        &self,
        exchange: &Exchange,
        routing_key: &str,
        headers: &FieldTable,
    ) -> Result<Explanation> {
        self.gate().explain(exchange.name(), routing_key, headers)
    }
}
