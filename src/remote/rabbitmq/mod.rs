//! A RabbitMQ as the engine of the typed handles, through the client `lapin`.
//!
//! No type of lapin leaves this folder. A thread of each broker runs lapin's runtime.
//!
//! - `address`: the addresses of the servers, from a URL.
//! - `settings`: the settings of the client.
//! - `runtime`: the thread of the runtime.
//! - `connecting`: one attempt to connect.
//! - `link`: one connection of the handles. It outlives connections of lapin.
//! - `driver`: the task that keeps a link connected.
//! - `operations`: declarations and other requests with an answer.
//! - `topology`: what this program has declared, to be declared again.
//! - `publishing`: publishes, on their way to the server. `unsettled`: those without a confirm.
//! - `calls`: the channel of requests and streams of replies.
//! - `returned`: which message a returned one is.
//! - `consuming`: consumers and their deliveries.
//! - `deliveries`: the numbers of deliveries, and their settlement.
//! - `fields`: properties and tables in the form of lapin.
//! - `fault`: errors of the server and of lapin, as those of this crate.

mod address;
mod calls;
mod connecting;
mod consuming;
mod deliveries;
mod driver;
mod fault;
mod fields;
mod link;
mod operations;
mod publishing;
mod returned;
mod runtime;
mod settings;
mod topology;
mod unsettled;

pub(crate) use self::settings::Settings;
pub use self::settings::Unconfirmed;

use std::sync::Arc;

use self::{
    link::{Link, Login},
    runtime::Runtime,
};
use crate::{
    model::{access::Credentials, error::Result, name::Name},
    session::backend::{Connected, Engine},
};

/// A RabbitMQ that a broker is the client of.
pub(crate) struct RabbitMq {
    settings: Arc<Settings>,
    vhost: Name,
    runtime: Arc<Runtime>,
}

impl RabbitMq {
    /// Starts the thread of the client. It does not connect yet.
    ///
    /// # Errors
    /// [`Error::Thread`](crate::Error::Thread).
    pub(crate) fn new(settings: Settings) -> Result<RabbitMq> {
        Ok(RabbitMq {
            vhost: Name::new(settings.vhost())?,
            settings: Arc::new(settings),
            runtime: Arc::new(Runtime::start()?),
        })
    }
}

impl Engine for RabbitMq {
    fn vhost(&self) -> &Name {
        &self.vhost
    }

    fn connect(&self, vhost: &str, credentials: Option<&Credentials>) -> Result<Connected> {
        let login = Login::new(&self.settings, vhost, credentials)?;
        let user = login.user.clone();
        let link = Link::connect(&self.settings, login, &self.runtime)?;
        Ok(Connected {
            backend: Arc::new(link),
            user,
        })
    }
}
