//! The permissions of users in a virtual host. A change counts at once: it raises the epochs of all
//! routes, so that no producer publishes by what it was permitted before.

use std::sync::Arc;

use super::VirtualHost;
use crate::{
    engine::access::{Compiled, CompiledTopic, Grants},
    model::{
        access::{Permissions, TopicPermissions},
        error::{EntityKind, Error, Result},
        name::Name,
    },
    runtime::sync::atomic::Ordering::SeqCst,
};

impl VirtualHost {
    pub(crate) fn grants(&self) -> &Arc<Grants> {
        &self.grants
    }

    /// Sets the permissions of a user. Producers find out by [`end_routes`](Self::end_routes).
    pub(crate) fn set_permissions(
        &self,
        user: &Name,
        permissions: &Permissions,
        compiled: Compiled,
    ) {
        self.grants.set(user, Some(compiled));
        if let Some(storage) = self.storage() {
            storage.write_permissions(user, Some(permissions));
        }
    }

    /// `false` if the user had none. Producers find out by [`end_routes`](Self::end_routes).
    pub(crate) fn clear_permissions(&self, user: &Name) -> bool {
        let cleared = self.grants.set(user, None);
        if let Some(storage) = self.storage().filter(|_| cleared) {
            storage.write_permissions(user, None);
        }
        cleared
    }

    /// Sets topic permissions of a user. Producers find out by [`end_routes`](Self::end_routes).
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such exchange.
    pub(crate) fn set_topic_permissions(
        &self,
        user: &Name,
        exchange: &Name,
        permissions: &TopicPermissions,
        compiled: CompiledTopic,
    ) -> Result {
        // The exchange cannot go in between, and it takes its topic permissions along.
        let topology = self.topology.read();
        self.check_up()?;
        if !exchange.is_empty() && !topology.exchanges.contains_key(exchange) {
            return Err(Error::not_found(
                EntityKind::Exchange,
                exchange,
                self.name(),
            ));
        }
        self.grants.set_topic(user, exchange, compiled);
        if let Some(storage) = self.storage() {
            storage.write_topic_permissions(user, exchange, Some(permissions));
        }
        Ok(())
    }

    /// Clears topic permissions of a user, for one exchange or for all. `false` if there were none.
    /// Producers find out by [`end_routes`](Self::end_routes).
    pub(crate) fn clear_topic_permissions(&self, user: &Name, exchange: Option<&Name>) -> bool {
        let cleared = self.grants.clear_topics(user, exchange);
        if let Some(storage) = self.storage() {
            for exchange in &cleared {
                storage.write_topic_permissions(user, exchange, None);
            }
        }
        !cleared.is_empty()
    }

    /// Ends all routes that producers remember, so that each of them asks again what it may do.
    pub(crate) fn end_routes(&self) {
        let topology = self.topology.write();
        self.default_epoch.fetch_add(1, SeqCst);
        topology.touch_all();
    }

    /// Whether an exchange has the type `topic`. Only these ask for topic permissions.
    pub(crate) fn is_topic(&self, exchange: &Name) -> bool {
        let topology = self.topology.read();
        let exchange = topology.exchanges.get(exchange);
        exchange.is_some_and(|exchange| exchange.asks_for_topics())
    }
}
