//! Logins: who connects to which virtual host, and who may not.

use std::sync::{Arc, Weak};

use super::{BrokerCore, VhostEntry};
use crate::{
    engine::access::{Access, Login},
    model::{
        access::{User, reached},
        error::{CancelReason, Error, Result},
        name::Name,
    },
    session::connection::{Connection, ConnectionCore},
};

impl BrokerCore {
    /// # Errors
    /// [`Error::LoginRefused`] for an unknown user and for a wrong password.
    pub(crate) fn authenticate(&self, user: &str, password: &str) -> Result<User> {
        self.users.authenticate(user, password)
    }

    /// Opens a connection to a virtual host as a user. The checks are in RabbitMQ's order.
    pub(crate) fn connect(&self, vhost: &str, user: &str, password: &str) -> Result<Connection> {
        let name = Name::new(user)?;
        let user = self.authenticate(user, password)?;
        let mut vhosts = self.vhosts.lock();
        let Some(entry) = vhosts.as_mut().ok_or(Error::ShutDown)?.get_mut(vhost) else {
            return Err(Error::vhost_not_found(&Name::new(vhost)?));
        };
        let login = self.log_in(entry, name.clone(), &user)?;
        let access = Access::Of(Arc::new(login));
        let connection = self.open(&entry.vhost, (name, access), false);
        // `delete_vhost`, `delete_user` and `end` look at the entry under the same lock. Therefore
        // they find this connection, or this method does not find the entry or the user.
        entry.adopt(&connection);
        Ok(connection)
    }

    /// Checks the limits and the permissions of a user whose password was right, and counts the
    /// connection.
    fn log_in(&self, entry: &VhostEntry, name: Name, user: &User) -> Result<Login> {
        // The user may be deleted since.
        let tally = self.users.tally(&name).ok_or(Error::LoginRefused)?;
        let vhost = &entry.vhost;
        let limit = vhost.about().limits.max_connections;
        // Connections are counted only if there is a limit.
        let limit = limit.and_then(|limit| reached(Some(limit), entry.open_connections()));
        if let Some(limit) = limit {
            return Err(Error::vhost_connection_limit(vhost.name(), &name, limit));
        }
        let counted = tally.open_connection(user.user_limits().max_connections);
        counted.map_err(|limit| Error::user_connection_limit(&name, limit))?;
        if !vhost.grants().has(&name) {
            tally.close_connection();
            return Err(Error::vhost_refused(vhost.name(), &name));
        }
        Ok(Login::new(name, user, vhost.grants(), &self.users, tally))
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

    fn known(&self) -> impl Iterator<Item = Arc<ConnectionCore>> {
        let connections = self.connections.iter().filter_map(Weak::upgrade);
        connections.filter(|connection| connection.gate().is_open())
    }
}
