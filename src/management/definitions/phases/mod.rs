//! The phases of an import, in RabbitMQ's order: each section is added to the plan of the import.

mod access;
mod bindings;
mod topology;

use hashbrown::HashSet;

use super::{
    options::{ImportOptions, RabbitMqVersion},
    place::Place,
    read::{BindingItem, Document, Section},
    report::{ImportReport, Remark, RemarkKind},
};
use crate::{
    engine::vhost::{Added, Other, VhostPlan},
    model::{
        error::{DefinitionsError, EntityKind, Error},
        name::Name,
    },
    session::broker_core::ImportPlan,
};

/// The checks of an import.
pub(super) struct Phases<'p, 'v, 'd> {
    plan: &'p mut ImportPlan<'v>,
    options: &'d ImportOptions,
    report: ImportReport,
    /// The first item that does not fit, in an import like that of RabbitMQ.
    refused: Option<DefinitionsError>,
    /// The virtual hosts so far.
    vhosts: HashSet<&'d Name>,
    /// The virtual hosts with limits so far.
    limits: HashSet<&'d Name>,
    /// The queues and exchanges of the file that are not made.
    dropped: HashSet<(&'d Name, Kind, &'d str)>,
    /// Exchanges that are destinations of bindings, if the file may have left out internal ones.
    may_be_internal: HashSet<(&'d Name, &'d str)>,
    /// The bindings so far.
    bindings: HashSet<(&'d Name, BindingKey<'d>)>,
}

type BindingKey<'d> = (
    &'d Name,
    &'d Name,
    bool,
    &'d Name,
    &'d crate::model::field_value::FieldTable,
);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Exchange,
    Queue,
}

/// How a phase goes on behind an item that does not fit, in an import like that of RabbitMQ.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Behind {
    /// The other items are made.
    GoesOn,
    /// It ends.
    Ends,
}

type Step = Result<(), DefinitionsError>;

impl<'p, 'v, 'd> Phases<'p, 'v, 'd> {
    /// Adds the contents of a file to a plan. Returns the report, and the first item that does not
    /// fit, if the items before it are made all the same.
    ///
    /// # Errors
    /// The first item that does not fit, in a strict import.
    pub(super) fn go_through(
        plan: &'p mut ImportPlan<'v>,
        document: &'d Document,
        options: &'d ImportOptions,
    ) -> Result<(ImportReport, Option<DefinitionsError>), DefinitionsError> {
        let mut phases = Phases {
            plan,
            options,
            report: ImportReport::default(),
            refused: None,
            vhosts: HashSet::new(),
            limits: HashSet::new(),
            dropped: HashSet::new(),
            may_be_internal: HashSet::new(),
            bindings: HashSet::new(),
        };
        if document.hides_internal {
            let bindings = document.bindings.iter().flatten();
            let to_exchanges = bindings.filter(|binding| !binding.to_queue);
            phases.may_be_internal = to_exchanges.map(internal).collect();
        }
        phases.bindings.reserve(document.bindings.len());
        phases.go_on(document)?;
        Ok((phases.report, phases.refused))
    }

    fn go_on(&mut self, document: &'d Document) -> Step {
        use Behind::{Ends, GoesOn};
        self.phase("users", &document.users, GoesOn, Self::user)?;
        self.phase("vhosts", &document.vhosts, GoesOn, Self::vhost)?;
        self.check_queue_limits(document)?;
        self.phase(
            "permissions",
            &document.permissions,
            GoesOn,
            Self::permission,
        )?;
        self.phase("budgets", &document.budgets, GoesOn, Self::budget)?;
        self.phase("exchanges", &document.exchanges, GoesOn, Self::exchange)?;
        let topics = &document.topic_permissions;
        self.phase("topic_permissions", topics, GoesOn, Self::topic_permission)?;
        self.phase("parameters", &document.parameters, Ends, Self::parameter)?;
        let global = &document.global_parameters;
        self.phase("global_parameters", global, Ends, Self::global_parameter)?;
        self.phase("policies", &document.policies, Ends, Self::policy)?;
        self.phase("queues", &document.queues, GoesOn, Self::queue)?;
        let aliases = &document.alias_queues;
        self.phase("alias_queues", aliases, GoesOn, Self::alias_queue)?;
        let models = &document.model_queues;
        self.phase("model_queues", models, GoesOn, Self::model_queue)?;
        self.phase("bindings", &document.bindings, GoesOn, Self::binding)
    }

    /// Adds the items of one section, unless an earlier phase has found one that does not fit.
    fn phase<T>(
        &mut self,
        section: &'static str,
        items: &'d Section<T>,
        behind: Behind,
        add: impl Fn(&mut Self, &'d T, Place) -> Step,
    ) -> Step {
        if self.refused.is_some() {
            return Ok(());
        }
        for (index, item) in items.iter().enumerate() {
            let added = match item {
                Ok(item) => add(self, item, Place { section, index }),
                Err(error) => Err(error.clone()),
            };
            match added {
                Ok(()) => {}
                Err(error) if self.options.is_strict() => return Err(error),
                Err(error) => {
                    self.refused.get_or_insert(error);
                    if behind == Behind::Ends {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    fn is_strict(&self) -> bool {
        self.options.is_strict()
    }

    fn is_like(&self, version: RabbitMqVersion) -> bool {
        self.options.like == Some(version)
    }

    /// What happens to queues and exchanges that exist with other properties.
    fn other(&self) -> Other {
        match self.is_strict() {
            true => Other::Refused,
            false => Other::Kept,
        }
    }

    fn remark(&mut self, place: Place, kind: RemarkKind, text: impl Into<String>) {
        let remark = Remark::new(place, kind, text);
        self.report.remarks.push(remark);
    }

    /// The plan of a virtual host.
    ///
    /// # Errors
    /// There is none of this name, neither in the broker nor in the file.
    fn vhost_of(
        &mut self,
        name: &Name,
        place: Place,
    ) -> Result<&mut VhostPlan<'v>, DefinitionsError> {
        self.plan.vhost(name).ok_or_else(|| {
            let error = Error::not_found(EntityKind::VirtualHost, name, name);
            let mut error = place.refused(error);
            error.path.push_str(".vhost");
            error
        })
    }

    /// # Errors
    /// The file has had it before, in a strict import.
    fn check_once(&self, added: Added, place: Place) -> Step {
        match added {
            Added::Twice if self.is_strict() => Err(place.error("name", "the file has it twice")),
            _ => Ok(()),
        }
    }
}

/// The destination of a binding, which may be an internal exchange.
fn internal(binding: &BindingItem) -> (&Name, &str) {
    (&binding.vhost, &binding.destination)
}
