//! An import: reads a file, and makes what is in it.

use std::collections::BTreeSet;

use super::{
    json::Json, options::ImportOptions, phases::Phases, read::Document, report::ImportReport,
};
use crate::{
    handles::broker::Broker,
    model::{
        error::{EntityKind, Error, Result},
        name::Name,
    },
};

/// # Errors
/// [`Error::InvalidDefinitions`] for a file that does not fit, [`Error::NotFound`] if the virtual
/// host of the options does not exist, [`Error::ShutDown`], [`Error::Store`].
pub(super) fn import(
    broker: &Broker,
    file: &[u8],
    options: &ImportOptions,
) -> Result<ImportReport> {
    // RabbitMQ takes an empty file for an empty object.
    if file.is_empty() && !options.is_strict() {
        return Ok(ImportReport::default());
    }
    let mut document = Document::read(&Json::read(file)?, options)?;
    let listed = document.vhosts.iter().flatten();
    let listed: BTreeSet<Name> = listed.map(|item| item.name.clone()).collect();
    let mut named = named(&document);
    if let Some(vhost) = &options.vhost {
        let vhost = Name::new(vhost)?;
        if !broker.core().vhosts()?.contains(&vhost) {
            return Err(Error::not_found(EntityKind::VirtualHost, &vhost, &vhost));
        }
        named.insert(vhost);
    }
    let (mut report, refused) = broker.core().import(&named, &listed, |plan| {
        Phases::go_through(plan, &document, options).map_err(Error::from)
    })?;
    match refused {
        Some(error) => Err(error.into()),
        None => {
            let mut remarks = std::mem::take(&mut document.remarks);
            remarks.append(&mut report.remarks);
            report.remarks = remarks;
            Ok(report)
        }
    }
}

/// The virtual hosts that the items name.
fn named(document: &Document) -> BTreeSet<Name> {
    let mut named: Vec<&Name> = Vec::new();
    named.extend(
        document
            .permissions
            .iter()
            .flatten()
            .map(|item| &item.vhost),
    );
    let topics = document.topic_permissions.iter().flatten();
    named.extend(topics.map(|item| &item.vhost));
    named.extend(document.parameters.iter().flatten().map(|item| &item.vhost));
    named.extend(document.policies.iter().flatten().map(|item| &item.vhost));
    named.extend(document.budgets.iter().flatten().map(|item| &item.vhost));
    named.extend(document.exchanges.iter().flatten().map(|item| &item.vhost));
    named.extend(document.queues.iter().flatten().map(|item| &item.vhost));
    let aliases = document.alias_queues.iter().flatten();
    named.extend(aliases.map(|item| &item.vhost));
    let models = document.model_queues.iter().flatten();
    named.extend(models.map(|item| &item.vhost));
    named.extend(document.bindings.iter().flatten().map(|item| &item.vhost));
    named.dedup();
    named.into_iter().cloned().collect()
}
