//! The metadata and the limits of a virtual host.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::VirtualHost;
use crate::{
    model::{
        access::{VhostLimits, VhostMetadata},
        descriptions::{self, names},
        error::{Precondition, Result},
    },
    runtime::waiter::Wake,
};

/// The metadata and the limits of a virtual host. They are its record, if it is kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct About {
    #[serde(default)]
    pub(crate) metadata: VhostMetadata,
    #[serde(default)]
    pub(crate) limits: VhostLimits,
}

impl About {
    /// # Errors
    /// [`Error::PreconditionFailed`](crate::Error::PreconditionFailed) for a default queue type
    /// that is none.
    pub(super) fn check_metadata(metadata: &VhostMetadata) -> Result {
        match &metadata.default_queue_type {
            Some(queue_type) if !matches!(queue_type.as_str(), "classic" | "quorum" | "stream") => {
                Err(Precondition::InvalidQueueType(queue_type.clone()).into())
            }
            _ => Ok(()),
        }
    }

    /// The description with the type that the virtual host gives to queues without one. A queue
    /// that cannot be of this type is a classic queue, as in RabbitMQ.
    pub(super) fn with_default_type<'a>(
        &self,
        description: &'a descriptions::Queue,
    ) -> Cow<'a, descriptions::Queue> {
        let has_type = description.argument_table().contains_key(names::QUEUE_TYPE);
        let default = self.metadata.default_queue_type.as_deref();
        match default.filter(|_| !has_type && !description.is_passive()) {
            None => Cow::Borrowed(description),
            Some(default) => {
                let is_durable = description.is_durable() && !description.is_exclusive();
                let fits = is_durable && !description.is_auto_delete();
                let queue_type = if fits { default } else { "classic" };
                Cow::Owned(description.clone().argument(names::QUEUE_TYPE, queue_type))
            }
        }
    }
}

impl VirtualHost {
    pub(crate) fn about(&self) -> About {
        self.about.lock().clone()
    }

    /// Changes the metadata or the limits. Returns the readers of events to be woken.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`](crate::Error::PreconditionFailed) for a default queue type
    /// that is none. Nothing is changed then.
    pub(crate) fn change_about(&self, change: impl FnOnce(&mut About)) -> Result<Vec<Wake>> {
        self.check_up()?;
        let before = self.changes();
        let mut about = self.about.lock();
        let mut changed = about.clone();
        change(&mut changed);
        About::check_metadata(&changed.metadata)?;
        let told = self.tell_about(&about, &changed);
        *about = changed;
        if let Some(storage) = self.storage() {
            storage.write_vhost(Some(&about));
        }
        drop(about);
        self.sync_changes(before)?;
        Ok(told)
    }

    /// Replaces the metadata and the limits, which were checked. No one waits until it is on disk.
    pub(super) fn replace_about(&self, about: About) {
        if let Some(storage) = self.storage() {
            storage.write_vhost(Some(&about));
        }
        *self.about.lock() = about;
    }
}
