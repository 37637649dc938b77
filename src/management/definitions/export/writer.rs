//! Collects the items of an export by section, and writes them.

use std::{collections::HashSet, fmt};

use super::super::{
    json::{Entries, Json},
    options::RabbitMqVersion,
    read::{FORMAT, FORMAT_NUMBER},
    report::{Remark, RemarkKind},
};

/// For whom definitions are exported. The default is leveret's own form, with everything.
///
/// # Examples
/// ```
/// use leveret::{Broker, ExportOptions, Queue, RabbitMqVersion};
///
/// let broker = Broker::new();
/// broker.declare(&Queue::new("tasks").durable())?;
/// broker.declare(&Queue::new("own").durable().classic_delivery_limit(3))?;
///
/// let for_rabbitmq = ExportOptions::new().for_rabbitmq(RabbitMqVersion::V3_10);
/// let error = broker.export_definitions_with(&for_rabbitmq).unwrap_err();
/// assert!(error.to_string().contains("x-leveret-delivery-limit"));
///
/// let exported = broker.export_definitions_with(&for_rabbitmq.leave_out())?;
/// assert!(exported.json.contains("tasks") && !exported.json.contains("own"));
/// assert_eq!(exported.left_out[0].path, "$.queues[?@.vhost=='/' && @.name=='own']");
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExportOptions {
    version: Option<RabbitMqVersion>,
    vhost: Option<String>,
    leaves_out: bool,
}

impl ExportOptions {
    /// The own form, with everything in the broker.
    pub fn new() -> ExportOptions {
        ExportOptions::default()
    }

    /// Writes definitions that this version of RabbitMQ imports.
    #[must_use]
    pub fn for_rabbitmq(mut self, version: RabbitMqVersion) -> ExportOptions {
        self.version = Some(version);
        self
    }

    /// Writes one virtual host only, without its name: without users, permissions and global
    /// parameters.
    ///
    /// # RabbitMQ
    /// `GET /api/definitions/NAME`.
    #[must_use]
    pub fn of_vhost(mut self, name: impl Into<String>) -> ExportOptions {
        self.vhost = Some(name.into());
        self
    }

    /// Leaves out what the version of RabbitMQ does not take, and lists it. Without it the export
    /// fails at the first of them.
    #[must_use]
    pub fn leave_out(mut self) -> ExportOptions {
        self.leaves_out = true;
        self
    }

    pub(super) fn leaves_out(&self) -> bool {
        self.leaves_out
    }

    pub(super) fn vhost(&self) -> Option<&str> {
        self.vhost.as_deref()
    }
}

/// The result of an export.
///
/// [`ExportOptions`] has an example.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exported {
    /// The definitions: an object, with one item on each line.
    pub json: String,
    /// The things that the version of RabbitMQ does not take, one by one.
    pub left_out: Vec<Remark>,
}

/// The sections in their order.
const SECTIONS: [&str; 13] = [
    "users",
    "vhosts",
    "permissions",
    "topic_permissions",
    "parameters",
    "global_parameters",
    "policies",
    "budgets",
    "queues",
    "alias_queues",
    "model_queues",
    "exchanges",
    "bindings",
];

/// The sections that no RabbitMQ has.
const OWN_SECTIONS: [&str; 3] = ["budgets", "alias_queues", "model_queues"];

