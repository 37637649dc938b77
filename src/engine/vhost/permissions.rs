//! The permissions of users in a virtual host. A change counts at once: it raises the epochs of all
//! routes, so that no producer publishes by what it was permitted before.

use std::sync::Arc;

use super::VirtualHost;
use crate::{
    engine::{
        access::{Compiled, CompiledTopic, Grants},
        events::Actor,
    },
    model::{
        access::{Permissions, TopicPermissions},
        broker_event::EventKind,
        error::{EntityKind, Error, Result},
        name::Name,
    },
    runtime::{sync::atomic::Ordering::SeqCst, waiter::Wake},
};

impl VirtualHost {
    pub(crate) fn grants(&self) -> &Arc<Grants> {
        &self.grants
    }

    /// Sets the permissions of a user. Producers find out by [`end_routes`](Self::end_routes).
    /// Returns the readers of events to be woken.
    pub(crate) fn set_permissions(
        &self,
        user: &Name,
        permissions: &Permissions,
        compiled: Compiled,
    ) -> Vec<Wake> {
        self.grants.set(user, Some(compiled));
        if let Some(storage) = self.storage() {
            storage.write_permissions(user, Some(permissions));
        }
        self.events()
            .send(EventKind::PermissionCreated, Actor::Program, |fields| {
                fields
                    .with("user", user)
                    .with("configure", &permissions.configure)
                    .with("write", &permissions.write)
                    .with("read", &permissions.read)
            })
    }

    /// `None` if the user had none. Producers find out by [`end_routes`](Self::end_routes). Returns
    /// the readers of events to be woken.
    pub(crate) fn clear_permissions(&self, user: &Name) -> Option<Vec<Wake>> {
        let cleared = self.grants.set(user, None);
        if let Some(storage) = self.storage().filter(|_| cleared) {
            storage.write_permissions(user, None);
        }
        match cleared {
            false => None,
            true => Some(self.events().send(
                EventKind::PermissionDeleted,
                Actor::Program,
                |fields| fields.with("user", user),
            )),
        }
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
    ) -> Result<Vec<Wake>> {
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
        let told = self.events().send(
            EventKind::TopicPermissionCreated,
            Actor::Program,
            |fields| {
                fields
                    .with("user", user)
                    .with("exchange", exchange)
                    .with("write", &permissions.write)
                    .with("read", &permissions.read)
            },
        );
        Ok(told)
    }

    /// Clears topic permissions of a user, for one exchange or for all. `None` if there were none.
    /// Producers find out by [`end_routes`](Self::end_routes). Returns the readers of events to be
    /// woken.
    pub(crate) fn clear_topic_permissions(
        &self,
        user: &Name,
        exchange: Option<&Name>,
    ) -> Option<Vec<Wake>> {
        let cleared = self.grants.clear_topics(user, exchange);
        if let Some(storage) = self.storage() {
            for exchange in &cleared {
                storage.write_topic_permissions(user, exchange, None);
            }
        }
        let deleted = cleared.iter().flat_map(|exchange| {
            self.events().send(
                EventKind::TopicPermissionDeleted,
                Actor::Program,
                |fields| fields.with("user", user).with("exchange", exchange),
            )
        });
        (!cleared.is_empty()).then(|| deleted.collect())
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
