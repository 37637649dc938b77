//! The global parameters of a broker: values by name, kept and exported, that nothing here reads.

use std::collections::BTreeMap;

use serde_json::Value;

use super::BrokerCore;
use crate::{
    engine::store::RecordKind,
    model::{error::Result, name::Name},
};

impl BrokerCore {
    pub(crate) fn global_parameters(&self) -> BTreeMap<Name, Value> {
        self.global_parameters.lock().clone()
    }

    /// Sets global parameters. They replace those of the same names. The changes are written, and
    /// no one waits for them.
    pub(super) fn add_global_parameters(&self, added: BTreeMap<Name, Value>) {
        let mut parameters = self.global_parameters.lock();
        for (name, value) in added {
            self.write_global_parameter(&name, Some(&value));
            parameters.insert(name, value);
        }
    }

    /// # Errors
    /// [`Error::Store`](crate::Error::Store).
    pub(crate) fn set_global_parameter(&self, name: Name, value: Value) -> Result {
        self.vhosts()?;
        self.add_global_parameters(BTreeMap::from([(name, value)]));
        self.sync()
    }

    /// `false` if there is none of this name.
    ///
    /// # Errors
    /// [`Error::Store`](crate::Error::Store).
    pub(crate) fn clear_global_parameter(&self, name: &Name) -> Result<bool> {
        self.vhosts()?;
        let mut parameters = self.global_parameters.lock();
        let was_there = parameters.remove(name).is_some();
        if was_there {
            self.write_global_parameter(name, None);
        }
        drop(parameters);
        self.sync()?;
        Ok(was_there)
    }

    fn write_global_parameter(&self, name: &Name, value: Option<&Value>) {
        let value = value.map(|value| value as &dyn erased_serde::Serialize);
        self.write(RecordKind::GlobalParameter, name, value);
    }
}
