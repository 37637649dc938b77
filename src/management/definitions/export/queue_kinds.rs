//! Alias queues and model queues, which only the own form has.

use super::{
    super::json::{Json, object},
    values::own_table,
    writer::Writer,
};
use crate::model::{
    descriptions::{AliasQueue, AliasTarget, Binding, ModelQueue},
    name::Name,
};

impl Writer<'_> {
    pub(super) fn queue_kinds(
        &mut self,
        vhost: &Name,
        aliases: &[AliasQueue],
        models: &[ModelQueue],
    ) {
        for alias in aliases {
            match self.version() {
                None => self.add("alias_queues", alias_item(vhost, alias)),
                Some(_) => {
                    let fields = [("vhost", vhost.as_str()), ("name", alias.name())];
                    self.leave_out("alias_queues", &fields, "there are no alias queues");
                }
            }
        }
        for model in models {
            match self.version() {
                None => self.add("model_queues", model_item(vhost, model)),
                Some(_) => {
                    let fields = [("vhost", vhost.as_str()), ("name", model.name())];
                    self.leave_out("model_queues", &fields, "there are no model queues");
                }
            }
        }
    }
}

fn alias_item(vhost: &Name, alias: &AliasQueue) -> Json<'static> {
    let target_type = match alias.target() {
        AliasTarget::Queue(_) => "queue",
        AliasTarget::Exchange(_) => "exchange",
    };
    object([
        ("name", alias.name().into()),
        ("vhost", vhost.as_str().into()),
        ("target", alias.target().name().into()),
        ("target_type", target_type.into()),
    ])
}

fn model_item(vhost: &Name, model: &ModelQueue) -> Json<'static> {
    let template = model.template();
    let bindings = template.bindings().iter().map(binding);
    object([
        ("name", model.name().into()),
        ("vhost", vhost.as_str().into()),
        ("pattern", model.name_pattern().into()),
        ("permanent", model.is_permanent().into()),
        ("durable", template.is_durable().into()),
        ("auto_delete", template.is_auto_delete().into()),
        ("exclusive", template.is_exclusive().into()),
        ("arguments", own_table(template.argument_table())),
        ("bindings", Json::Array(bindings.collect())),
    ])
}

/// A binding of a template: its description, with those of its exchange and of its bindings.
fn binding(binding: &Binding) -> Json<'static> {
    // A table that was declared is not too deep.
    serde_json::to_value(binding).map_or(Json::Null, |value| Json::from(&value))
}
