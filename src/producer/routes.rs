//! The routes that a producer has used, so that a publish need not ask the topology.
//!
//! Each is checked by one epoch before it is used again. Every clone of a producer remembers its own.

use std::{collections::HashMap, sync::Arc};

use super::Shared;
use crate::{error::Result, field_value::FieldTable, name::Name, sync::Mutex, vhost::Route};

/// How many routing keys a producer remembers the queues of, besides its own.
const REMEMBERED: usize = 1_024;

#[derive(Default)]
pub(super) struct Routes {
    remembered: Mutex<Remembered>,
}

#[derive(Default)]
struct Remembered {
    /// Of the producer's own routing key.
    own: Option<Arc<Route>>,
    others: HashMap<Name, Arc<Route>>,
}

impl Routes {
    /// The route of the producer's own key.
    pub(super) fn own(&self, shared: &Shared) -> Result<Arc<Route>> {
        let mut remembered = self.remembered.lock();
        match &remembered.own {
            Some(route) if route.is_current() => Ok(Arc::clone(route)),
            _ => {
                let route = shared.resolve(&shared.routing_key, None)?;
                remembered.own = (!route.by_headers).then(|| Arc::clone(&route));
                Ok(route)
            }
        }
    }

    /// The route of any key.
    pub(super) fn to(&self, shared: &Shared, key: &Name) -> Result<Arc<Route>> {
        if *key == shared.routing_key {
            return self.own(shared);
        }
        let mut remembered = self.remembered.lock();
        match remembered.others.get(key) {
            Some(route) if route.is_current() => return Ok(Arc::clone(route)),
            _ => {}
        }
        let route = shared.resolve(key, None)?;
        if !route.by_headers {
            if remembered.others.len() >= REMEMBERED {
                remembered.others.clear();
            }
            remembered.others.insert(key.clone(), Arc::clone(&route));
        }
        Ok(route)
    }

    /// The queue at the end of this route is deleted: the way is asked for anew. The default exchange has no epoch that would say so.
    pub(super) fn forget(&self, stale: &Arc<Route>) {
        let mut remembered = self.remembered.lock();
        let fresh = |route: &Arc<Route>| !Arc::ptr_eq(route, stale);
        remembered.own = remembered.own.take().filter(fresh);
        remembered.others.retain(|_, route| fresh(route));
    }

    /// The route of a message with headers, which only count if the exchange looks at them or they name further keys.
    pub(super) fn by_headers(
        &self,
        shared: &Shared,
        key: &Name,
        headers: &FieldTable,
    ) -> Result<Arc<Route>> {
        if !crate::sender_selected::is_selected_by_sender(Some(headers)) {
            let route = self.to(shared, key)?;
            if !route.by_headers {
                return Ok(route);
            }
        }
        shared.resolve(key, Some(headers))
    }
}

impl Shared {
    fn resolve(&self, key: &Name, headers: Option<&FieldTable>) -> Result<Arc<Route>> {
        self.connection.check_open()?;
        self.connection
            .vhost()
            .resolve(&self.exchange, key, headers)
            .map(Arc::new)
    }
}
