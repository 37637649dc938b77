//! The events of a broker that are not those of a virtual host: users, logins, virtual hosts.

use super::BrokerCore;
use crate::{
    engine::{events::Actor, vhost::VirtualHost},
    model::{
        access::User,
        broker_event::{BrokerEvent, EventKind},
        field_value::{FieldTable, FieldValue},
        name::Name,
    },
    runtime::{feed::FeedLine, waiter::Wake},
};
use std::sync::Arc;

/// Wakes the readers of events. Must be called without any lock held.
pub(super) fn wake_all(told: Vec<Wake>) {
    told.into_iter().for_each(Wake::wake);
}

impl BrokerCore {
    /// Adds a reader of the events from now on, with room for `capacity` events.
    pub(crate) fn event_line(&self, capacity: usize) -> Arc<FeedLine<BrokerEvent>> {
        self.events.line(capacity)
    }

    /// Tells an event of the whole broker, which the program has caused. Returns the readers to be
    /// woken, without a lock.
    #[must_use = "woken without a lock"]
    pub(super) fn tell(
        &self,
        kind: EventKind,
        fill: impl FnOnce(FieldTable) -> FieldTable,
    ) -> Vec<Wake> {
        self.events.send(kind, Actor::Program, fill)
    }

    /// Tells how a user has changed.
    #[must_use = "woken without a lock"]
    pub(super) fn tell_user(&self, name: &Name, before: Option<&User>, user: &User) -> Vec<Wake> {
        let named = |fields: FieldTable| fields.with("name", name);
        let mut told = match before {
            None => self.tell(EventKind::UserCreated, named),
            Some(before) if before.hash() != user.hash() => {
                self.tell(EventKind::UserPasswordChanged, named)
            }
            Some(_) => Vec::new(),
        };
        let tags = before.map_or(&[][..], User::tag_list);
        if tags != user.tag_list() {
            let tags = user.tag_list().iter().map(FieldValue::from);
            let tags: Vec<FieldValue> = tags.collect();
            told.extend(self.tell(EventKind::UserTagsSet, |fields| {
                named(fields).with("tags", tags)
            }));
        }
        let limits = user.user_limits();
        if before.map(User::user_limits).unwrap_or_default() != limits {
            let kind = match limits.is_empty() {
                true => EventKind::UserLimitsCleared,
                false => EventKind::UserLimitsSet,
            };
            told.extend(self.tell(kind, |fields| {
                let fields = fields.with("name", "limits").with("username", name);
                let fields = with_limit(fields, "max-connections", limits.max_connections);
                with_limit(fields, "max-channels", limits.max_channels)
            }));
        }
        told
    }

    /// Tells of a login.
    pub(super) fn tell_login(&self, is_right: bool, name: &str, mechanism: &str) {
        let kind = match is_right {
            true => EventKind::UserAuthenticationSuccess,
            false => EventKind::UserAuthenticationFailure,
        };
        // Until it is right, no one knows who it is.
        wake_all(self.events.send(kind, Actor::Unknown, |fields| {
            fields.with("name", name).with("auth_mechanism", mechanism)
        }));
    }

    /// Tells of a parameter of the whole broker.
    #[must_use = "woken without a lock"]
    pub(super) fn tell_global_parameter(&self, kind: EventKind, name: &Name) -> Vec<Wake> {
        self.tell(kind, |fields| {
            fields.with("component", "global").with("name", name)
        })
    }
}

/// Tells that a virtual host was made, with its predeclared exchanges.
#[must_use = "woken without a lock"]
pub(super) fn tell_vhost(vhost: &VirtualHost) -> Vec<Wake> {
    let mut told = vhost.tell_exchanges(EventKind::ExchangeCreated);
    told.extend(vhost.tell_metadata(EventKind::VhostCreated));
    told
}

fn with_limit(fields: FieldTable, name: &str, limit: Option<i64>) -> FieldTable {
    match limit {
        Some(limit) => fields.with(name, limit),
        None => fields,
    }
}