pub(super) struct Writer<'a> {
    options: &'a ExportOptions,
    sections: Vec<(&'static str, Vec<Json<'static>>)>,
    left_out: Vec<Remark>,
    /// Queues and exchanges that were left out: the section, the virtual host and the name.
    missing: HashSet<(&'static str, String, String)>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(options: &'a ExportOptions) -> Writer<'a> {
        Writer {
            options,
            sections: SECTIONS.map(|name| (name, Vec::new())).to_vec(),
            left_out: Vec::new(),
            missing: HashSet::new(),
        }
    }

    /// The version of RabbitMQ that the definitions are for. `None` is the own form.
    pub(super) fn version(&self) -> Option<RabbitMqVersion> {
        self.options.version
    }

    /// Adds an item. That of one virtual host does not name it.
    pub(super) fn add(&mut self, section: &'static str, item: Json<'static>) {
        let Json::Object(mut entries) = item else {
            return;
        };
        if self.options.vhost.is_some() {
            entries.retain(|(key, _)| key != "vhost");
        }
        // As this version writes them. The others have an order of their own.
        if self.version() == Some(RabbitMqVersion::V4_3) {
            entries.sort_by(|(one, _), (other, _)| one.cmp(other));
        }
        let mut sections = self.sections.iter_mut();
        if let Some((_, items)) = sections.find(|(name, _)| *name == section) {
            items.push(Json::Object(entries));
        }
    }

    /// Leaves out a thing with these identifying fields.
    pub(super) fn leave_out(
        &mut self,
        section: &'static str,
        fields: &[(&str, &str)],
        reason: impl fmt::Display,
    ) {
        let version = self.version().map_or("", RabbitMqVersion::as_str);
        let text = format!("RabbitMQ {version} does not take it: {reason}");
        let path = format!("$.{section}[?{}]", conditions(fields));
        let remark = Remark::new(path, RemarkKind::Dropped, text);
        self.left_out.push(remark);
    }

    /// Remembers that a queue or an exchange is left out.
    pub(super) fn note_missing(&mut self, section: &'static str, vhost: &str, name: &str) {
        let key = (section, vhost.to_owned(), name.to_owned());
        self.missing.insert(key);
    }

    pub(super) fn is_missing(&self, section: &'static str, vhost: &str, name: &str) -> bool {
        !self.missing.is_empty()
            && (self.missing).contains(&(section, vhost.to_owned(), name.to_owned()))
    }

    pub(super) fn finish(self) -> Exported {
        let is_cluster = self.options.vhost.is_none();
        let mut about = Entries::new();
        let text = |text: &str| Json::from(text);
        match self.version() {
            None => about.push((FORMAT.into(), Json::Integer(FORMAT_NUMBER))),
            Some(version) => {
                let product = [
                    ("rabbit_version", version.recorded()),
                    ("rabbitmq_version", version.recorded()),
                    ("product_name", "RabbitMQ"),
                    ("product_version", version.recorded()),
                ];
                about.extend(product.map(|(key, value)| (key.into(), text(value))));
            }
        }
        if let (Some(RabbitMqVersion::V4_3), vhost) = (self.version(), &self.options.vhost) {
            let format = match vhost {
                None => "cluster",
                Some(_) => "single_virtual_host",
            };
            about.push(("rabbitmq_definition_format".into(), text(format)));
            if let Some(vhost) = vhost {
                about.push(("original_vhost_name".into(), text(vhost)));
            }
        }
        let lines = about.iter().map(|(key, value)| line(key, value));
        let mut parts: Vec<String> = lines.collect();
        for (name, items) in &self.sections {
            let is_of_cluster = matches!(
                *name,
                "users" | "vhosts" | "permissions" | "topic_permissions" | "global_parameters"
            );
            let is_known = self.version().is_none() || !OWN_SECTIONS.contains(name);
            if is_known && (is_cluster || !is_of_cluster) {
                parts.push(section(name, items));
            }
        }
        Exported {
            json: format!("{{\n{}\n}}\n", parts.join(",\n")),
            left_out: self.left_out,
        }
    }
}

fn line(key: &str, value: &Json<'_>) -> String {
    format!("\"{key}\": {}", written(value))
}

fn section(name: &str, items: &[Json<'_>]) -> String {
    if items.is_empty() {
        return format!("\"{name}\": []");
    }
    let items: Vec<String> = items.iter().map(written).collect();
    format!("\"{name}\": [\n{}\n]", items.join(",\n"))
}

fn written(value: &Json<'_>) -> String {
    // Every value of this type can be written.
    serde_json::to_string(value).unwrap_or_default()
}

/// The condition that an item has these fields, in a JSON path.
fn conditions(fields: &[(&str, &str)]) -> String {
    let conditions = fields.iter().map(|(field, value)| {
        let value = value.replace('\\', "\\\\").replace('\'', "\\'");
        format!("@.{field}=='{value}'")
    });
    conditions.collect::<Vec<_>>().join(" && ")
}
