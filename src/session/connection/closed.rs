//! The end of a connection, for those who wait for it.

use std::{future::Future, sync::Arc, time::Duration};

use super::Connection;
use crate::{
    model::error::CancelReason,
    runtime::waiter::{self, Waiting},
    session::publisher::Caller,
};

impl Connection {
    /// Whether the connection is open, and its virtual host and its broker are there.
    ///
    /// # Examples
    /// ```
    /// use leveret::CancelReason;
    /// # use leveret::{Broker, Credentials};
    /// # let broker = Broker::new();
    /// let connection = broker.connect("/", Credentials::guest())?;
    /// assert!(connection.is_open() && connection.close_reason().is_none());
    /// connection.close()?;
    /// assert!(!connection.is_open());
    /// assert_eq!(connection.close_reason(), Some(CancelReason::ConnectionClosed));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn is_open(&self) -> bool {
        self.check_open().is_ok()
    }

    /// Why the connection was closed; `None` while it is open.
    ///
    /// [`is_open`](Self::is_open) has an example.
    pub fn close_reason(&self) -> Option<CancelReason> {
        self.gate().close_reason()
    }

    /// Waits until the connection is closed, and returns why: by [`close`](Self::close), with its
    /// virtual host, with its user, or with the broker.
    ///
    /// # RabbitMQ
    /// `connection.close` (AMQP 0-9-1) from the broker.
    ///
    /// # Examples
    /// ```
    /// use leveret::CancelReason;
    /// # use leveret::{Broker, Credentials};
    /// # use std::{thread, time::Duration};
    /// # let broker = Broker::new();
    /// broker.create_vhost("test")?;
    /// let connection = broker.connect("test", Credentials::guest())?;
    /// assert_eq!(connection.wait_closed_timeout(Duration::ZERO), None);
    /// let waiting = thread::spawn({
    ///     let connection = connection.clone();
    ///     move || connection.wait_closed()
    /// });
    /// broker.delete_vhost("test")?;
    /// assert_eq!(waiting.join().unwrap(), CancelReason::VhostDeleted);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn wait_closed(&self) -> CancelReason {
        // Without a deadline the wait ends with the connection.
        let _ = waiter::wait(&self.gate().closing(), None);
        reason_of(self.close_reason())
    }

    /// The same as [`wait_closed`](Self::wait_closed), with a wait of at most `timeout` by the
    /// broker's clock. `None` if the connection is open then.
    pub fn wait_closed_timeout(&self, timeout: Duration) -> Option<CancelReason> {
        let deadline = self.time().deadline(timeout);
        waiter::wait(&self.gate().closing(), deadline)?;
        Some(reason_of(self.close_reason()))
    }

    /// The same as [`wait_closed`](Self::wait_closed), as a future for any runtime. It does not
    /// keep the connection open.
    ///
    /// # Cancel safety
    /// A future that is dropped before it is ready has no effect.
    ///
    /// # Examples
    /// ```
    /// use leveret::CancelReason;
    /// # use leveret::{Broker, Credentials};
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// # let broker = Broker::new();
    /// let connection = broker.connect("/", Credentials::guest())?;
    /// let mut closed = pin!(connection.closed());
    /// let mut context = Context::from_waker(Waker::noop()); // a runtime does this
    /// assert!(closed.as_mut().poll(&mut context).is_pending());
    /// drop(connection);
    /// let reason = Poll::Ready(CancelReason::ConnectionClosed);
    /// assert_eq!(closed.poll(&mut context), reason);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn closed(&self) -> impl Future<Output = CancelReason> + Send + use<> {
        let gate = Arc::clone(self.gate());
        async move {
            Waiting::new(gate.closing()).await;
            reason_of(gate.close_reason())
        }
    }
}

/// The reason is set before the end of a connection is to be seen.
fn reason_of(reason: Option<CancelReason>) -> CancelReason {
    reason.unwrap_or(CancelReason::ConnectionClosed)
}
