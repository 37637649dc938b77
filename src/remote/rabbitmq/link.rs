//! [`Link`], one connection of the handles. It outlives connections of lapin.

use std::{
    collections::BTreeMap,
    fmt::Display,
    future::Future,
    sync::{Arc, Weak},
    time::Duration,
};

use lapin::{Channel, Connection};
use tokio::sync::watch;

use super::{
    connecting::connect,
    consuming::Consuming,
    deliveries::Deliveries,
    driver::{self, Channels},
    fault,
    publishing::Publisher,
    runtime::Runtime,
    settings::Settings,
    topology::Topology,
};
use crate::{
    model::{
        access::Credentials,
        error::{Error, Result},
        name::Name,
    },
    runtime::{
        completion::completion,
        sync::{
            Mutex,
            atomic::{AtomicU64, Ordering::SeqCst},
        },
        waiter::{self, Wake},
    },
    session::events::{Event, EventStream},
};

/// Who connects, and to what.
pub(super) struct Login {
    pub(super) vhost: Name,
    pub(super) user: Name,
    /// The user and the password, if they are not those of the URL.
    pub(super) credentials: Option<(String, String)>,
}

impl Login {
    /// # Errors
    /// [`Error::InvalidName`] for a name over 255 bytes; [`Error::NotImplemented`] for a login
    /// without a password.
    pub(super) fn new(
        settings: &Settings,
        vhost: &str,
        credentials: Option<&Credentials>,
    ) -> Result<Login> {
        let credentials = match credentials {
            None => None,
            Some(credentials) => {
                let password = credentials.password();
                let password = password.ok_or_else(|| Error::not_embedded("an external login"))?;
                Some((credentials.user().to_owned(), password.to_owned()))
            }
        };
        let first = settings.addresses.first();
        let user = match &credentials {
            Some((user, _)) => user.as_str(),
            None => first.map_or("", |first| &first.uri.authority.userinfo.username),
        };
        Ok(Login {
            vhost: Name::new(vhost)?,
            user: Name::new(user)?,
            credentials,
        })
    }
}

/// A connection of lapin.
pub(super) struct Live {
    pub(super) connection: Connection,
    pub(super) address: Arc<str>,
    /// The channel of declarations, unless an error has closed it.
    pub(super) channel: tokio::sync::Mutex<Option<Channel>>,
    /// The channel of gets with its number, unless an error has closed it.
    pub(super) gets: tokio::sync::Mutex<Option<u32>>,
}

impl Live {
    pub(super) fn new(connection: Connection, address: Arc<str>) -> Live {
        Live {
            connection,
            address,
            channel: tokio::sync::Mutex::default(),
            gets: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.connection.status().connected()
    }
}

/// Whether a link is connected.
#[derive(Clone)]
pub(super) enum Phase {
    Up(Arc<Live>),
    /// It connects again.
    Lost,
    /// It is closed, or it has given up.
    Ended,
}

/// One connection of the handles.
pub(super) struct Link {
    pub(super) settings: Arc<Settings>,
    pub(super) login: Login,
    pub(super) phase: watch::Sender<Phase>,
    pub(super) publisher: Publisher,
    /// Of requests and streams of replies.
    pub(super) calls: Publisher,
    /// A leaf lock.
    pub(super) topology: Mutex<Topology>,
    /// By their numbers. A leaf lock.
    pub(super) consumers: Mutex<BTreeMap<u64, Arc<Consuming>>>,
    pub(super) deliveries: Deliveries,
    next_consumer: AtomicU64,
    /// A leaf lock.
    events: Mutex<Weak<EventStream>>,
    /// The error of what the last connection has lost. A leaf lock.
    last_fault: Mutex<Option<Error>>,
    /// Whether the server is known to permit transient queues that are not exclusive.
    pub(super) permits_transient: Mutex<Option<bool>>,
}

/// How long the end of a connection waits for the server.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

impl Link {
    /// Connects, and keeps the connection until it is closed.
    ///
    /// # Errors
    /// Those of [`connect`].
    pub(super) fn connect(
        settings: &Arc<Settings>,
        login: Login,
        runtime: &Arc<Runtime>,
    ) -> Result<RemoteLink> {
        let (publisher, messages_sent) = Publisher::new();
        let (calls, calls_sent) = Publisher::new();
        let channels = Channels::new(messages_sent, calls_sent);
        let link = Arc::new(Link {
            settings: Arc::clone(settings),
            login,
            phase: watch::Sender::new(Phase::Lost),
            publisher,
            calls,
            topology: Mutex::default(),
            consumers: Mutex::default(),
            deliveries: Deliveries::default(),
            next_consumer: AtomicU64::new(1),
            events: Mutex::new(Weak::new()),
            last_fault: Mutex::new(None),
            permits_transient: Mutex::new(None),
        });
        let (completer, completion) = completion();
        let driven = Arc::clone(&link);
        runtime.spawn(async move {
            match connect(&driven.settings, &driven.login, None).await {
                Ok((connection, address)) => {
                    let live = Arc::new(Live::new(connection, address));
                    driver::drive(driven, live, channels, Some(completer)).await;
                }
                Err(error) => completer.complete(Err(error)),
            }
        });
        let connected = waiter::wait(&completion, None).flatten();
        connected.unwrap_or(Err(Error::ConnectionClosed))?;
        Ok(RemoteLink {
            link,
            runtime: Arc::clone(runtime),
        })
    }

