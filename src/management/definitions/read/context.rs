//! What the readers of all items know: the options, the broker that has written the file, and the
//! remarks so far.

use std::{collections::HashSet, fmt};

use super::{
    super::{
        fields::Fields,
        json::Json,
        options::ImportOptions,
        path::Path,
        report::{Remark, RemarkKind},
    },
    FORMAT, FORMAT_NUMBER,
};
use crate::model::{error::DefinitionsError, name::Name};

pub(in super::super) struct Context<'a> {
    options: &'a ImportOptions,
    /// The virtual host of all items, if the import goes into one.
    vhost: Option<Name>,
    /// The file is in leveret's own form.
    is_own: bool,
    /// The version of the RabbitMQ that has written the file. Empty if the file does not say.
    rabbitmq: String,
    /// Whether any exchange of the file says whether it is internal.
    tells_internal: bool,
    /// It is an export of `rabbitmqctl`.
    is_control: bool,
    remarks: Vec<Remark>,
    /// The names that many items have in common.
    names: HashSet<Name>,
}

impl<'a> Context<'a> {
    /// # Errors
    /// The file is in a later form of leveret, or the virtual host of the options has no valid
    /// name.
    pub(super) fn new(
        file: &Fields<'_>,
        options: &'a ImportOptions,
    ) -> Result<Context<'a>, DefinitionsError> {
        let number = file.integer(FORMAT)?;
        if number.is_some_and(|number| number != FORMAT_NUMBER) {
            let reason = format!("this version of leveret reads the form {FORMAT_NUMBER} only");
            return Err(DefinitionsError::new(Path::Root.key(FORMAT), reason));
        }
        let vhost = options.vhost.as_ref().map(Name::new).transpose();
        let vhost = vhost.map_err(|error| DefinitionsError::caused("$", error.into()))?;
        let version = ["rabbitmq_version", "rabbit_version"];
        let mut version = version.into_iter().filter_map(|key| file.get(key));
        let rabbitmq = match version.next() {
            Some(Json::Text(version)) => version.to_string(),
            _ => String::new(),
        };
        let tells_internal = match file.get("exchanges") {
            Some(Json::Array(exchanges)) => exchanges.iter().any(|exchange| match exchange {
                Json::Object(entries) => entries.iter().any(|(key, _)| key == "internal"),
                _ => false,
            }),
            _ => false,
        };
        Ok(Context {
            options,
            vhost,
            is_own: number.is_some(),
            is_control: !rabbitmq.is_empty() && file.get("product_name").is_none(),
            rabbitmq,
            tells_internal,
            remarks: Vec::new(),
            names: HashSet::new(),
        })
    }

    pub(super) fn options(&self) -> &'a ImportOptions {
        self.options
    }

    pub(super) fn is_own(&self) -> bool {
        self.is_own
    }

    /// Whether the file is an export of a RabbitMQ before 4.0 by `rabbitmqctl`, which spoils more
    /// than that by HTTP.
    pub(super) fn is_old_control(&self) -> bool {
        self.is_control && self.rabbitmq.starts_with("3.")
    }

    pub(super) fn is_of_rabbitmq(&self) -> bool {
        !self.rabbitmq.is_empty()
    }

    /// Whether an internal exchange may be missing, though its bindings are there. So are exports
    /// of RabbitMQ, except those of 3.x by HTTP.
    pub(super) fn hides_internal(&self) -> bool {
        self.is_of_rabbitmq() && !self.tells_internal
    }

    pub(super) fn remark(
        &mut self,
        path: impl fmt::Display,
        kind: RemarkKind,
        text: impl Into<String>,
    ) {
        self.remarks.push(Remark::new(path, kind, text));
    }

    pub(super) fn into_remarks(self) -> Vec<Remark> {
        self.remarks
    }

    /// The virtual host of an item.
    ///
    /// # Errors
    /// The item names none, and the import does not go into one.
    pub(super) fn vhost(&mut self, item: &Fields<'_>) -> Result<Name, DefinitionsError> {
        match &self.vhost {
            Some(vhost) => Ok(vhost.clone()),
            None if item.get("vhost").is_none() => {
                let reason = "it is missing: the definitions of one virtual host are imported \
                              with `ImportOptions::into_vhost`";
                Err(DefinitionsError::new(item.path.key("vhost"), reason))
            }
            None => self.common_name(item, "vhost"),
        }
    }

    /// A name that many items have in common, such as that of an exchange in its bindings. They
    /// share its memory.
    pub(super) fn common_name(
        &mut self,
        item: &Fields<'_>,
        key: &str,
    ) -> Result<Name, DefinitionsError> {
        if let Some(name) = self.names.get(item.text(key)?) {
            return Ok(name.clone());
        }
        let name = item.name(key)?;
        self.names.insert(name.clone());
        Ok(name)
    }

    /// Remarks on the fields of an item that are not among those that it may have.
    pub(super) fn check_known(&mut self, item: &Fields<'_>, known: &[&str]) {
        for name in item.names() {
            if !known.contains(&name) {
                let text = "no item of this section has such a field";
                self.remark(item.path.key(name), RemarkKind::Ignored, text);
            }
        }
    }
}
