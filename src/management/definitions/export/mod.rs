//! Exports: everything that can be declared in a broker, as JSON.

mod limits;
mod queue_kinds;
mod sections;
mod topology;
mod values;
mod writer;

pub use self::writer::{ExportOptions, Exported};

use serde_json::Value;

use self::{topology::VhostTopology, writer::Writer};
use crate::{
    handles::broker::Broker,
    model::{
        access::User,
        error::{DefinitionsError, EntityKind, Error, Result},
        name::Name,
    },
    session::broker_core::VhostDefinitions,
};

/// What a broker has.
struct Contents {
    users: Vec<User>,
    global_parameters: Vec<(Name, Value)>,
    vhosts: Vec<VhostContents>,
}

type VhostContents = VhostDefinitions<VhostTopology>;

/// Writes the definitions of a broker.
///
/// # Errors
/// [`Error::InvalidDefinitions`] for something that the version does not take,
/// [`Error::NotFound`], [`Error::ShutDown`].
pub(super) fn export(broker: &Broker, options: &ExportOptions) -> Result<Exported> {
    let contents = contents(broker, options)?;
    let mut writer = Writer::new(options);
    writer.users(&contents.users);
    writer.vhosts(&contents.vhosts);
    writer.permissions(&contents.vhosts);
    // Before the sections that name them.
    writer.topology(&contents.vhosts);
    writer.topic_permissions(&contents.vhosts);
    writer.parameters(&contents.vhosts);
    writer.global_parameters(&contents.global_parameters);
    writer.policies(&contents.vhosts);
    let exported = writer.finish();
    match exported.left_out.first() {
        Some(first) if !options.leaves_out() => {
            let more = match exported.left_out.len() - 1 {
                0 => String::new(),
                more => format!(", and {more} more"),
            };
            let reason = format!("{}{more}", first.text);
            Err(DefinitionsError::new(&first.path, reason).into())
        }
        _ => Ok(exported),
    }
}

fn contents(broker: &Broker, options: &ExportOptions) -> Result<Contents> {
    let core = broker.core();
    let only = options.vhost();
    let is_wanted = |name: &Name| only.is_none_or(|only| **name == *only);
    let vhosts = core.definitions(is_wanted, VhostTopology::of)?;
    if let (Some(vhost), true) = (only, vhosts.is_empty()) {
        let name = Name::new(vhost)?;
        return Err(Error::not_found(EntityKind::VirtualHost, &name, &name));
    }
    Ok(Contents {
        users: core.users()?,
        global_parameters: core.global_parameters().into_iter().collect(),
        vhosts,
    })
}
