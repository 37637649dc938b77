//! Who may do what: the users of a broker, and their permissions in a virtual host.
//!
//! [`Access`] is what one connection may do. It asks the tables each time, so that a change counts
//! at once. A producer asks only when it finds a route. The virtual host raises the epochs of all
//! routes after each change, so that each is found again.

mod grants;
mod pattern;
mod topic;
mod users;

pub(crate) use self::{
    grants::{Compiled, CompiledTopic, Grants},
    users::{Tally, Users},
};

use std::sync::Arc;

use crate::{
    engine::events::Actor,
    model::{
        access::User,
        error::{EntityKind, Error, Permission, Resource, Result},
        name::Name,
    },
    runtime::sync::atomic::{AtomicBool, Ordering::SeqCst},
};

/// The name of the default exchange in patterns and texts.
const DEFAULT_EXCHANGE: &str = "amq.default";

/// What a connection may do in its virtual host.
#[derive(Clone, Debug)]
pub(crate) enum Access {
    /// Everything: the connection belongs to the program itself.
    All,
    /// What the user of the connection may do.
    Of(Arc<Login>),
}

/// A user who has logged in to a virtual host.
#[derive(Debug)]
pub(crate) struct Login {
    user: Name,
    /// Whether the user had the tag `impersonator` at the login.
    may_impersonate: bool,
    /// Whether the user has all permissions now.
    has_all: Arc<AtomicBool>,
    grants: Arc<Grants>,
    users: Arc<Users>,
    tally: Arc<Tally>,
}

impl Login {
    /// A login that was checked. Its connection is counted already.
    pub(crate) fn new(
        name: Name,
        user: &User,
        grants: &Arc<Grants>,
        users: &Arc<Users>,
        tally: Arc<Tally>,
    ) -> Login {
        Login {
            may_impersonate: user.has_tag("impersonator"),
            has_all: grants.has_all(&name),
            user: name,
            grants: Arc::clone(grants),
            users: Arc::clone(users),
            tally,
        }
    }

    fn denied(&self, permission: Permission, resource: Resource, topic: Option<Name>) -> Error {
        Error::permission_denied(&self.user, permission, resource, topic)
    }

    fn resource(&self, kind: EntityKind, name: &Name) -> Resource {
        Resource::new(kind, name, self.grants.vhost())
    }
}

/// The name of an exchange or a queue as patterns and texts have it.
fn shown(kind: EntityKind, name: &Name) -> Result<Name> {
    match kind {
        EntityKind::Exchange if name.is_empty() => Ok(Name::new(DEFAULT_EXCHANGE)?),
        _ => Ok(name.clone()),
    }
}

impl Access {
    /// The user of the connection, for events. The program itself is the user `guest`.
    pub(crate) fn actor(&self) -> Actor<'_> {
        match self {
            Access::All => Actor::Program,
            Access::Of(login) => Actor::User(&login.user),
        }
    }

    /// # Errors
    /// [`Error::PermissionDenied`].
    #[inline]
    pub(crate) fn check(&self, permission: Permission, kind: EntityKind, name: &Name) -> Result {
        match self {
            Access::Of(login) if !login.has_all.load(SeqCst) => login.check(permission, kind, name),
            Access::All | Access::Of(_) => Ok(()),
        }
    }

    /// Checks for any of the three permissions: the existence of a thing is shown to those who may
    /// do anything with it.
    ///
    /// # Errors
    /// [`Error::PermissionDenied`], which names the permission to configure.
    pub(crate) fn check_any(&self, kind: EntityKind, name: &Name) -> Result {
        let of = |permission| self.check(permission, kind, name);
        let last = || of(Permission::Configure);
        of(Permission::Read)
            .or_else(|_| of(Permission::Write))
            .or_else(|_| last())
    }

    /// Checks the key of a message that is published to an exchange of the type `topic`, or of a
    /// binding to one.
    ///
    /// # Errors
    /// [`Error::PermissionDenied`] with the key.
    pub(crate) fn check_topic(&self, permission: Permission, exchange: &Name, key: &str) -> Result {
        match self {
            Access::All => Ok(()),
            Access::Of(login) => login.check_topic(permission, exchange, key),
        }
    }

    /// Checks for a tag of management.
    ///
    /// # Errors
    /// [`Error::PermissionDenied`].
    pub(crate) fn check_tag(
        &self,
        permission: Permission,
        kind: EntityKind,
        name: &Name,
    ) -> Result {
        let Access::Of(login) = self else {
            return Ok(());
        };
        match login.users.have_tag_for(&login.user, permission) {
            true => Ok(()),
            false => Err(login.denied(permission, login.resource(kind, name), None)),
        }
    }

    /// Whether messages may claim any user.
    pub(crate) fn may_impersonate(&self) -> bool {
        match self {
            Access::All => false,
            Access::Of(login) => login.may_impersonate,
        }
    }

    /// Counts one more channel.
    ///
    /// # Errors
    /// [`Error::NotAllowed`] if the user has as many as are allowed.
    pub(crate) fn open_channel(&self) -> Result {
        let Access::Of(login) = self else {
            return Ok(());
        };
        let limit = login.users.get(&login.user);
        let limit = limit.and_then(|user| user.user_limits().max_channels);
        let opened = login.tally.open_channel(limit);
        opened.map_err(|limit| Error::user_channel_limit(&login.user, limit))
    }

    pub(crate) fn close_channels(&self, count: usize) {
        if let Access::Of(login) = self {
            login.tally.close_channels(count);
        }
    }

    /// The connection has ended.
    pub(crate) fn close(&self) {
        if let Access::Of(login) = self {
            login.tally.close_connection();
        }
    }

    /// Whether everything is permitted.
    #[inline]
    pub(crate) fn is_all(&self) -> bool {
        matches!(self, Access::All)
    }
}

impl Login {
    #[cold]
    fn check(&self, permission: Permission, kind: EntityKind, name: &Name) -> Result {
        let shown = shown(kind, name)?;
        match self.grants.permits(&self.user, permission, &shown) {
            true => Ok(()),
            false => Err(self.denied(permission, self.resource(kind, &shown), None)),
        }
    }

    fn check_topic(&self, permission: Permission, exchange: &Name, key: &str) -> Result {
        match self
            .grants
            .permits_topic(&self.user, permission, exchange, key)
        {
            true => Ok(()),
            false => {
                let resource = self.resource(EntityKind::Exchange, exchange);
                Err(self.denied(permission, resource, Some(Name::new(key)?)))
            }
        }
    }
}
