//! The global parameters of a broker: values by name, kept and exported, that nothing here reads.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{BrokerCore, events::wake_all};
use crate::{
    engine::store::RecordKind,
    model::{broker_event::EventKind, error::Result, name::Name},
    runtime::waiter::Wake,
};

impl BrokerCore {
    pub(crate) fn global_parameters(&self) -> BTreeMap<Name, Value> {
        self.global_parameters.lock().clone()
    }

    /// Sets global parameters. They replace those of the same names. The changes are written, and
    /// no one waits for them. Returns the readers of events to be woken.
    pub(super) fn add_global_parameters(&self, added: BTreeMap<Name, Value>) -> Vec<Wake> {
        let mut parameters = self.global_parameters.lock();
        let mut told = Vec::new();
        for (name, value) in added {
            self.write_global_parameter(&name, Some(&value));
            told.extend(self.tell_global_parameter(EventKind::ParameterSet, &name));
            parameters.insert(name, value);
        }
        told
    }

    /// # Errors
    /// [`Error::Store`](crate::Error::Store).
    pub(crate) fn set_global_parameter(&self, name: Name, value: Value) -> Result {
        self.vhosts()?;
        wake_all(self.add_global_parameters(BTreeMap::from([(name, value)])));
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
        let mut told = Vec::new();
        if was_there {
            self.write_global_parameter(name, None);
            told = self.tell_global_parameter(EventKind::ParameterCleared, name);
        }
        drop(parameters);
        wake_all(told);
        self.sync()?;
        Ok(was_there)
    }

    fn write_global_parameter(&self, name: &Name, value: Option<&Value>) {
        let value = value.map(|value| value as &dyn erased_serde::Serialize);
        self.write(RecordKind::GlobalParameter, name, value);
    }
}
