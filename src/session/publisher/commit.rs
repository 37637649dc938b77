//! The publish of a transaction, at its commit.

use super::{Publisher, prepared::Prepared, route_cache::CachedRoute};
use crate::{model::error::Result, session::holding::Admission};

impl Publisher {
    /// A publish whose checks were done before, when its route was kept by
    /// [`into_route`](Prepared::into_route): a commit. It takes effect even if the connection
    /// closes meanwhile. Also returns how many queues of the route have a successor of the same
    /// name, which does not get the message.
    ///
    /// # Errors
    /// [`ResourceError`](crate::Error::ResourceError) for a queue that was deleted.
    pub(crate) fn prepare_commit<'a>(
        &'a self,
        route: &CachedRoute,
        key: &'a str,
        mandatory: bool,
    ) -> Result<(Prepared<'a>, usize)> {
        let (route, replaced) = route.of_commit()?;
        let prepared = Prepared {
            publisher: self,
            headers: None,
            route,
            key,
            is_own_key: false,
            mandatory,
            due: None,
            admission: Admission::default(),
            is_commit: true,
            failure: None,
            blocked: None,
            written: None,
        };
        Ok((prepared, replaced))
    }
}
