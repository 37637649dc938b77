//! The section `vhosts`.

use super::{
    super::{fields::Fields, json::Json},
    Context,
};
use crate::model::{access::VhostMetadata, error::DefinitionsError, name::Name};

pub(in super::super) struct VhostItem {
    pub(in super::super) name: Name,
    /// `None` if the file does not say anything.
    pub(in super::super) metadata: Option<VhostMetadata>,
}

const KNOWN: [&str; 6] = [
    "name",
    "metadata",
    "description",
    "tags",
    "default_queue_type",
    // The parameters say them again, and RabbitMQ reads them there only.
    "limits",
];

impl VhostItem {
    pub(super) fn read(
        item: &Fields<'_>,
        context: &mut Context<'_>,
    ) -> Result<VhostItem, DefinitionsError> {
        context.check_known(item, &KNOWN);
        let name = item.name("name")?;
        context.check_text(item.path.key("name"), &name);
        let mut metadata = None;
        read_metadata(item, &mut metadata)?;
        match item.get("metadata") {
            None => {}
            Some(Json::Array(values)) if values.is_empty() => {}
            Some(json) => {
                let fields = Fields::of(item.path.key("metadata"), json)?;
                context.check_known(&fields, &["description", "tags", "default_queue_type"]);
                metadata.get_or_insert_default();
                read_metadata(&fields, &mut metadata)?;
            }
        }
        Ok(VhostItem { name, metadata })
    }
}

fn read_metadata(
    fields: &Fields<'_>,
    metadata: &mut Option<VhostMetadata>,
) -> Result<(), DefinitionsError> {
    if let Some(description) = fields.optional_text("description")? {
        metadata.get_or_insert_default().description = description.to_owned();
    }
    if let Some(tags) = fields.texts("tags")? {
        metadata.get_or_insert_default().tags = tags;
    }
    if let Some(queue_type) = fields.optional_text("default_queue_type")? {
        // RabbitMQ 3.x writes this for none.
        let queue_type = Some(queue_type).filter(|queue_type| *queue_type != "undefined");
        metadata.get_or_insert_default().default_queue_type = queue_type.map(str::to_owned);
    }
    Ok(())
}
