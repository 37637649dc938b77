//! Users, virtual hosts, permissions, parameters and policies.

use serde_json::Value;

use super::{
    super::{
        json::{Entries, Json, object},
        options::RabbitMqVersion,
    },
    VhostContents, limits,
    values::{own_table, plain_table},
    writer::Writer,
};
use crate::{
    engine::policy::{Policy, PolicyKind},
    model::{
        access::{User, VhostLimits},
        name::Name,
    },
};

impl Writer<'_> {
    pub(super) fn users(&mut self, users: &[User]) {
        for user in users {
            let hash = user.hash();
            let algorithm = hash.map_or("rabbit_password_hashing_sha256", |hash| {
                hash.algorithm().as_str()
            });
            let limits = user.user_limits();
            let item = object([
                ("name", user.name().into()),
                (
                    "password_hash",
                    hash.map_or("", |hash| hash.as_base64()).into(),
                ),
                ("hashing_algorithm", algorithm.into()),
                ("tags", texts(user.tag_list())),
                (
                    "limits",
                    entries([
                        ("max-channels", limits.max_channels),
                        ("max-connections", limits.max_connections),
                    ]),
                ),
            ]);
            self.add("users", item);
        }
    }

    pub(super) fn vhosts(&mut self, vhosts: &[VhostContents]) {
        for vhost in vhosts {
            let about = &vhost.metadata;
            let mut metadata = vec![
                ("description".into(), about.description.as_str().into()),
                ("tags".into(), texts(&about.tags)),
            ];
            if let Some(queue_type) = &about.default_queue_type {
                let queue_type = queue_type.as_str().into();
                metadata.push(("default_queue_type".into(), queue_type));
            }
            let limits = match (limits_of(&vhost.limits), self.version()) {
                // rabbitmqctl of this version writes a list of pairs.
                (Json::Object(limits), Some(RabbitMqVersion::V3_10)) => {
                    let pairs = limits.into_iter();
                    Json::Array(
                        pairs
                            .map(|(name, limit)| Json::Array(vec![Json::Text(name), limit]))
                            .collect(),
                    )
                }
                (limits, _) => limits,
            };
            let item = object([
                ("name", vhost.name.as_str().into()),
                ("metadata", Json::Object(metadata)),
                ("limits", limits),
            ]);
            self.add("vhosts", item);
        }
    }

    pub(super) fn permissions(&mut self, vhosts: &[VhostContents]) {
        for vhost in vhosts {
            for (user, permissions) in &vhost.permissions {
                let item = object([
                    ("user", user.as_str().into()),
                    ("vhost", vhost.name.as_str().into()),
                    ("configure", permissions.configure.as_str().into()),
                    ("write", permissions.write.as_str().into()),
                    ("read", permissions.read.as_str().into()),
                ]);
                self.add("permissions", item);
            }
        }
    }

    pub(super) fn topic_permissions(&mut self, vhosts: &[VhostContents]) {
        for vhost in vhosts {
            for (user, permissions) in &vhost.topic_permissions {
                let exchange = permissions.exchange.as_str();
                if self.is_missing("exchanges", &vhost.name, exchange) {
                    let fields = [
                        ("vhost", vhost.name.as_str()),
                        ("user", user.as_str()),
                        ("exchange", exchange),
                    ];
                    self.leave_out("topic_permissions", &fields, "the exchange is left out");
                    continue;
                }
                let item = object([
                    ("user", user.as_str().into()),
                    ("vhost", vhost.name.as_str().into()),
                    ("exchange", exchange.into()),
                    ("write", permissions.write.as_str().into()),
                    ("read", permissions.read.as_str().into()),
                ]);
                self.add("topic_permissions", item);
            }
            for kept in vhost.kept_parts.of("topic_permissions") {
                self.add_kept("topic_permissions", &vhost.name, kept);
            }
        }
    }

    pub(super) fn parameters(&mut self, vhosts: &[VhostContents]) {
        for vhost in vhosts {
            for policy in &vhost.operator_policies {
                let Some(mut value) = self.policy(&vhost.name, policy, PolicyKind::Operator) else {
                    continue;
                };
                if self.version() == Some(RabbitMqVersion::V4_3) {
                    value.sort_by(|(one, _), (other, _)| one.cmp(other));
                }
                let value = Json::Object(value);
                self.add_parameter(&vhost.name, "operator_policy", &policy.name, value);
            }
            if !vhost.limits.is_empty() {
                let limits = limits_of(&vhost.limits);
                self.add_parameter(&vhost.name, "vhost-limits", "limits", limits);
            }
            for kept in vhost.kept_parts.of("parameters") {
                self.add_kept("parameters", &vhost.name, kept);
            }
        }
    }

    fn add_parameter(&mut self, vhost: &Name, component: &str, name: &str, value: Json<'static>) {
        let item = object([
            ("value", value),
            ("vhost", vhost.as_str().into()),
            ("component", component.into()),
            ("name", name.into()),
        ]);
        self.add("parameters", item);
    }

    /// Adds an item of a feature that is not here.
    pub(super) fn add_kept(&mut self, section: &'static str, vhost: &Name, kept: &Value) {
        if let Json::Object(mut entries) = Json::from(kept) {
            entries.push(("vhost".into(), vhost.as_str().into()));
            self.add(section, Json::Object(entries));
        }
    }

    pub(super) fn global_parameters(&mut self, parameters: &[(Name, Value)]) {
        for (name, value) in parameters {
            let item = object([("name", name.as_str().into()), ("value", Json::from(value))]);
            self.add("global_parameters", item);
        }
    }

    pub(super) fn policies(&mut self, vhosts: &[VhostContents]) {
        for vhost in vhosts {
            for policy in &vhost.policies {
                let Some(fields) = self.policy(&vhost.name, policy, PolicyKind::User) else {
                    continue;
                };
                let mut item = vec![
                    ("vhost".into(), vhost.name.as_str().into()),
                    ("name".into(), policy.name.as_str().into()),
                ];
                item.extend(fields);
                self.add("policies", Json::Object(item));
            }
        }
    }

    /// The fields of a policy. `None` if the version does not take it.
    fn policy(
        &mut self,
        vhost: &Name,
        policy: &Policy,
        kind: PolicyKind,
    ) -> Option<Entries<'static>> {
        let definition = match self.version() {
            None => Ok(own_table(&policy.definition)),
            Some(version) => match limits::of_policy(policy, kind, version) {
                Some(reason) => Err(reason),
                None => plain_table(&policy.definition),
            },
        };
        match definition {
            Ok(definition) => {
                let Json::Object(fields) = object([
                    ("pattern", policy.pattern.as_str().into()),
                    ("apply-to", policy.apply_to.as_str().into()),
                    ("definition", definition),
                    ("priority", Json::Integer(policy.priority)),
                ]) else {
                    return None;
                };
                Some(fields)
            }
            Err(reason) => {
                let fields = [("vhost", vhost.as_str()), ("name", policy.name.as_str())];
                let section = match kind {
                    PolicyKind::User => "policies",
                    PolicyKind::Operator => "parameters",
                };
                self.leave_out(section, &fields, reason);
                None
            }
        }
    }
}

fn texts(texts: &[String]) -> Json<'static> {
    Json::Array(texts.iter().map(|text| text.as_str().into()).collect())
}

fn limits_of(limits: &VhostLimits) -> Json<'static> {
    entries([
        ("max-connections", limits.max_connections),
        ("max-queues", limits.max_queues),
    ])
}

/// An object with those of the entries that have a value.
fn entries(limits: [(&'static str, Option<i64>); 2]) -> Json<'static> {
    let limits = limits.into_iter();
    Json::Object(
        limits
            .filter_map(|(name, limit)| Some((name.into(), Json::Integer(limit?))))
            .collect(),
    )
}
