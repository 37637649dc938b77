//! The events of a connection: its start and end, and those of its channels.

use super::ConnectionCore;
use crate::{engine::events::Actor, model::broker_event::EventKind, runtime::waiter::Wake};

impl ConnectionCore {
    /// Tells that the connection was opened.
    #[must_use = "woken without a lock"]
    pub(in crate::session) fn tell_created(&self) -> Vec<Wake> {
        let about = self.about();
        let Some(mechanism) = &about.mechanism else {
            // The virtual host's own connection is none of RabbitMQ.
            return Vec::new();
        };
        let (gate, options) = (self.gate(), &about.options);
        let by = Actor::User(gate.user());
        let events = gate.vhost().events();
        events.send(EventKind::ConnectionCreated, by, |fields| {
            fields
                .with("pid", number(gate.connection()))
                .with("user", gate.user())
                .with("name", &options.name)
                .with("type", "direct")
                .with("protocol", &options.protocol)
                .with("auth_mechanism", &**mechanism)
                .with("client_properties", options.client_properties.clone())
        })
    }

    /// Tells that the connection has ended.
    pub(super) fn tell_closed(&self) {
        if self.about().is_implicit() {
            return;
        }
        let gate = self.gate();
        let events = gate.vhost().events();
        let told = events.send(EventKind::ConnectionClosed, Actor::Unknown, |fields| {
            fields
                .with("pid", number(gate.connection()))
                .with("name", &self.about().options.name)
        });
        told.into_iter().for_each(Wake::wake);
    }

    /// Tells that a channel was opened, or has ended.
    #[must_use = "woken without a lock"]
    pub(super) fn tell_channel(&self, kind: EventKind, channel: u16) -> Vec<Wake> {
        let gate = self.gate();
        let by = Actor::User(gate.user());
        gate.vhost().events().send(kind, by, |fields| {
            fields
                .with("connection", number(gate.connection()))
                .with("number", i32::from(channel))
                .with("name", format!("{} ({channel})", self.about().options.name))
                .with("user", gate.user())
        })
    }
}

fn number(connection: u64) -> i64 {
    connection.try_into().unwrap_or(i64::MAX)
}
