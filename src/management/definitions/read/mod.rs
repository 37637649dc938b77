//! Reads the sections of a file into the things that they describe.
//!
//! A section is a list of objects, or the file does not fit as a whole. An item that does not fit
//! is read as the error that tells why, since RabbitMQ makes the items behind it.

mod alias_queues;
mod bindings;
mod budgets;
mod context;
mod doubts;
mod exchanges;
mod model_queues;
mod parameters;
mod permissions;
mod policies;
mod queues;
mod users;
mod vhosts;

pub(super) use self::{
    alias_queues::AliasQueueItem,
    bindings::BindingItem,
    budgets::BudgetItem,
    context::Context,
    exchanges::ExchangeItem,
    model_queues::ModelQueueItem,
    parameters::{GlobalParameterItem, ParameterItem, ParameterOf},
    permissions::{PermissionItem, TopicPermissionItem},
    policies::PolicyItem,
    queues::QueueItem,
    users::UserItem,
    vhosts::VhostItem,
};

use super::{
    fields::Fields,
    json::Json,
    options::{ImportOptions, RabbitMqVersion},
    path::Path,
    report::{Remark, RemarkKind},
};
use crate::model::error::DefinitionsError;

/// The items of one section, in the order of the file.
pub(super) type Section<T> = Vec<Result<T, DefinitionsError>>;

/// A file that has been read.
pub(super) struct Document {
    pub(super) users: Section<UserItem>,
    pub(super) vhosts: Section<VhostItem>,
    pub(super) permissions: Section<PermissionItem>,
    pub(super) topic_permissions: Section<TopicPermissionItem>,
    pub(super) parameters: Section<ParameterItem>,
    pub(super) global_parameters: Section<GlobalParameterItem>,
    pub(super) policies: Section<PolicyItem>,
    pub(super) budgets: Section<BudgetItem>,
    pub(super) exchanges: Section<ExchangeItem>,
    pub(super) queues: Section<QueueItem>,
    pub(super) alias_queues: Section<AliasQueueItem>,
    pub(super) model_queues: Section<ModelQueueItem>,
    pub(super) bindings: Section<BindingItem>,
    pub(super) remarks: Vec<Remark>,
    /// Whether an internal exchange may be missing, though its bindings are there.
    pub(super) hides_internal: bool,
}

/// The sections that an import into one virtual host leaves out.
const OF_CLUSTER: [&str; 5] = [
    "users",
    "vhosts",
    "permissions",
    "topic_permissions",
    "global_parameters",
];

/// The other sections.
const OF_VHOST: [&str; 8] = [
    "parameters",
    "policies",
    "budgets",
    "exchanges",
    "queues",
    "alias_queues",
    "model_queues",
    "bindings",
];

/// What a file says of itself.
const ABOUT: [&str; 8] = [
    "explanation",
    FORMAT,
    "original_cluster_name",
    "original_vhost_name",
    "product_name",
    "product_version",
    "rabbit_version",
    "rabbitmq_version",
];

/// The key by which a file in leveret's own form says so, with the number of the form.
pub(super) const FORMAT: &str = "leveret_definitions";

/// The number of the own form.
pub(super) const FORMAT_NUMBER: i64 = 1;

impl Document {
    /// # Errors
    /// The file does not fit as a whole.
    pub(super) fn read(
        file: &Json<'_>,
        options: &ImportOptions,
    ) -> Result<Document, DefinitionsError> {
        let fields = Fields::of(Path::Root, file)?;
        if let Some(twice) = fields.repeated().filter(|_| options.is_strict()) {
            return Err(DefinitionsError::new(
                Path::Root.key(twice),
                "it comes twice",
            ));
        }
        let mut context = Context::new(&fields, options)?;
        for name in fields.names() {
            let path = Path::Root.key(name);
            if OF_CLUSTER.contains(&name) && options.vhost.is_some() {
                let text = "the import goes into one virtual host";
                context.remark(path, RemarkKind::Ignored, text);
            } else if !ABOUT.contains(&name)
                && !OF_CLUSTER.contains(&name)
                && !OF_VHOST.contains(&name)
            {
                context.remark(
                    path,
                    RemarkKind::Ignored,
                    "no part of definitions has this name",
                );
            }
        }
        let of_cluster = |name: &'static str| (name, options.vhost.is_none());
        let of_vhost = |name: &'static str| (name, true);
        Ok(Document {
            users: read(&fields, of_cluster("users"), &mut context, UserItem::read)?,
            vhosts: read(&fields, of_cluster("vhosts"), &mut context, VhostItem::read)?,
            permissions: read(
                &fields,
                of_cluster("permissions"),
                &mut context,
                PermissionItem::read,
            )?,
            topic_permissions: read(
                &fields,
                of_cluster("topic_permissions"),
                &mut context,
                TopicPermissionItem::read,
            )?,
            parameters: read(
                &fields,
                of_vhost("parameters"),
                &mut context,
                ParameterItem::read,
            )?,
            global_parameters: read(
                &fields,
                of_cluster("global_parameters"),
                &mut context,
                GlobalParameterItem::read,
            )?,
            policies: read(
                &fields,
                of_vhost("policies"),
                &mut context,
                PolicyItem::read,
            )?,
            budgets: read(&fields, of_vhost("budgets"), &mut context, BudgetItem::read)?,
            exchanges: read(
                &fields,
                of_vhost("exchanges"),
                &mut context,
                ExchangeItem::read,
            )?,
            queues: read(&fields, of_vhost("queues"), &mut context, QueueItem::read)?,
            alias_queues: read(
                &fields,
                of_vhost("alias_queues"),
                &mut context,
                AliasQueueItem::read,
            )?,
            model_queues: read(
                &fields,
                of_vhost("model_queues"),
                &mut context,
                ModelQueueItem::read,
            )?,
            bindings: read(
                &fields,
                of_vhost("bindings"),
                &mut context,
                BindingItem::read,
            )?,
            hides_internal: context.hides_internal(),
            remarks: context.into_remarks(),
        })
    }
}

/// Reads a section, if it is wanted.
///
/// # Errors
/// The section is no list of objects. In an import like that of RabbitMQ, a queue has no name.
fn read<'a, T>(
    file: &Fields<'a>,
    (name, is_wanted): (&'static str, bool),
    context: &mut Context,
    item: impl Fn(&Fields<'_>, &mut Context) -> Result<T, DefinitionsError>,
) -> Result<Section<T>, DefinitionsError> {
    let items = match file.get(name).filter(|_| is_wanted) {
        None => return Ok(Vec::new()),
        Some(Json::Array(items)) => items,
        Some(other) => return Err(file.wrong(name, other, "a list of objects")),
    };
    let section = Path::Root.key(name);
    let mut read = Vec::with_capacity(items.len());
    for (index, json) in items.iter().enumerate() {
        let fields = Fields::of(section.index(index), json)?;
        if name == "queues" && !context.options().is_strict() {
            // RabbitMQ counts the queues of each virtual host before everything else.
            context.vhost(&fields)?;
            if context.options().like == Some(RabbitMqVersion::V4_3) {
                fields.name("name")?;
            }
        }
        let read_item = match fields.repeated().filter(|_| context.options().is_strict()) {
            Some(twice) => Err(DefinitionsError::new(
                fields.path.key(twice),
                "it comes twice",
            )),
            None => item(&fields, context),
        };
        match read_item {
            Err(error) if context.options().is_strict() => return Err(error),
            read_item => read.push(read_item),
        }
    }
    Ok(read)
}
