//! The metadata and the limits of virtual hosts.

use super::Broker;
use crate::model::{
    access::{VhostLimits, VhostMetadata},
    error::Result,
};

#[cfg(doc)]
use crate::model::error::Error;

impl Broker {
    /// Sets the limits of a virtual host. The old ones go. What exceeds the new ones stays.
    ///
    /// # RabbitMQ
    /// `rabbitmqctl set_vhost_limits`.
    ///
    /// # Errors
    /// - [`Error::NotFound`] if the virtual host does not exist.
    /// - [`Error::ShutDown`] after [`shutdown`](Self::shutdown).
    ///
    /// [`VhostLimits`] has an example.
    pub fn set_vhost_limits(&self, vhost: &str, limits: VhostLimits) -> Result {
        self.core()
            .change_about(vhost, |about| about.limits = limits)
    }

    /// The limits of a virtual host.
    ///
    /// # RabbitMQ
    /// `rabbitmqctl list_vhost_limits`.
    ///
    /// # Errors
    /// Those of [`set_vhost_limits`](Self::set_vhost_limits).
    ///
    /// # Examples
    /// ```
    /// use leveret::VhostLimits;
    /// # let broker = leveret::Broker::new();
    /// broker.set_vhost_limits("/", VhostLimits::new().max_connections(10))?;
    /// assert_eq!(broker.vhost_limits("/")?.max_connections, Some(10));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn vhost_limits(&self, vhost: &str) -> Result<VhostLimits> {
        Ok(self.core().about(vhost)?.limits)
    }

    /// Sets the metadata of a virtual host. The old ones go. The queues that it has keep their
    /// types.
    ///
    /// # RabbitMQ
    /// `rabbitmqctl update_vhost_metadata`.
    ///
    /// # Errors
    /// - [`Error::PreconditionFailed`] for a default queue type that is none.
    /// - [`Error::NotFound`] if the virtual host does not exist.
    /// - [`Error::ShutDown`] after [`shutdown`](Self::shutdown).
    ///
    /// [`VhostMetadata`] has an example.
    pub fn set_vhost_metadata(&self, vhost: &str, metadata: VhostMetadata) -> Result {
        self.core()
            .change_about(vhost, |about| about.metadata = metadata)
    }

    /// The metadata of a virtual host.
    ///
    /// # RabbitMQ
    /// `rabbitmqctl list_vhosts name description tags default_queue_type`.
    ///
    /// # Errors
    /// - [`Error::NotFound`] if the virtual host does not exist.
    /// - [`Error::ShutDown`] after [`shutdown`](Self::shutdown).
    ///
    /// [`VhostMetadata`] has an example.
    pub fn vhost_metadata(&self, vhost: &str) -> Result<VhostMetadata> {
        Ok(self.core().about(vhost)?.metadata)
    }
}
