//! Bindings. Files hold more of them than there are ends for.

use serde_json::json;

use super::{
    super::{options::RabbitMqVersion, place::Place, read::BindingItem, report::RemarkKind},
    Kind, Phases, Step,
};
use crate::model::error::{EntityKind, Error};

/// What a missing end of a binding means.
enum Missing {
    /// The binding is left out, for this reason.
    Leave(&'static str),
    Refuse,
}

impl<'d> Phases<'_, '_, 'd> {
    pub(super) fn binding(&mut self, item: &'d BindingItem, place: Place) -> Step {
        let like_3_10 = self.is_like(RabbitMqVersion::V3_10);
        if like_3_10 && self.plan.vhost(&item.vhost).is_none() {
            self.remark(place, RemarkKind::Dropped, "there is no such virtual host");
            return Ok(());
        }
        if self.is_kept_end(item, place)? {
            return Ok(());
        }
        let ends = [
            (Kind::Exchange, &item.source, "source"),
            match item.to_queue {
                true => (Kind::Queue, &item.destination, "destination"),
                false => (Kind::Exchange, &item.destination, "destination"),
            },
        ];
        for (kind, name, field) in ends {
            let vhost = self.vhost_of(&item.vhost, place)?;
            let is_there = match kind {
                Kind::Exchange => name.is_empty() || vhost.has_exchange(name),
                Kind::Queue => vhost.has_destination(true, name),
            };
            if is_there {
                continue;
            }
            match self.missing(item, kind, name) {
                Missing::Leave(reason) => {
                    let text = format!("its {field} '{name}' is missing: {reason}");
                    self.remark(place, RemarkKind::Dropped, text);
                    return Ok(());
                }
                Missing::Refuse => {
                    let kind = match kind {
                        Kind::Exchange => EntityKind::Exchange,
                        Kind::Queue => EntityKind::Queue,
                    };
                    let error = Error::not_found(kind, name, &item.vhost);
                    let mut error = place.refused(error);
                    error.path.push('.');
                    error.path.push_str(field);
                    return Err(error);
                }
            }
        }
        let key = (
            &item.source,
            &item.destination,
            item.to_queue,
            &item.routing_key,
            &item.arguments,
        );
        if self.is_strict() && !self.bindings.insert((&item.vhost, key)) {
            return Err(place.error("routing_key", "the file has the binding twice"));
        }
        let vhost = self.vhost_of(&item.vhost, place)?;
        let bound = vhost.binding(
            &item.source,
            (item.to_queue, &item.destination),
            &item.routing_key,
            &item.arguments,
        );
        match bound {
            Ok(()) => self.report.bindings += 1,
            Err(error) if like_3_10 => {
                self.remark(place, RemarkKind::Dropped, error.to_string());
            }
            Err(error) => return Err(place.refused(error)),
        }
        Ok(())
    }

    /// Whether one of the ends belongs to a feature that is not here. Then the binding is kept.
    fn is_kept_end(
        &mut self,
        item: &'d BindingItem,
        place: Place,
    ) -> Result<bool, super::DefinitionsError> {
        let vhost = self.vhost_of(&item.vhost, place)?;
        let destinations = match item.to_queue {
            true => "queues",
            false => "exchanges",
        };
        // An earlier import may have kept an end that is here now.
        let is_kept = vhost.keeps("exchanges", &item.source) && !vhost.has_exchange(&item.source)
            || vhost.keeps(destinations, &item.destination)
                && !vhost.has_destination(item.to_queue, &item.destination);
        if !is_kept {
            return Ok(false);
        }
        let kept = json!({
            "source": item.source,
            "destination": item.destination,
            "destination_type": if item.to_queue { "queue" } else { "exchange" },
            "routing_key": item.routing_key,
            "arguments": item.arguments,
        });
        vhost.keep("bindings", kept.to_string(), kept);
        self.remark(place, RemarkKind::Kept, "one of its ends is only kept, too");
        Ok(true)
    }

    fn missing(&self, item: &'d BindingItem, kind: Kind, name: &'d str) -> Missing {
        if self.is_like(RabbitMqVersion::V3_10) {
            return Missing::Leave("RabbitMQ 3.10 leaves such bindings out");
        }
        if self.is_like(RabbitMqVersion::V4_3) {
            return Missing::Refuse;
        }
        if self.dropped.contains(&(&item.vhost, kind, name)) {
            return Missing::Leave("it was dropped");
        }
        if kind == Kind::Queue && name.starts_with("amq.gen-") {
            return Missing::Leave("the broker has named it");
        }
        let may_be_internal =
            kind == Kind::Exchange && self.may_be_internal.contains(&(&item.vhost, name));
        if may_be_internal {
            return Missing::Leave("an export leaves out internal exchanges");
        }
        match self.options.drops_dangling {
            true => Missing::Leave("it was to be dropped"),
            false => Missing::Refuse,
        }
    }
}
