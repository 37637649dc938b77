//! The headers that the broker shows with a message.

use std::sync::Arc;

use super::{Envelope, Meta, RoutingKey, address::Parts};
use crate::{message::properties::Properties, model::field_value::FieldValue};

impl Envelope {
    /// Adds the headers in which RabbitMQ's quorum queues show the counts of a redelivery. As
    /// there, a message that has only failed in earlier queues shows these failures in both.
    pub(crate) fn show_counts(&mut self) {
        let failed = self.delivery_count();
        let acquired = match self.acquired_count() {
            0 => failed,
            acquired => acquired,
        };
        if acquired > 0 {
            self.add_header("x-acquired-count", i64::from(acquired));
        }
        if failed > 0 {
            self.add_header("x-delivery-count", i64::from(failed));
        }
    }

    /// Adds the header in which RabbitMQ's streams show the offset. As there, a message without a
    /// delivery mode is transient.
    pub(crate) fn show_offset(&mut self) {
        let offset = i64::try_from(self.position()).unwrap_or(i64::MAX);
        self.change_meta(|meta| {
            let properties = &mut meta.properties;
            properties.headers_mut().insert("x-stream-offset", offset);
            properties
                .delivery_mode
                .get_or_insert(Properties::TRANSIENT);
        });
    }

    /// Adds a header to this copy of the message only. It allocates, and runs no user code.
    pub(crate) fn add_header(&mut self, name: &str, value: impl Into<FieldValue>) {
        self.change_meta(|meta| {
            meta.properties.headers_mut().insert(name, value);
            meta.is_annotated = true;
        });
    }

    /// Changes parts of this copy of the message only. It allocates, and runs no user code.
    pub(super) fn change_meta(&mut self, change: impl FnOnce(&mut Meta)) {
        if let Parts::Key(_) = self.parts {
            self.parts = Parts::Meta(Arc::new(self.to_meta()));
        }
        if let Parts::Meta(meta) = &mut self.parts {
            // Other messages may have the same parts.
            change(Arc::make_mut(meta));
        }
    }

    /// A copy of the parts besides the payload. Those of a plain message are made.
    pub(crate) fn to_meta(&self) -> Meta {
        match &self.parts {
            Parts::Meta(meta) => Meta::clone(meta),
            Parts::Key(key) => Meta {
                properties: self.properties().clone(),
                routing_key: RoutingKey::Short(*key),
                ..Meta::default()
            },
        }
    }
}
