//! The section `model_queues`, which only leveret's own form has.

use super::{
    super::{fields::Fields, json::Json},
    Context,
    exchanges::arguments,
};
use crate::model::{
    descriptions::{Binding, ModelQueue, Queue},
    error::DefinitionsError,
    name::Name,
};

pub(in super::super) struct ModelQueueItem {
    pub(in super::super) vhost: Name,
    pub(in super::super) model: ModelQueue,
}

const KNOWN: [&str; 9] = [
    "vhost",
    "name",
    "pattern",
    "permanent",
    "durable",
    "auto_delete",
    "exclusive",
    "arguments",
    "bindings",
];

impl ModelQueueItem {
    pub(super) fn read(
        item: &Fields<'_>,
        context: &mut Context<'_>,
    ) -> Result<ModelQueueItem, DefinitionsError> {
        context.check_known(item, &KNOWN);
        let vhost = context.vhost(item)?;
        let name = item.name("name")?;
        if name.is_empty() {
            let reason = "it is empty, expected 1 to 255 bytes";
            return Err(DefinitionsError::new(item.path.key("name"), reason));
        }
        let is_set = |key: &str| Ok::<_, DefinitionsError>(item.flag(key)? == Some(true));
        let mut template = Queue::new("").arguments(arguments(item, context)?);
        if is_set("durable")? {
            template = template.durable();
        }
        if is_set("auto_delete")? {
            template = template.auto_delete();
        }
        if is_set("exclusive")? {
            template = template.exclusive_flag();
        }
        let template = bindings(item)?.into_iter().fold(template, Queue::binding);
        let mut model = ModelQueue::new(name.as_str(), template);
        if let Some(pattern) = item.optional_text("pattern")? {
            model = model.pattern(pattern);
        }
        if is_set("permanent")? {
            model = model.permanent();
        }
        Ok(ModelQueueItem { vhost, model })
    }
}

/// The bindings of the template, which are descriptions with their exchanges.
fn bindings(item: &Fields<'_>) -> Result<Vec<Binding>, DefinitionsError> {
    let values = match item.get("bindings") {
        None => return Ok(Vec::new()),
        Some(Json::Array(values)) => values,
        Some(other) => return Err(item.wrong("bindings", other, "a list of objects")),
    };
    let list = item.path.key("bindings");
    let values = values.iter().enumerate();
    let bindings = values.map(|(index, value)| {
        serde_json::from_value(value.plain())
            .map_err(|error| DefinitionsError::new(list.index(index), error.to_string()))
    });
    bindings.collect()
}