    pub(super) fn next_consumer(&self) -> u64 {
        self.next_consumer.fetch_add(1, SeqCst)
    }

    /// Waits for a connection other than `last`.
    ///
    /// # Errors
    /// [`Error::ConnectionClosed`], or the last fault of a link that has given up.
    pub(super) async fn up(&self, last: Option<&Arc<Live>>) -> Result<Arc<Live>> {
        let mut phases = self.phase.subscribe();
        let is_next = |phase: &Phase| match phase {
            Phase::Up(live) => last.is_none_or(|last| !Arc::ptr_eq(last, live)),
            Phase::Lost => false,
            Phase::Ended => true,
        };
        match phases.wait_for(is_next).await.as_deref() {
            Ok(Phase::Up(live)) => Ok(Arc::clone(live)),
            _ => Err(Error::ConnectionClosed),
        }
    }

    /// Waits until this connection is not that of the link any more.
    pub(super) async fn left(&self, live: &Arc<Live>) {
        let mut phases = self.phase.subscribe();
        let is_other = |phase: &Phase| match phase {
            Phase::Up(other) => !Arc::ptr_eq(other, live),
            Phase::Lost | Phase::Ended => true,
        };
        drop(phases.wait_for(is_other).await);
    }

    /// Waits until the link is closed.
    pub(super) async fn ended(&self) {
        let mut phases = self.phase.subscribe();
        let ended = phases.wait_for(|phase| matches!(phase, Phase::Ended));
        drop(ended.await);
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(*self.phase.borrow(), Phase::Up(_))
    }

    pub(super) fn is_ended(&self) -> bool {
        matches!(*self.phase.borrow(), Phase::Ended)
    }

    pub(super) fn listen(&self, events: &Arc<EventStream>) {
        *self.events.lock() = Arc::downgrade(events);
    }

    pub(super) fn events(&self) -> Option<Arc<EventStream>> {
        self.events.lock().upgrade()
    }

    pub(super) fn tell(&self, event: Event) {
        if let Some(events) = self.events() {
            let wake = events.connection_changed(event);
            wake.into_iter().for_each(Wake::wake);
        }
    }

    /// Notes why the connection is lost, and returns the error for what is lost with it.
    pub(super) fn note_fault(&self, address: &Arc<str>, fault: impl Display) -> Error {
        let error = fault::lost(address, fault);
        *self.last_fault.lock() = Some(error.clone());
        error
    }

    /// The error for what the last connection has lost.
    pub(super) fn lost_error(&self) -> Error {
        match self.is_ended() {
            true => Error::ConnectionClosed,
            false => self
                .last_fault
                .lock()
                .clone()
                .unwrap_or(Error::ConnectionClosed),
        }
    }
}

/// A link with its runtime: the backend of the handles.
pub(super) struct RemoteLink {
    pub(super) link: Arc<Link>,
    runtime: Arc<Runtime>,
}

impl RemoteLink {
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(task);
    }

    /// Closes the connection, and waits until the server has all that was sent, but not for long.
    pub(super) fn close(&self) {
        let (completer, completion) = completion();
        let last = self.link.phase.send_replace(Phase::Ended);
        let closing = async move {
            if let Phase::Up(live) = last {
                let closed = live.connection.close(200, "OK".into());
                let _ = tokio::time::timeout(CLOSE_TIMEOUT, closed).await;
            }
            completer.complete(());
        };
        self.spawn(closing);
        if !self.runtime.is_current() {
            waiter::wait(&completion, None);
        }
    }
}
