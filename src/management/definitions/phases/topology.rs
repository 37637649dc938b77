//! Budgets, exchanges, policies, parameters and queues of all kinds.

use std::collections::BTreeMap;

use super::{
    super::{
        place::Place,
        read::{
            AliasQueueItem, BudgetItem, Document, ExchangeItem, GlobalParameterItem,
            ModelQueueItem, ParameterItem, ParameterOf, PolicyItem, QueueItem,
        },
        report::RemarkKind,
    },
    Kind, Phases, Step,
};
use crate::{
    engine::{policy::PolicyKind, vhost::Added},
    model::{
        error::{DefinitionsError, Error, Precondition},
        name::Name,
    },
};

/// The names that begin so belong to the broker.
const RESERVED: &str = "amq.";

impl<'d> Phases<'_, '_, 'd> {
    pub(super) fn budget(&mut self, item: &'d BudgetItem, place: Place) -> Step {
        let other = self.other();
        let vhost = self.vhost_of(&item.vhost, place)?;
        let added = vhost.budget(&item.budget, other);
        let added = added.map_err(|error| place.refused(error))?;
        self.check_once(added, place)?;
        self.report.budgets += usize::from(added == Added::New);
        Ok(())
    }

    pub(super) fn exchange(&mut self, item: &'d ExchangeItem, place: Place) -> Step {
        let (other, is_strict) = (self.other(), self.is_strict());
        let vhost = self.vhost_of(&item.vhost, place)?;
        let name = item.exchange.name();
        let exists = vhost.has_exchange(name);
        if name.is_empty() || name.starts_with(RESERVED) && !(exists && is_strict) {
            let text = "the broker makes the exchanges of such names itself";
            if !exists {
                self.dropped.insert((&item.vhost, Kind::Exchange, name));
                self.remark(place, RemarkKind::Dropped, text);
            }
            return Ok(());
        }
        if let Some(foreign) = &item.foreign
            && !vhost.has_exchange_type(item.exchange.kind())
        {
            let added = vhost.keep("exchanges", name.to_owned(), foreign.clone());
            self.check_once(added, place)?;
            let text = format!(
                "there are no exchanges of the type {}",
                item.exchange.kind()
            );
            self.remark(place, RemarkKind::Kept, text);
            return Ok(());
        }
        let added = vhost.exchange(&item.exchange, other);
        let added = added.map_err(|error| place.refused(error))?;
        self.check_once(added, place)?;
        self.report.exchanges += usize::from(added == Added::New);
        Ok(())
    }

    pub(super) fn parameter(&mut self, item: &'d ParameterItem, place: Place) -> Step {
        let vhost = self.vhost_of(&item.vhost, place)?;
        let added = match &item.of {
            ParameterOf::OperatorPolicy(policy) => {
                let added = vhost.policy(policy.clone(), PolicyKind::Operator);
                let added = added.map_err(|error| place.refused(error))?;
                self.report.operator_policies += 1;
                added
            }
            ParameterOf::Limits(limits) => {
                vhost.limits(*limits);
                self.report.limits += 1;
                match self.limits.insert(&item.vhost) {
                    true => Added::New,
                    false => Added::Twice,
                }
            }
            ParameterOf::Feature(key, kept) => vhost.keep("parameters", key.clone(), kept.clone()),
        };
        self.check_once(added, place)
    }

    pub(super) fn global_parameter(&mut self, item: &'d GlobalParameterItem, place: Place) -> Step {
        let Some(value) = &item.value else {
            return Ok(());
        };
        let parameters = &mut self.plan.global_parameters;
        let added = match parameters.insert(item.name.clone(), value.clone()) {
            Some(_) => Added::Twice,
            None => Added::New,
        };
        self.check_once(added, place)?;
        self.report.global_parameters += 1;
        Ok(())
    }

