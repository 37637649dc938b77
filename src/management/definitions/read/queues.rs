//! The section `queues`.

use super::{
    super::{fields::Fields, report::RemarkKind},
    Context,
    exchanges::{arguments, flag},
};
use crate::model::{
    descriptions::{Queue, names},
    error::DefinitionsError,
    field_value::FieldValue,
    name::Name,
};

pub(in super::super) struct QueueItem {
    pub(in super::super) vhost: Name,
    pub(in super::super) queue: Queue,
}

const KNOWN: [&str; 6] = [
    "name",
    "vhost",
    "type",
    "durable",
    "auto_delete",
    "arguments",
];

impl QueueItem {
    pub(super) fn read(
        item: &Fields<'_>,
        context: &mut Context<'_>,
    ) -> Result<QueueItem, DefinitionsError> {
        context.check_known(item, &KNOWN);
        let vhost = context.vhost(item)?;
        let name = item.name("name")?;
        context.check_text(item.path.key("name"), &name);
        if name.is_empty() && context.options().is_strict() {
            let reason = "it is empty, and a queue of the file needs a name";
            return Err(DefinitionsError::new(item.path.key("name"), reason));
        }
        let mut queue = Queue::new(name.as_str());
        if flag(item, "durable", true, context)? {
            queue = queue.durable();
        }
        if flag(item, "auto_delete", false, context)? {
            queue = queue.auto_delete();
        }
        queue = queue.arguments(arguments(item, context)?);
        let declared_type = queue.argument_table().get(names::QUEUE_TYPE);
        let declared_type = declared_type.and_then(FieldValue::as_str);
        if let Some(written) = item.optional_text("type")?
            && written != declared_type.unwrap_or("classic")
        {
            let text = "the argument x-queue-type says the type, as in RabbitMQ";
            context.remark(item.path.key("type"), RemarkKind::Ignored, text);
        }
        Ok(QueueItem { vhost, queue })
    }
}
