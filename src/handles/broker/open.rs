//! The engine of a broker, by a URL.

use super::Broker;
use crate::model::error::{Error, Result};

impl Broker {
    /// Opens a broker by a URL. So one variable decides where a program runs.
    ///
    /// - The empty text and `leveret://memory`: a new broker in this process, as
    ///   [`Broker::new`] makes it.
    /// - `amqp://user:password@host:port/vhost`: a RabbitMQ, with the feature `rabbitmq`. All parts
    ///   behind the host are optional. `amqps://` is the same with TLS. Several URLs with `;`
    ///   between them are servers to be tried in turn, and the first one has the virtual host. Two
    ///   parameters of a URL are known: `heartbeat` in seconds, and `connection_timeout` in
    ///   milliseconds. `Broker::rabbitmq` has more settings.
    ///
    /// What a RabbitMQ cannot do fails with [`Error::NotImplemented`] when it is asked for. [The
    /// page on RabbitMQ](crate::guide::rabbitmq) has the list.
    ///
    /// # Blocking
    /// The call waits until RabbitMQ has accepted the connection or refused it.
    ///
    /// # Errors
    /// - [`Error::InvalidUrl`] for a text that is no such URL.
    /// - [`Error::ConnectFailed`] if no server can be reached within the time-out, which is ten
    ///   seconds for each.
    /// - [`Error::LoginRefused`] (403) for a wrong password.
    /// - [`Error::NotAllowed`] (530) for a virtual host that does not exist, or that the user has
    ///   no permissions in.
    /// - [`Error::NotImplemented`] for a RabbitMQ without the feature `rabbitmq`.
    ///
    /// # Examples
    /// ```
    /// use leveret::Broker;
    ///
    /// // Without the variable the program runs by itself.
    /// let broker = Broker::open(&std::env::var("EXAMPLE_BROKER_URL").unwrap_or_default())?;
    /// broker.producer::<u32>("q")?.publish(7)?;
    /// assert_eq!(*broker.consumer::<u32>("q")?.recv()?, 7);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn open(url: &str) -> Result<Broker> {
        match url.trim() {
            "" | "leveret://memory" | "leveret://memory/" => Ok(Broker::new()),
            url if url.starts_with("amqp://") || url.starts_with("amqps://") => open_rabbitmq(url),
            url => Err(Error::InvalidUrl {
                url: url.into(),
                fault: "it begins with none of `leveret://memory`, `amqp://` and `amqps://`".into(),
            }),
        }
    }
}

#[cfg(feature = "rabbitmq")]
fn open_rabbitmq(url: &str) -> Result<Broker> {
    Broker::rabbitmq(url).open()
}

#[cfg(not(feature = "rabbitmq"))]
fn open_rabbitmq(_: &str) -> Result<Broker> {
    Err(Error::not_implemented(
        "a RabbitMQ as the engine: the feature `rabbitmq` is off",
    ))
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn a_url_of_another_kind_is_refused() {
        assert!(Broker::open("leveret://memory").is_ok());
        for url in ["http://localhost", "leveret://disk", "amqp"] {
            assert!(
                matches!(Broker::open(url), Err(Error::InvalidUrl { .. })),
                "{url}"
            );
        }
    }
}