    pub(super) fn policy(&mut self, item: &'d PolicyItem, place: Place) -> Step {
        let vhost = self.vhost_of(&item.vhost, place)?;
        let added = vhost.policy(item.policy.clone(), PolicyKind::User);
        let added = added.map_err(|error| place.refused(error))?;
        self.check_once(added, place)?;
        self.report.policies += 1;
        Ok(())
    }

    pub(super) fn queue(&mut self, item: &'d QueueItem, place: Place) -> Step {
        let (other, is_strict) = (self.other(), self.is_strict());
        let vhost = self.vhost_of(&item.vhost, place)?;
        let name = item.queue.name();
        if name.starts_with(RESERVED) {
            self.dropped.insert((&item.vhost, Kind::Queue, name));
            let text = "a queue with a name of the broker ends with the broker that named it";
            self.remark(place, RemarkKind::Dropped, text);
            return Ok(());
        }
        let added = match vhost.queue(&item.queue, other) {
            Err(error) if !is_strict && is_of_no_durable_type(&error) => {
                self.dropped.insert((&item.vhost, Kind::Queue, name));
                self.remark(place, RemarkKind::Dropped, error.to_string());
                return Ok(());
            }
            added => added.map_err(|error| place.refused(error))?,
        };
        self.check_once(added, place)?;
        self.report.queues += usize::from(added == Added::New);
        Ok(())
    }

    pub(super) fn alias_queue(&mut self, item: &'d AliasQueueItem, place: Place) -> Step {
        let other = self.other();
        let vhost = self.vhost_of(&item.vhost, place)?;
        let added = vhost.alias(&item.alias, other);
        let added = added.map_err(|error| place.refused(error))?;
        self.check_once(added, place)?;
        self.report.alias_queues += usize::from(added == Added::New);
        Ok(())
    }

    pub(super) fn model_queue(&mut self, item: &'d ModelQueueItem, place: Place) -> Step {
        let other = self.other();
        let vhost = self.vhost_of(&item.vhost, place)?;
        let added = vhost.model(&item.model, other);
        let added = added.map_err(|error| place.refused(error))?;
        self.check_once(added, place)?;
        self.report.model_queues += usize::from(added == Added::New);
        Ok(())
    }

    /// Checks that the virtual hosts may have as many queues more as there are in the file. Only
    /// limits from before the import count, as in RabbitMQ.
    pub(super) fn check_queue_limits(&mut self, document: &'d Document) -> Step {
        if self.refused.is_some() {
            return Ok(());
        }
        let mut new: BTreeMap<&Name, Vec<&str>> = BTreeMap::new();
        for item in document.queues.iter().flatten() {
            if !item.queue.name().starts_with(RESERVED) {
                new.entry(&item.vhost).or_default().push(item.queue.name());
            }
        }
        for (name, mut queues) in new {
            let Some(vhost) = self.plan.vhost(name) else {
                continue;
            };
            let (limit, existing) = (vhost.queue_limit(), vhost.existing_queues());
            let Some(limit) = limit.and_then(|limit| usize::try_from(limit).ok()) else {
                continue;
            };
            queues.retain(|queue| !vhost.has_queue(queue));
            if !queues.is_empty() && existing + queues.len() > limit {
                let reason = format!(
                    "Adding {} queue(s) to virtual host \"{name}\" would exceed the limit of \
                     {limit} queue(s). This virtual host currently has {existing} queue(s) defined.",
                    queues.len()
                );
                let error = DefinitionsError::new("$.queues", reason);
                match self.is_strict() {
                    true => return Err(error),
                    false => self.refused = Some(error),
                }
            }
        }
        Ok(())
    }
}

/// Whether a queue of a type that must be durable is not. RabbitMQ leaves it out.
fn is_of_no_durable_type(error: &Error) -> bool {
    let Error::PreconditionFailed(reason) = error else {
        return false;
    };
    matches!(
        **reason,
        Precondition::InvalidProperty {
            property: "non-durable",
            ..
        }
    )
}
