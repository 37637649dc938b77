//! Definitions: everything that can be declared in a broker, as a JSON file. Imports read those of
//! RabbitMQ and leveret's own, and exports write both.
//!
//! An import reads the file into a tree that knows its paths (`json`, `fields`, `path`), the
//! sections into descriptions (`read`), and adds these to a plan in RabbitMQ's order (`phases`).
//! The broker's core makes the plan, all of it or nothing.

mod export;
mod fields;
mod import;
mod json;
mod options;
mod path;
mod phases;
mod place;
mod read;
mod report;

pub use self::{
    export::{ExportOptions, Exported},
    options::{ImportOptions, RabbitMqVersion},
    report::{ImportReport, Remark, RemarkKind},
};

use std::collections::BTreeMap;

use serde_json::Value;

#[cfg(feature = "durable")]
use crate::handles::broker::DurableBrokerBuilder;
use crate::{
    handles::broker::{Broker, BrokerBuilder},
    model::{error::Result, name::Name},
};

/// The JSON Schema (draft 2020-12) of leveret's own form of definitions.
///
/// # Examples
/// ```
/// let schema: serde_json::Value = serde_json::from_str(leveret::DEFINITIONS_SCHEMA).unwrap();
/// assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
/// ```
pub const DEFINITIONS_SCHEMA: &str = include_str!("schema.json");

/// Definitions: [the page on definitions](crate::guide::definitions) has the details.
impl Broker {
    /// Makes everything that is in a file of definitions: one of RabbitMQ, or one of
    /// [`export_definitions`](Self::export_definitions).
    ///
    /// The import is strict: all of it is made, or nothing is changed. Users, permissions,
    /// policies, parameters and the metadata of virtual hosts replace those that exist. Queues,
    /// exchanges and bindings that exist must have the same properties. Nothing is removed.
    ///
    /// The file is that of a whole cluster: each item names its virtual host.
    /// [`import_definitions_with`](Self::import_definitions_with) takes that of one virtual host.
    ///
    /// # RabbitMQ
    /// `rabbitmqctl import_definitions`, and `POST /api/definitions`. Those keep queues and
    /// exchanges that exist with other properties, and make a part of a file that does not fit.
    ///
    /// # Errors
    /// - [`Error::InvalidDefinitions`] with the JSON path of the first thing that does not fit.
    /// - [`Error::ShutDown`] after [`shutdown`](Self::shutdown).
    /// - [`Error::Store`] if a durable broker cannot write it. It may be in memory then.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Queue};
    ///
    /// let json = r#"{"vhosts": [{"name": "orders"}],
    ///     "queues": [{"name": "paid", "vhost": "orders", "durable": true, "auto_delete": false,
    ///                 "arguments": {"x-max-length": 100}}]}"#;
    /// let broker = Broker::new();
    /// let report = broker.import_definitions(json)?;
    /// assert_eq!((report.vhosts, report.queues), (1, 1));
    /// broker.vhost("orders")?.declare(&Queue::new("paid").durable().max_length(100))?;
    ///
    /// let other = json.replace("100", "200");
    /// let error = broker.import_definitions(other).unwrap_err().to_string();
    /// assert!(error.starts_with("$.queues[0].arguments['x-max-length']"));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    ///
    /// [`Error::InvalidDefinitions`]: crate::Error::InvalidDefinitions
    /// [`Error::ShutDown`]: crate::Error::ShutDown
    /// [`Error::Store`]: crate::Error::Store
    pub fn import_definitions(&self, json: impl AsRef<[u8]>) -> Result<ImportReport> {
        self.import_definitions_with(json, &ImportOptions::new())
    }

    /// As [`import_definitions`](Self::import_definitions), with options: into one virtual host, or
    /// with RabbitMQ's leniency.
    ///
    /// # Errors
    /// As [`import_definitions`](Self::import_definitions).
    /// [`Error::NotFound`](crate::Error::NotFound) if the virtual host of the options does not
    /// exist. An import [like RabbitMQ](ImportOptions::like_rabbitmq) has made a part of the file
    /// then.
    ///
    /// [`ImportOptions`] has an example.
    pub fn import_definitions_with(
        &self,
        json: impl AsRef<[u8]>,
        options: &ImportOptions,
    ) -> Result<ImportReport> {
        import::import(self, json.as_ref(), options)
    }

