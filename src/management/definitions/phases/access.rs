//! Users, virtual hosts and permissions.

use super::{
    super::{
        options::RabbitMqVersion,
        place::Place,
        read::{PermissionItem, TopicPermissionItem, UserItem, VhostItem},
    },
    Phases, Step,
};
use crate::{
    engine::vhost::Added,
    model::{
        access::VhostMetadata,
        error::{DefinitionsError, EntityKind, Error},
        name::Name,
    },
};

impl<'d> Phases<'_, '_, 'd> {
    pub(super) fn user(&mut self, item: &'d UserItem, place: Place) -> Step {
        let added = self.plan.add_user(item.user.clone());
        let added = added.map_err(|error| place.refused(error))?;
        match added {
            Added::Twice if self.is_like(RabbitMqVersion::V4_3) => {
                return Err(place.error("name", "user_already_exists"));
            }
            added => self.check_once(added, place)?,
        }
        self.report.users += 1;
        Ok(())
    }

    pub(super) fn vhost(&mut self, item: &'d VhostItem, place: Place) -> Step {
        let is_twice = !self.vhosts.insert(&item.name);
        if is_twice {
            self.check_once(Added::Twice, place)?;
        }
        let is_new = self.plan.create_vhost(&item.name);
        self.report.vhosts += usize::from(is_new);
        let metadata = match &item.metadata {
            Some(metadata) => metadata.clone(),
            // RabbitMQ resets what the file does not say.
            None if !self.is_strict() && !is_twice => VhostMetadata::new(),
            None => return Ok(()),
        };
        if is_twice && self.is_like(RabbitMqVersion::V3_10) {
            return Ok(());
        }
        let vhost = self.vhost_of(&item.name, place)?;
        let set = vhost.metadata(metadata);
        set.map_err(|error| {
            let mut error = place.refused(error);
            error.path.push_str(".metadata.default_queue_type");
            error
        })
    }

    pub(super) fn permission(&mut self, item: &'d PermissionItem, place: Place) -> Step {
        self.check_user(&item.user, place)?;
        let vhost = self.vhost_of(&item.vhost, place)?;
        let added = vhost.permissions(&item.user, &item.permissions);
        let added = added.map_err(|error| {
            let patterns = [
                ("configure", &item.permissions.configure),
                ("write", &item.permissions.write),
                ("read", &item.permissions.read),
            ];
            of_pattern(place, error, &patterns)
        })?;
        self.check_once(added, place)?;
        self.report.permissions += 1;
        Ok(())
    }

    pub(super) fn topic_permission(&mut self, item: &'d TopicPermissionItem, place: Place) -> Step {
        self.check_user(&item.user, place)?;
        let any_exchange = self.is_like(RabbitMqVersion::V3_10);
        let vhost = self.vhost_of(&item.vhost, place)?;
        let exchange = &item.permissions.exchange;
        if !any_exchange && !exchange.is_empty() && !vhost.has_exchange(exchange) {
            if vhost.keeps("exchanges", exchange) {
                // There are no topics in an exchange that is only kept.
                let key = serde_json::json!([item.user, exchange]).to_string();
                let kept = serde_json::json!({
                    "user": item.user, "exchange": exchange,
                    "write": item.permissions.write, "read": item.permissions.read,
                });
                vhost.keep("topic_permissions", key, kept);
                let text = "its exchange is only kept, too";
                self.remark(place, super::RemarkKind::Kept, text);
                return Ok(());
            }
            return Err(place.error("exchange", format!("no_such_exchange: '{exchange}'")));
        }
        let added = vhost.topic_permissions(&item.user, &item.permissions);
        let added = added.map_err(|error| {
            let patterns = [
                ("write", &item.permissions.write),
                ("read", &item.permissions.read),
            ];
            of_pattern(place, error, &patterns)
        })?;
        self.check_once(added, place)?;
        self.report.topic_permissions += 1;
        Ok(())
    }

    fn check_user(&mut self, user: &Name, place: Place) -> Step {
        match self.plan.has_user(user) {
            true => Ok(()),
            false => {
                let mut error =
                    place.refused(Error::not_found(EntityKind::User, user, &Name::empty()));
                error.path.push_str(".user");
                Err(error)
            }
        }
    }
}

/// The error of a pattern that does not compile, at its field.
fn of_pattern(place: Place, error: Error, patterns: &[(&str, &String)]) -> DefinitionsError {
    let wrong = match &error {
        Error::InvalidPattern(wrong) => Some(wrong.pattern()),
        _ => None,
    };
    let mut patterns = patterns.iter();
    let field = patterns.find(|(_, pattern)| Some(pattern.as_str()) == wrong);
    let field = field.map(|(field, _)| (*field).to_owned());
    let mut refused = place.refused(error);
    if let Some(field) = field {
        refused.path.push('.');
        refused.path.push_str(&field);
    }
    refused
}
