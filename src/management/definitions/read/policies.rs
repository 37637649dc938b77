//! The section `policies`, and the operator policies among the parameters.

use super::{
    super::{
        fields::Fields,
        json::{Entries, Json},
        options::RabbitMqVersion,
        report::RemarkKind,
    },
    Context,
};
use crate::{
    engine::policy::{ApplyTo, Policy, is_foreign_setting},
    model::{error::DefinitionsError, field_value::FieldTable, name::Name},
};

pub(in super::super) struct PolicyItem {
    pub(in super::super) vhost: Name,
    pub(in super::super) policy: Policy,
}

const KNOWN: [&str; 4] = ["pattern", "apply-to", "priority", "definition"];

impl PolicyItem {
    pub(super) fn read(
        item: &Fields<'_>,
        context: &mut Context<'_>,
    ) -> Result<PolicyItem, DefinitionsError> {
        let mut known = vec!["name", "vhost"];
        known.extend(KNOWN);
        context.check_known(item, &known);
        let name = item.name("name")?;
        context.check_text(item.path.key("name"), &name);
        let vhost = context.vhost(item)?;
        let policy = read_policy(&name, item, context)?;
        Ok(PolicyItem { vhost, policy })
    }
}

/// Reads the value of the parameter of an operator policy.
pub(super) fn read_operator_policy(
    name: &Name,
    value: &Fields<'_>,
    context: &mut Context<'_>,
) -> Result<Policy, DefinitionsError> {
    context.check_known(value, &KNOWN);
    read_policy(name, value, context)
}

fn read_policy(
    name: &Name,
    fields: &Fields<'_>,
    context: &mut Context<'_>,
) -> Result<Policy, DefinitionsError> {
    let mut policy = Policy::new(name.as_str(), fields.text("pattern")?);
    if let Some(word) = fields.optional_text("apply-to")? {
        let apply_to = ApplyTo::from_word(word).ok_or_else(|| {
            let reason = format!(
                "'{word}' is none of all, classic_queues, exchanges, queues, quorum_queues, streams"
            );
            DefinitionsError::new(fields.path.key("apply-to"), reason)
        })?;
        policy = policy.apply_to(apply_to);
    }
    if let Some(priority) = fields.integer("priority")? {
        policy = policy.priority(priority);
    }
    let definition = read_definition(fields, context)?;
    for (key, _) in &definition {
        if !is_foreign_setting(key) {
            continue;
        }
        let path = fields.path.key("definition");
        // RabbitMQ 4 knows the mirrors of queues no more.
        if key.starts_with("ha-") && context.options().like == Some(RabbitMqVersion::V4_3) {
            let reason = "it is not a recognised policy setting";
            return Err(DefinitionsError::new(path.key(key), reason));
        }
        context.remark(path.key(key), RemarkKind::Kept, "it has no effect here");
    }
    Ok(policy.definition(definition))
}

/// Reads the settings, which `rabbitmqctl` of 3.10 writes as a list of pairs.
fn read_definition(
    fields: &Fields<'_>,
    context: &mut Context<'_>,
) -> Result<FieldTable, DefinitionsError> {
    let Some(json) = fields.get("definition") else {
        return Err(fields.missing("definition"));
    };
    let path = fields.path.key("definition");
    let Some(entries) = pairs(json) else {
        let table = fields.table("definition", context.is_own())?;
        context.doubt_arguments(path, json);
        return Ok(table.unwrap_or_default());
    };
    if !context.options().is_strict() {
        return Err(fields.wrong("definition", json, "an object"));
    }
    let text = "rabbitmqctl has written an object as a list of pairs";
    context.remark(path, RemarkKind::Restored, text);
    let object = Json::Object(vec![("definition".into(), Json::Object(entries))]);
    let table = Fields::of(fields.path, &object)?.table("definition", false);
    table.map(Option::unwrap_or_default)
}

/// The entries of an object that was written as a list of pairs. Not the empty list.
pub(super) fn pairs<'a>(json: &Json<'a>) -> Option<Entries<'a>> {
    let Json::Array(values) = json else {
        return None;
    };
    let entries = values.iter().map(|pair| match pair {
        Json::Array(pair) => match pair.as_slice() {
            [Json::Text(key), value] => Some((key.clone(), value.clone())),
            _ => None,
        },
        _ => None,
    });
    let entries: Entries<'_> = entries.collect::<Option<_>>()?;
    let is_new = |(index, (key, _)): (usize, &(_, _))| {
        !entries[..index].iter().any(|(before, _)| before == key)
    };
    (!entries.is_empty() && entries.iter().enumerate().all(is_new)).then_some(entries)
}