    /// Creates a broker with everything that is in a file of definitions.
    /// [`BrokerBuilder::build_with_definitions`] does so with other settings.
    ///
    /// # Errors
    /// As [`import_definitions`](Self::import_definitions).
    ///
    /// # Examples
    /// ```
    /// use leveret::Broker;
    /// let json = Broker::new().export_definitions()?;
    /// assert_eq!(Broker::from_definitions(&json)?.export_definitions()?, json);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn from_definitions(json: impl AsRef<[u8]>) -> Result<Broker> {
        Broker::builder().build_with_definitions(json)
    }

    /// Writes everything that can be declared, in leveret's own form. It loses nothing, and an
    /// import and another export give the same bytes.
    ///
    /// Queues that end with their connection or with the broker are left out with their bindings:
    /// exclusive ones, and those with a generated name.
    ///
    /// # RabbitMQ
    /// `rabbitmqctl export_definitions`, and `GET /api/definitions`.
    ///
    /// # Errors
    /// [`Error::ShutDown`](crate::Error::ShutDown) after [`shutdown`](Self::shutdown).
    ///
    /// [`from_definitions`](Self::from_definitions) has an example.
    pub fn export_definitions(&self) -> Result<String> {
        let exported = self.export_definitions_with(&ExportOptions::new())?;
        Ok(exported.json)
    }

    /// As [`export_definitions`](Self::export_definitions), for a version of RabbitMQ or of one
    /// virtual host.
    ///
    /// # Errors
    /// - [`Error::InvalidDefinitions`](crate::Error::InvalidDefinitions) for something that the
    ///   version does not take, unless it is [left out](ExportOptions::leave_out).
    /// - [`Error::NotFound`](crate::Error::NotFound) if the virtual host of the options does not
    ///   exist.
    /// - [`Error::ShutDown`](crate::Error::ShutDown) after [`shutdown`](Self::shutdown).
    ///
    /// [`ExportOptions`] has an example.
    pub fn export_definitions_with(&self, options: &ExportOptions) -> Result<Exported> {
        export::export(self, options)
    }

    /// The global parameters, sorted by name. Nothing here reads them.
    ///
    /// # RabbitMQ
    /// `rabbitmqctl list_global_parameters`.
    ///
    /// # Examples
    /// ```
    /// use leveret::Broker;
    /// use serde_json::json;
    ///
    /// let broker = Broker::new();
    /// broker.set_global_parameter("region", json!({"name": "eu"}))?;
    /// assert_eq!(broker.global_parameters()[0].1["name"], "eu");
    /// assert!(broker.clear_global_parameter("region")?);
    /// assert!(broker.global_parameters().is_empty());
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn global_parameters(&self) -> Vec<(Name, Value)> {
        let parameters: BTreeMap<Name, Value> = self.core().global_parameters();
        parameters.into_iter().collect()
    }

    /// Sets a global parameter, which replaces one of the same name. It is kept, and exported.
    ///
    /// # RabbitMQ
    /// `rabbitmqctl set_global_parameter`.
    ///
    /// # Errors
    /// - [`Error::InvalidName`](crate::Error::InvalidName) if the name is over 255 bytes.
    /// - [`Error::ShutDown`](crate::Error::ShutDown) after [`shutdown`](Self::shutdown).
    /// - [`Error::Store`](crate::Error::Store) if a durable broker cannot write it.
    ///
    /// [`global_parameters`](Self::global_parameters) has an example.
    pub fn set_global_parameter(&self, name: &str, value: Value) -> Result {
        self.core().set_global_parameter(Name::new(name)?, value)
    }

    /// Clears a global parameter. `false` if there is none of this name.
    ///
    /// # RabbitMQ
    /// `rabbitmqctl clear_global_parameter`.
    ///
    /// # Errors
    /// As [`set_global_parameter`](Self::set_global_parameter).
    ///
    /// [`global_parameters`](Self::global_parameters) has an example.
    pub fn clear_global_parameter(&self, name: &str) -> Result<bool> {
        self.core().clear_global_parameter(&Name::new(name)?)
    }

    /// Forgets the parts of imported definitions that belong to features which are not here, in
    /// one virtual host. Returns how many there were.
    ///
    /// # Errors
    /// - [`Error::NotFound`](crate::Error::NotFound) if the virtual host does not exist.
    /// - [`Error::ShutDown`](crate::Error::ShutDown) after [`shutdown`](Self::shutdown).
    /// - [`Error::Store`](crate::Error::Store) if a durable broker cannot write it.
    ///
    /// # Examples
    /// ```
    /// use leveret::Broker;
    ///
    /// let broker = Broker::from_definitions(
    ///     r#"{"parameters": [{"vhost": "/", "component": "shovel", "name": "s", "value": {}}]}"#,
    /// )?;
    /// assert!(broker.export_definitions()?.contains("shovel"));
    /// assert_eq!(broker.clear_kept_definitions("/")?, 1);
    /// assert!(!broker.export_definitions()?.contains("shovel"));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn clear_kept_definitions(&self, vhost: &str) -> Result<usize> {
        self.core().clear_kept_parts(vhost)
    }
}

impl BrokerBuilder {
    /// As [`build`](Self::build), and makes everything that is in a file of definitions.
    ///
    /// # Errors
    /// As [`Broker::import_definitions`].
    ///
    /// # Examples
    /// ```
    /// use leveret::Broker;
    /// let json = r#"{"queues": [{"name": "q", "vhost": "/", "durable": true}]}"#;
    /// let broker = Broker::builder().always_encode().build_with_definitions(json)?;
    /// assert_eq!(broker.snapshot()?.vhosts[0].queues[0].name, "q");
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn build_with_definitions(self, json: impl AsRef<[u8]>) -> Result<Broker> {
        let broker = self.build();
        broker.import_definitions(json)?;
        Ok(broker)
    }
}

#[cfg(feature = "durable")]
impl DurableBrokerBuilder {
    /// As [`build`](Self::build), and makes everything that is in a file of definitions, as
    /// [`Broker::import_definitions`] does. What the folder has already must have the same
    /// properties, so the same file may be given at each start.
    ///
    /// # Errors
    /// As [`build`](Self::build) and [`Broker::import_definitions`].
    ///
    /// # Examples
    /// ```
    /// use leveret::Broker;
    /// # let folder = std::env::temp_dir().join(format!("leveret-load-{}", std::process::id()));
    /// let json = r#"{"queues": [{"name": "q", "vhost": "/", "durable": true}]}"#;
    /// for start in 0..2 {
    ///     let broker = Broker::builder().data_dir(&folder).build_with_definitions(json)?;
    ///     assert_eq!(broker.snapshot()?.vhosts[0].queues.len(), 1);
    /// }
    /// # std::fs::remove_dir_all(folder).ok();
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn build_with_definitions(self, json: impl AsRef<[u8]>) -> Result<Broker> {
        let broker = self.build()?;
        broker.import_definitions(json)?;
        Ok(broker)
    }
}
