//! Logins: who connects to which virtual host, and who may not.

use std::{
    fmt,
    sync::{Arc, Weak},
};

use super::{BrokerCore, VhostEntry, events::wake_all};
use crate::{
    engine::access::{Access, Login, Tally},
    model::{
        access::{Credentials, User, reached},
        error::{CancelReason, Error, Result},
        name::Name,
    },
    session::connection::{Connection, ConnectionAbout, ConnectionCore, ConnectionOptions},
};

/// A user who has logged in, and may connect. [`Broker::authenticate`](crate::Broker::authenticate)
/// makes it.
///
/// It ends with the user: a deletion of the user makes it worthless, also if the name comes back.
///
/// # RabbitMQ
/// The user of a connection between `connection.start-ok` and `connection.open` (AMQP 0-9-1).
#[derive(Clone)]
pub struct AuthenticatedUser {
    name: Name,
    mechanism: Arc<str>,
    /// The connections of the user, which are one of a broker and of a user in it.
    tally: Arc<Tally>,
}

impl AuthenticatedUser {
    /// The name of the user.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// The mechanism of the login, such as `PLAIN`.
    pub fn mechanism(&self) -> &str {
        &self.mechanism
    }
}

impl fmt::Debug for AuthenticatedUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthenticatedUser")
            .field("name", &self.name)
            .field("mechanism", &self.mechanism)
            .finish_non_exhaustive()
    }
}

impl BrokerCore {
    /// # Errors
    /// [`Error::LoginRefused`] for an unknown user and for a wrong password.
    pub(crate) fn authenticate_user(&self, name: &str, password: &str) -> Result<User> {
        self.check_embedded("users")?;
        let user = self.users.authenticate(name, password);
        user.ok_or_else(|| Error::login_refused("PLAIN"))
    }

    /// Checks the credentials of a user.
    ///
    /// # Errors
    /// [`Error::LoginRefused`] for an unknown user and for a wrong password.
    pub(crate) fn authenticate(&self, credentials: &Credentials) -> Result<AuthenticatedUser> {
        self.check_embedded("a login without a connection")?;
        let (name, mechanism) = (credentials.user(), credentials.mechanism_name());
        let known = match credentials.password() {
            Some(password) => self.users.authenticate(name, password).is_some(),
            None => true,
        };
        let name = Name::new(name)?;
        let tally = self.users.tally(&name).filter(|_| known);
        self.tell_login(tally.is_some(), &name, mechanism);
        match tally {
            Some(tally) => Ok(AuthenticatedUser {
                name,
                mechanism: Arc::clone(mechanism),
                tally,
            }),
            None => Err(Error::login_refused(Arc::clone(mechanism))),
        }
    }

    /// Opens a connection to a virtual host as a user. The checks are in RabbitMQ's order.
    pub(crate) fn connect(
        &self,
        user: &AuthenticatedUser,
        vhost: &str,
        options: ConnectionOptions,
    ) -> Result<Connection> {
        let about = ConnectionAbout {
            mechanism: Some(Arc::clone(&user.mechanism)),
            // Read outside the lock, since it calls the user's clock.
            connected_at: self.time.system_now(),
            options,
        };
        let mut vhosts = self.vhosts.lock();
        let Some(entry) = vhosts.as_mut().ok_or(Error::ShutDown)?.get_mut(vhost) else {
            return Err(Error::vhost_not_found(&Name::new(vhost)?));
        };
        let login = self.log_in(entry, user)?;
        let access = Access::Of(Arc::new(login));
        let connection = self.open(&entry.vhost, (user.name.clone(), access), about);
        // `delete_vhost`, `delete_user` and `end` look at the entry under the same lock. Therefore
        // they find this connection, or this method does not find the entry or the user.
        entry.adopt(&connection);
        let told = connection.core().tell_created();
        drop(vhosts);
        wake_all(told);
        Ok(connection)
    }

    /// Checks the limits and the permissions of a user whose password was right, and counts the
    /// connection.
    fn log_in(&self, entry: &VhostEntry, user: &AuthenticatedUser) -> Result<Login> {
        let AuthenticatedUser {
            name,
            mechanism,
            tally,
        } = user;
        // The user may be deleted since, or be one of another broker.
        let known = self.users.tally(name);
        let is_known = known.is_some_and(|known| Arc::ptr_eq(&known, tally));
        let Some(user) = self.users.get(name).filter(|_| is_known) else {
            return Err(Error::login_refused(Arc::clone(mechanism)));
        };
        let vhost = &entry.vhost;
        let limit = vhost.about().limits.max_connections;
        // Connections are counted only if there is a limit.
        let limit = limit.and_then(|limit| reached(Some(limit), entry.open_connections()));
        if let Some(limit) = limit {
            return Err(Error::vhost_connection_limit(vhost.name(), name, limit));
        }
        let counted = tally.open_connection(user.user_limits().max_connections);
        counted.map_err(|limit| Error::user_connection_limit(name, limit))?;
        if !vhost.grants().has(name) {
            tally.close_connection();
            return Err(Error::vhost_refused(vhost.name(), name));
        }
        let tally = Arc::clone(tally);
        Ok(Login::new(
            name.clone(),
            &user,
            vhost.grants(),
            &self.users,
            tally,
        ))
    }

    /// The open connections of a virtual host, its own one first.
    pub(crate) fn connections(&self, vhost: &Name) -> Vec<Arc<ConnectionCore>> {
        let vhosts = self.vhosts.lock();
        let Some(entry) = vhosts.as_ref().and_then(|vhosts| vhosts.get(vhost)) else {
            return Vec::new();
        };
        let implicit = Arc::clone(entry.implicit.core());
        std::iter::once(implicit).chain(entry.known()).collect()
    }

    /// Closes connections of a user who is deleted.
    pub(super) fn close_of_user(connections: Vec<Arc<ConnectionCore>>) {
        for connection in connections {
            connection.close(CancelReason::UserDeleted);
        }
    }
}

impl VhostEntry {
    /// The open connections, besides the implicit one.
    fn open_connections(&self) -> usize {
        self.known().count()
    }

    /// The open connections of a user.
    pub(super) fn connections_of(&self, user: &Name) -> Vec<Arc<ConnectionCore>> {
        let own = self.known().filter(|known| known.gate().user() == user);
        own.collect()
    }

    pub(super) fn known(&self) -> impl Iterator<Item = Arc<ConnectionCore>> {
        let connections = self.connections.iter().filter_map(Weak::upgrade);
        connections.filter(|connection| connection.gate().is_open())
    }
}
