//! The task that keeps a link connected.

use std::{
    fmt::Display,
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::stream::StreamExt;
use lapin::Event as LapinEvent;
use tokio::sync::mpsc::UnboundedReceiver;

use super::{
    calls::Calls,
    connecting::connect,
    consuming, fault,
    link::{CLOSE_TIMEOUT, Link, Live, Phase},
    publishing::Sending,
    topology,
    unsettled::Unsettled,
};
use crate::{
    model::error::{CancelReason, Error, Result},
    runtime::completion::Completer,
    session::events::{BlockedReason, Event},
};

/// Why a connection is over.
enum End {
    /// The link is closed.
    Closed,
    Lost(Error),
}

/// The channels of publishes.
pub(super) struct Channels {
    messages: Unsettled,
    calls: Calls,
}

impl Channels {
    pub(super) fn new(
        messages: UnboundedReceiver<Sending>,
        calls: UnboundedReceiver<Sending>,
    ) -> Channels {
        Channels {
            messages: Unsettled::new(messages),
            calls: Calls::new(calls),
        }
    }
}

/// Serves a connection, and each that follows it, until the link is closed or gives up. `first`
/// gets the outcome of the first connection.
pub(super) async fn drive(
    link: Arc<Link>,
    mut live: Arc<Live>,
    mut channels: Channels,
    mut first: Option<Completer<Result>>,
) {
    let mut attempts = Attempts::default();
    loop {
        let began = Instant::now();
        let started = tokio::select! {
            biased;
            () = link.ended() => {
                // The one who has closed the link does not know this connection.
                let closed = live.connection.close(200, "OK".into());
                let _ = tokio::time::timeout(CLOSE_TIMEOUT, closed).await;
                break;
            }
            started = start(&link, &live, &mut channels, first.is_none()) => started,
            // The client does not always answer what was asked for just before a loss.
            () = down(&live) => Err(link.note_fault(&live.address, "it was lost again")),
        };
        let end = match (started, first.take()) {
            (Ok(()), first) => {
                if let Some(first) = first {
                    first.complete(Ok(()));
                }
                serve(&link, &live, &mut channels).await
            }
            (Err(error), Some(first)) => {
                link.phase.send_replace(Phase::Ended);
                first.complete(Err(error));
                return;
            }
            (Err(error), None) => End::Lost(error),
        };
        let End::Lost(error) = end else { break };
        lose(&link, &error);
        link.publisher.suspend(Some(error.clone()));
        channels.calls.lose(&link, &error).await;
        channels.messages.collect().await;
        channels.messages.requeue(&link.publisher, &error);
        if began.elapsed() >= GOOD {
            attempts = Attempts::default();
        }
        match reconnect(&link, &mut attempts).await {
            Some(next) => live = next,
            None => break,
        }
    }
    finish(&link, &mut channels).await;
}

/// The attempts to connect since the last good connection.
struct Attempts {
    next: u32,
    began: Instant,
}

impl Default for Attempts {
    fn default() -> Attempts {
        Attempts {
            next: 1,
            began: Instant::now(),
        }
    }
}

/// How long a connection has to last to be a good one. Something that ends each connection at once
/// is not fought with as many connections as possible.
const GOOD: Duration = Duration::from_secs(10);

/// Waits for an operation, or until the connection is lost. The client does not always answer what
/// was asked for just before a loss.
async fn or_down<E: Display>(
    live: &Live,
    operation: impl Future<Output = Result<(), E>>,
) -> Result<(), String> {
    tokio::select! {
        biased;
        done = operation => done.map_err(|error| error.to_string()),
        () = down(live) => Err("it was lost again".to_owned()),
    }
}

/// Waits until a connection that starts is lost. Its events may have been before this.
async fn down(live: &Live) {
    while live.is_up() {
        tokio::time::sleep(LOOK).await;
    }
}

/// How often a connection that starts is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// Makes a connection of lapin ready for the handles. A `again` restores what earlier connections
/// had.
async fn start(link: &Arc<Link>, live: &Arc<Live>, channels: &mut Channels, again: bool) -> Result {
    if again {
        topology::restore(link, live).await?;
    }
    let failed = |error: lapin::Error| fault::of_operation(&error, &live.address);
    let opened = channels.messages.open(&link.publisher, live);
    opened.await.map_err(failed)?;
    link.calls.resume();
    if again {
        consuming::restore(link, live).await?;
    }
    link.phase.send_if_modified(|phase| {
        let is_open = !matches!(phase, Phase::Ended);
        if is_open {
            *phase = Phase::Up(Arc::clone(live));
        }
        is_open
    });
    if again {
        link.tell(Event::ConnectionRestored {
            address: Arc::clone(&live.address),
        });
    }
    Ok(())
}

/// Settles publishes, and tells events of the server, until the connection is over.
async fn serve(link: &Arc<Link>, live: &Arc<Live>, channels: &mut Channels) -> End {
    let Channels { messages, calls } = channels;
    let mut events = Box::pin(live.connection.events_listener());
    if !live.is_up() {
        // Lost before there was a listener.
        return End::Lost(link.note_fault(&live.address, "it was lost again"));
    }
    let mut ended = Box::pin(link.ended());
    let mut blocked = false;
    let end = loop {
        tokio::select! {
            biased;
            first = messages.next() => {
                let settled = messages.settle(&link.publisher, live, first);
                if let Err(error) = or_down(live, settled).await {
                    break End::Lost(link.note_fault(&live.address, error));
                }
            }
            happened = calls.next(link) => {
                let settled = calls.settle(link, live, happened);
                if let Err(error) = or_down(live, settled).await {
                    break End::Lost(link.note_fault(&live.address, error));
                }
            }
            () = link.calls.waiting(), if link.calls.is_closed() => {
                let opened = tokio::select! {
                    biased;
                    opened = calls.open(link, live) => opened,
                    () = down(live) => break End::Lost(
                        link.note_fault(&live.address, "it was lost again"),
                    ),
                };
                if let Err(error) = opened {
                    if !live.is_up() {
                        break End::Lost(link.note_fault(&live.address, error));
                    }
                    // There are too many channels, say.
                    calls.refuse(link, &fault::of_operation(&error, &live.address));
                }
            }
            event = events.next() => match event {
                Some(LapinEvent::ConnectionBlocked(why)) => {
                    if !blocked && let Some(events) = link.events() {
                        blocked = true;
                        events.block_by(reason(&why));
                    }
                }
                Some(LapinEvent::ConnectionUnblocked) => unblock(link, &mut blocked),
                Some(LapinEvent::Error(error)) if !live.is_up() => {
                    break End::Lost(link.note_fault(&live.address, error));
                }
                Some(_) => {}
                None => break End::Lost(link.note_fault(&live.address, "the client has ended")),
            },
            () = &mut ended => break End::Closed,
        }
    };
    unblock(link, &mut blocked);
    match link.is_ended() {
        true => End::Closed,
        false => end,
    }
}

fn reason(why: &str) -> BlockedReason {
    match why.contains("disk") {
        true => BlockedReason::LowDisk,
        false => BlockedReason::LowMemory,
    }
}

fn unblock(link: &Link, blocked: &mut bool) {
    if std::mem::take(blocked)
        && let Some(events) = link.events()
    {
        events.unblock_by();
    }
}

/// The deliveries of the connection are the server's again.
fn lose(link: &Link, error: &Error) {
    link.phase.send_if_modified(|phase| match phase {
        Phase::Ended => false,
        phase => {
            *phase = Phase::Lost;
            true
        }
    });
    link.deliveries.lose_all();
    let consumers: Vec<_> = link.consumers.lock().values().cloned().collect();
    for consumer in consumers {
        consumer.lost();
    }
    link.tell(Event::ConnectionLost {
        error: error.clone(),
    });
}

/// Connects again, with a growing time in between. `None` if the link is closed or gives up.
async fn reconnect(link: &Arc<Link>, attempts: &mut Attempts) -> Option<Arc<Live>> {
    loop {
        let backoff = &link.settings.reconnect;
        let delay = backoff.delay_after(attempts.next, attempts.began.elapsed())?;
        attempts.next = attempts.next.saturating_add(1);
        let connecting = async {
            tokio::time::sleep(delay).await;
            connect(&link.settings, &link.login, None).await
        };
        tokio::select! {
            () = link.ended() => return None,
            connected = connecting => match connected {
                Ok((connection, address)) => return Some(Arc::new(Live::new(connection, address))),
                // Also if the login is refused: a server that starts may not have its users yet.
                Err(error) => link.tell(Event::ConnectionLost { error }),
            },
        }
    }
}

/// The link is closed, or has given up. Everything under way ends.
async fn finish(link: &Arc<Link>, channels: &mut Channels) {
    link.phase.send_replace(Phase::Ended);
    link.deliveries.lose_all();
    link.publisher.suspend(None);
    channels.calls.end(link).await;
    channels.messages.collect().await;
    channels.messages.end(&link.publisher);
    let consumers = std::mem::take(&mut *link.consumers.lock());
    for consumer in consumers.into_values() {
        consumer.ended(CancelReason::ConnectionClosed);
    }
}
