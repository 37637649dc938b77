//! The sections `parameters` and `global_parameters`.

use serde_json::{Value, json};

use super::{
    super::{fields::Fields, json::Json, report::RemarkKind},
    Context,
    policies::{pairs, read_operator_policy},
};
use crate::{
    engine::policy::Policy,
    model::{access::VhostLimits, error::DefinitionsError, name::Name},
};

pub(in super::super) struct ParameterItem {
    pub(in super::super) vhost: Name,
    pub(in super::super) of: ParameterOf,
}

pub(in super::super) enum ParameterOf {
    OperatorPolicy(Policy),
    Limits(VhostLimits),
    /// A parameter of a feature that is not here: the key in its section, and the item without the
    /// virtual host.
    Feature(String, Value),
}

pub(in super::super) struct GlobalParameterItem {
    pub(in super::super) name: Name,
    /// `None` if it is not imported.
    pub(in super::super) value: Option<Value>,
}

/// The components of the features of RabbitMQ that are not here.
const FEATURES: [&str; 5] = [
    "exchange-delete-in-progress",
    "federation-upstream",
    "federation-upstream-set",
    "mqtt-port-to-vhost-mapping",
    "shovel",
];

/// The global parameter that RabbitMQ 3.x makes for itself and exports.
const INTERNAL: &str = "internal_cluster_id";

impl ParameterItem {
    pub(super) fn read(
        item: &Fields<'_>,
        context: &mut Context<'_>,
    ) -> Result<ParameterItem, DefinitionsError> {
        context.check_known(item, &["vhost", "component", "name", "value"]);
        let vhost = context.vhost(item)?;
        let component = item.text("component")?;
        let name = item.name("name")?;
        let Some(json) = item.get("value") else {
            return Err(item.missing("value"));
        };
        let path = item.path.key("value");
        let of = match component {
            "operator_policy" => {
                context.check_text(item.path.key("name"), &name);
                let value = Fields::of(path, json)?;
                ParameterOf::OperatorPolicy(read_operator_policy(&name, &value, context)?)
            }
            "vhost-limits" => ParameterOf::Limits(limits(path, json)?),
            _ if FEATURES.contains(&component) => {
                let text = format!("the parameters of {component} have no effect here");
                context.remark(item.path, RemarkKind::Kept, text);
                let kept = json!({"component": component, "name": name, "value": json.plain()});
                ParameterOf::Feature(json!([component, name]).to_string(), kept)
            }
            _ => {
                let reason = format!("component {component} not found");
                let path = item.path.key("component");
                return Err(DefinitionsError::new(path, reason));
            }
        };
        Ok(ParameterItem { vhost, of })
    }
}

fn limits(
    path: super::super::path::Path<'_>,
    json: &Json<'_>,
) -> Result<VhostLimits, DefinitionsError> {
    let mut limits = VhostLimits::new();
    if json == &Json::Array(Vec::new()) {
        return Ok(limits);
    }
    let fields = Fields::of(path, json)?;
    for name in fields.names() {
        limits = match (name, fields.integer(name)?) {
            ("max-connections", Some(limit)) => limits.max_connections(limit),
            ("max-queues", Some(limit)) => limits.max_queues(limit),
            _ => {
                let reason = "a virtual host has the limits max-connections and max-queues";
                return Err(DefinitionsError::new(fields.path.key(name), reason));
            }
        };
    }
    Ok(limits)
}

impl GlobalParameterItem {
    pub(super) fn read(
        item: &Fields<'_>,
        context: &mut Context<'_>,
    ) -> Result<GlobalParameterItem, DefinitionsError> {
        context.check_known(item, &["name", "value"]);
        let name = item.name("name")?;
        let Some(json) = item.get("value") else {
            return Err(item.missing("value"));
        };
        if name == INTERNAL && context.options().is_strict() {
            let text = "it names the cluster that has written the file";
            context.remark(item.path, RemarkKind::Ignored, text);
            return Ok(GlobalParameterItem { name, value: None });
        }
        let path = item.path.key("value");
        let value = match pairs(json).filter(|_| context.is_old_control()) {
            None => json.plain(),
            Some(entries) => {
                let text = "rabbitmqctl has written an object as a list of pairs";
                context.remark(path, RemarkKind::Restored, text);
                Json::Object(entries).plain()
            }
        };
        context.doubt_parameter(path, json);
        Ok(GlobalParameterItem {
            name,
            value: Some(value),
        })
    }
}
