//! A broker that is the client of an engine outside of this process.
//!
//! Each of its virtual hosts here has no exchanges and no queues in use. It is the place of the
//! handles, and its connections have the engine behind them.

use std::sync::{Arc, atomic::Ordering::SeqCst};

use super::{BrokerCore, Settings, VhostEntry};
use crate::{
    engine::{
        access::Access,
        vhost::{Drain, VhostSettings, VirtualHost},
    },
    model::{
        access::Credentials,
        error::{Error, Result},
        name::Name,
    },
    runtime::clock::Time,
    session::{
        backend::Engine,
        connection::{Connection, ConnectionAbout, ConnectionOptions},
    },
};

impl BrokerCore {
    /// Connects to an engine. The broker ends with the connections.
    ///
    /// # Errors
    /// Those of [`Engine::connect`].
    #[cfg_attr(
        not(feature = "rabbitmq"),
        expect(dead_code, reason = "the only engine comes with the feature")
    )]
    pub(crate) fn start_remote(engine: Arc<dyn Engine>) -> Result<BrokerCore> {
        let (time, settings) = (Time::default(), Settings::default());
        let drain = Drain::default();
        let mut core = BrokerCore::new(time, settings, Default::default(), drain, None);
        let vhost = engine.vhost().clone();
        core.engine = Some(engine);
        // The connection is kept in the core.
        core.remote_vhost(&vhost).map(drop)?;
        Ok(core)
    }

    /// # Errors
    /// [`Error::NotImplemented`] for an engine outside of this process: it does not offer `what`.
    pub(super) fn check_embedded(&self, what: &str) -> Result {
        match &self.engine {
            None => Ok(()),
            Some(_) => Err(Error::not_embedded(what)),
        }
    }

    /// The name of the virtual host that the methods of the broker use.
    pub(crate) fn default_vhost(&self) -> &str {
        self.engine.as_ref().map_or("/", |engine| engine.vhost())
    }

    /// The implicit connection to a virtual host of the engine. The first call connects.
    pub(super) fn remote_vhost(&self, name: &str) -> Result<Connection> {
        match self.local_vhost(name) {
            Err(Error::NotFound { .. }) => {}
            found => return found,
        }
        let name = Name::new(name)?;
        let about = ConnectionAbout::of_implicit(&self.time);
        // Outside of the lock, since it waits for the engine.
        let (vhost, implicit) = self.connect_to(&name, None, about)?;
        let entry = VhostEntry {
            vhost,
            implicit,
            connections: Vec::new(),
        };
        let (found, unwanted) = {
            let mut vhosts = self.vhosts.lock();
            let vhosts = vhosts.as_mut().ok_or(Error::ShutDown)?;
            match vhosts.get(&name) {
                Some(other) => (other.implicit.clone(), Some(entry)),
                None => (vhosts.entry(name).or_insert(entry).implicit.clone(), None),
            }
        };
        drop(unwanted);
        Ok(found)
    }

    /// Opens a connection as a user of the engine. `None` if the broker is no client.
    pub(crate) fn connect_remotely(
        &self,
        vhost: &str,
        credentials: &Credentials,
    ) -> Option<Result<Connection>> {
        self.engine.as_ref()?;
        Some(self.remote_connection(vhost, credentials))
    }

    fn remote_connection(&self, vhost: &str, credentials: &Credentials) -> Result<Connection> {
        let name = Name::new(vhost)?;
        let about = ConnectionAbout {
            mechanism: Some(Arc::clone(credentials.mechanism_name())),
            connected_at: self.time.system_now(),
            options: ConnectionOptions::new(),
        };
        let (vhost, connection) = self.connect_to(&name, Some(credentials), about)?;
        let mut vhosts = self.vhosts.lock();
        let vhosts = vhosts.as_mut().ok_or(Error::ShutDown)?;
        // The place of the connection is that of the broker's own one if there is one, so that the
        // end of the broker finds both.
        if let Some(entry) = vhosts.values_mut().next() {
            entry.adopt(&connection);
        }
        drop(vhost);
        Ok(connection)
    }

    fn connect_to(
        &self,
        name: &Name,
        credentials: Option<&Credentials>,
        about: ConnectionAbout,
    ) -> Result<(Arc<VirtualHost>, Connection)> {
        let engine = self.engine.as_ref().ok_or(Error::ConnectionClosed)?;
        let connected = engine.connect(name, credentials)?;
        let settings = VhostSettings {
            always_encode: true,
            ..VhostSettings::default()
        };
        let (time, timers) = (self.time.clone(), Arc::clone(&self.timers));
        let drain = Arc::clone(&self.drain);
        let vhost = VirtualHost::new(name.clone(), time, timers, drain, settings, None)?;
        let number = self.next_connection.fetch_add(1, SeqCst);
        let user = (connected.user, Access::All);
        let backend = Some(connected.backend);
        let connection = Connection::open(&vhost, number, user, about, backend, None);
        Ok((vhost, connection))
    }
}
