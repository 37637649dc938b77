//! The policies of a connection's virtual host.

use super::Connection;
use crate::{
    engine::policy::{Policy, PolicyKind},
    model::error::Result,
};

#[cfg(doc)]
use crate::model::error::Error;

impl Connection {
    /// Sets a policy of the virtual host, or replaces the policy of the same name.
    ///
    /// A policy gives arguments to every queue and exchange whose name matches, now and later. It
    /// takes effect at once.
    ///
    /// # RabbitMQ
    /// `rabbitmqctl set_policy`.
    ///
    /// # Errors
    /// Nothing is changed in case of an error.
    ///
    /// - [`Error::PreconditionFailed`] for a pattern that is no regular expression, or for an
    ///   invalid definition.
    /// - [`Error::InvalidName`] for a name over 255 bytes.
    /// - [`Error::PermissionDenied`] for a user without the tag `policymaker` or `administrator`.
    /// - [`Error::ConnectionClosed`] or [`Error::ShutDown`].
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Policy, Queue};
    ///
    /// let broker = Broker::new();
    /// broker.vhost("/")?.set_policy(Policy::new("short", "^events").setting("max-length", 2))?;
    /// let events = Queue::new("events.login");
    /// let producer = broker.producer::<u32>(&events)?;
    /// for number in 0..5 {
    ///     producer.publish(number)?;
    /// }
    /// assert_eq!(broker.purge(&events)?, 2);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn set_policy(&self, policy: Policy) -> Result {
        self.gate().set_policy(policy, PolicyKind::User)
    }

    /// Same as [`set_policy`](Self::set_policy), as a future for any runtime. In a durable broker
    /// it does not block its thread until the policy is on disk.
    ///
    /// # Cancel safety
    /// The policy takes effect when the future is polled first. A future that is dropped later does
    /// not undo it.
    ///
    /// # Errors
    /// The errors of [`set_policy`](Self::set_policy).
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Policy};
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    ///
    /// let broker = Broker::new();
    /// let root = broker.vhost("/")?;
    /// let mut context = Context::from_waker(Waker::noop()); // a runtime does this
    /// let policy = Policy::new("short", "^events").setting("max-length", 2);
    /// let setting = pin!(root.set_policy_async(policy));
    /// assert_eq!(setting.poll(&mut context), Poll::Ready(Ok(())));
    /// let clearing = pin!(root.clear_policy_async("short"));
    /// assert_eq!(clearing.poll(&mut context), Poll::Ready(Ok(true)));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub async fn set_policy_async(&self, policy: Policy) -> Result {
        let gate = self.gate();
        gate.set_policy_async(policy, PolicyKind::User).await
    }

    /// Removes a policy; `false` if no policy has the name.
    ///
    /// # RabbitMQ
    /// `rabbitmqctl clear_policy`.
    ///
    /// # Errors
    /// [`Error::PermissionDenied`] as for [`set_policy`](Self::set_policy),
    /// [`Error::ConnectionClosed`] or [`Error::ShutDown`].
    ///
    /// # Examples
    /// ```
    /// use leveret::Policy;
    /// # use leveret::{Broker, Credentials};
    /// # let broker = Broker::new();
    /// # let connection = broker.connect("/", Credentials::guest())?;
    /// connection.set_policy(Policy::new("short", "^events").setting("max-length", 2))?;
    /// assert_eq!(connection.policies()[0].name, "short");
    /// assert!(connection.clear_policy("short")?);
    /// assert!(!connection.clear_policy("short")?);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn clear_policy(&self, name: &str) -> Result<bool> {
        self.gate().clear_policy(name, PolicyKind::User)
    }

    /// Same as [`clear_policy`](Self::clear_policy), as a future for any runtime.
    ///
    /// [`set_policy_async`](Self::set_policy_async) has an example.
    ///
    /// # Cancel safety
    /// As for [`set_policy_async`](Self::set_policy_async).
    ///
    /// # Errors
    /// The errors of [`clear_policy`](Self::clear_policy).
    pub async fn clear_policy_async(&self, name: &str) -> Result<bool> {
        let gate = self.gate();
        gate.clear_policy_async(name, PolicyKind::User).await
    }

    /// The policies, in the order in which they are matched. A user without a tag of management
    /// sees none.
    ///
    /// # RabbitMQ
    /// `rabbitmqctl list_policies`.
    ///
    /// [`clear_policy`](Self::clear_policy) has an example.
    pub fn policies(&self) -> Vec<Policy> {
        let policies = self.gate().policies(PolicyKind::User);
        policies.into_iter().map(|(policy, _)| policy).collect()
    }

    /// Sets an operator policy, as [`set_policy`](Self::set_policy) sets a policy of a user.
    ///
    /// Operator policies and policies of users are merged. If both give a number for the same
    /// setting, the lower number takes effect.
    ///
    /// # RabbitMQ
    /// `rabbitmqctl set_operator_policy`.
    ///
    /// # Errors
    /// The errors of [`set_policy`](Self::set_policy), but only the tag `administrator` permits it.
    ///
    /// # Examples
    /// ```
    /// use leveret::Policy;
    /// # use leveret::{Broker, Credentials};
    /// # let broker = Broker::new();
    /// # let connection = broker.connect("/", Credentials::guest())?;
    /// connection.set_policy(Policy::new("mine", "").setting("max-length", 100))?;
    /// connection.set_operator_policy(Policy::new("theirs", "").setting("max-length", 1))?;
    /// assert_eq!(connection.operator_policies().len(), 1);
    /// let queue = connection.simple_queue::<u32>("q")?;
    /// queue.put(7)?;
    /// queue.put(8)?;
    /// assert_eq!(queue.len()?, 1); // the lower number takes effect
    /// assert!(connection.clear_operator_policy("theirs")?);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn set_operator_policy(&self, policy: Policy) -> Result {
        self.gate().set_policy(policy, PolicyKind::Operator)
    }

    /// Same as [`set_operator_policy`](Self::set_operator_policy), as a future for any runtime.
    ///
    /// [`set_policy_async`](Self::set_policy_async) has an example.
    ///
    /// # Cancel safety
    /// As for [`set_policy_async`](Self::set_policy_async).
    ///
    /// # Errors
    /// The errors of [`set_operator_policy`](Self::set_operator_policy).
    pub async fn set_operator_policy_async(&self, policy: Policy) -> Result {
        let gate = self.gate();
        gate.set_policy_async(policy, PolicyKind::Operator).await
    }

    /// Removes an operator policy; `false` if no operator policy has the name.
    ///
    /// # RabbitMQ
    /// `rabbitmqctl clear_operator_policy`.
    ///
    /// # Errors
    /// The errors of [`clear_policy`](Self::clear_policy).
    ///
    /// [`set_operator_policy`](Self::set_operator_policy) has an example.
    pub fn clear_operator_policy(&self, name: &str) -> Result<bool> {
        self.gate().clear_policy(name, PolicyKind::Operator)
    }

    /// Same as [`clear_operator_policy`](Self::clear_operator_policy), as a future for any runtime.
    ///
    /// [`set_policy_async`](Self::set_policy_async) has an example.
    ///
    /// # Cancel safety
    /// As for [`set_policy_async`](Self::set_policy_async).
    ///
    /// # Errors
    /// The errors of [`clear_operator_policy`](Self::clear_operator_policy).
    pub async fn clear_operator_policy_async(&self, name: &str) -> Result<bool> {
        let gate = self.gate();
        gate.clear_policy_async(name, PolicyKind::Operator).await
    }

    /// The operator policies, in the order in which they are matched. A user without a tag of
    /// management sees none.
    ///
    /// # RabbitMQ
    /// `rabbitmqctl list_operator_policies`.
    ///
    /// [`set_operator_policy`](Self::set_operator_policy) has an example.
    pub fn operator_policies(&self) -> Vec<Policy> {
        let policies = self.gate().policies(PolicyKind::Operator);
        policies.into_iter().map(|(policy, _)| policy).collect()
    }
}
