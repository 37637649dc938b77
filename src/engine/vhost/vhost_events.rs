//! The events of a virtual host itself: its metadata, its limits, its end.

use std::iter;

use super::{
    About, VirtualHost,
    topology_events::{exchange_created, named, of_default_exchange},
};
use crate::{
    engine::events::Actor,
    model::{
        access::{VhostLimits, VhostMetadata},
        broker_event::EventKind,
        field_value::{FieldTable, FieldValue},
        name::Name,
    },
    runtime::waiter::Wake,
};

impl VirtualHost {
    /// Tells an event whose name is that of the virtual host.
    #[must_use = "woken without a lock"]
    pub(crate) fn tell(
        &self,
        kind: EventKind,
        fill: impl FnOnce(FieldTable) -> FieldTable,
    ) -> Vec<Wake> {
        self.events().feeds().send(kind, Actor::Program, |fields| {
            fill(fields.with("name", self.name()))
        })
    }

    /// Tells an event with the metadata.
    #[must_use = "woken without a lock"]
    pub(crate) fn tell_metadata(&self, kind: EventKind) -> Vec<Wake> {
        let metadata = self.about().metadata;
        self.tell(kind, |fields| of_metadata(fields, &metadata))
    }

    /// Tells an event of each exchange, the default exchange first.
    #[must_use = "woken without a lock"]
    pub(crate) fn tell_exchanges(&self, kind: EventKind) -> Vec<Wake> {
        if !self.events().is_read() {
            return Vec::new();
        }
        let topology = self.topology.read();
        let mut exchanges: Vec<_> = topology.exchanges.iter().collect();
        exchanges.sort_by_key(|(name, _)| *name);
        let others = exchanges.into_iter().map(|(name, declared)| match kind {
            EventKind::ExchangeDeleted => named(name),
            _ => exchange_created(name, declared),
        });
        // The default exchange is none that is declared.
        let default = match kind {
            EventKind::ExchangeDeleted => named(&Name::empty()),
            _ => of_default_exchange(),
        };
        let all = iter::once(default).chain(others);
        all.flat_map(|fields| self.events().send(kind, Actor::Program, |_| fields))
            .collect()
    }

    /// Tells what has changed of the metadata and the limits.
    #[must_use = "woken without a lock"]
    pub(super) fn tell_about(&self, before: &About, after: &About) -> Vec<Wake> {
        let mut told = Vec::new();
        if before.metadata != after.metadata {
            told.extend(self.tell(EventKind::VhostUpdated, |fields| {
                of_metadata(fields, &after.metadata)
            }));
        }
        if before.limits != after.limits {
            let parameter = |fields: FieldTable| {
                fields
                    .with("component", "vhost-limits")
                    .with("name", "limits")
            };
            let events = self.events();
            let (of_parameter, kind) = match after.limits.is_empty() {
                true => (EventKind::ParameterCleared, EventKind::VhostLimitsCleared),
                false => (EventKind::ParameterSet, EventKind::VhostLimitsSet),
            };
            told.extend(events.send(of_parameter, Actor::Program, parameter));
            told.extend(events.send(kind, Actor::Program, |fields| {
                of_limits(fields.with("name", "limits"), after.limits)
            }));
        }
        told
    }
}

fn of_metadata(fields: FieldTable, metadata: &VhostMetadata) -> FieldTable {
    let tags: Vec<FieldValue> = metadata.tags.iter().map(FieldValue::from).collect();
    let queue_type = metadata.default_queue_type.as_deref().unwrap_or("classic");
    fields
        .with("description", &metadata.description)
        .with("tags", tags)
        .with("default_queue_type", queue_type)
}

fn of_limits(mut fields: FieldTable, limits: VhostLimits) -> FieldTable {
    for (name, limit) in [
        ("max-connections", limits.max_connections),
        ("max-queues", limits.max_queues),
    ] {
        if let Some(limit) = limit {
            fields.insert(name, limit);
        }
    }
    fields
}
