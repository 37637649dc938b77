//! Direct reply-to: names that route a reply to a channel's consumer without a queue.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Weak},
};

use super::VirtualHost;
use crate::{
    message::envelope::Envelope,
    model::{error::Result, name::Name},
    runtime::sync::Mutex,
};

/// The name that a requester consumes from and sets as `reply_to`.
pub(crate) const REPLY_TO: &str = "amq.rabbitmq.reply-to";

/// Takes replies for a requester. Called without any lock held.
pub(crate) trait Requester: Send + Sync {
    fn reply(&self, envelope: Envelope);
}

/// The requesters that wait for replies, by generated name. A leaf lock.
#[derive(Default)]
pub(super) struct Replies {
    requesters: Mutex<HashMap<Name, Weak<dyn Requester>>>,
}

impl VirtualHost {
    /// Makes a name by which replies reach `requester`, until
    /// [`forget_requester`](Self::forget_requester).
    pub(crate) fn add_requester(&self, requester: Weak<dyn Requester>) -> Result<Name> {
        let name = Name::new(format!("{REPLY_TO}.{}", self.generate()))?;
        self.replies
            .requesters
            .lock()
            .insert(name.clone(), requester);
        Ok(name)
    }

    pub(crate) fn forget_requester(&self, name: &Name) {
        self.replies.requesters.lock().remove(name);
    }

    /// The requester that waits for replies under this name.
    pub(crate) fn requester(&self, name: &str) -> Option<Arc<dyn Requester>> {
        match name.starts_with(REPLY_TO) {
            true => self.replies.requesters.lock().get(name)?.upgrade(),
            false => None,
        }
    }
}

impl fmt::Debug for Replies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replies")
            .field("requesters", &self.requesters.lock().len())
            .finish()
    }
}
