//! The task that keeps a link connected.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{future::Either, stream::StreamExt};
use lapin::Event as LapinEvent;
use tokio::sync::mpsc::UnboundedReceiver;

use super::{
    connecting::connect,
    consuming, fault,
    link::{Link, Live, Phase},
    publishing::{Sending, Unsettled},
    topology,
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

/// Serves a connection, and each that follows it, until the link is closed or gives up. `first`
/// gets the outcome of the first connection.
pub(super) async fn drive(
    link: Arc<Link>,
    mut live: Arc<Live>,
    mut sent: UnboundedReceiver<Sending>,
    mut first: Option<Completer<Result>>,
) {
    let mut unsettled = Unsettled::default();
    loop {
        let started = tokio::select! {
            biased;
            started = start(&link, &live, &mut unsettled, first.is_none()) => started,
            // The client does not always answer what was asked for just before a loss.
            () = down(&live) => Err(link.note_fault(&live.address, "it was lost again")),
        };
        let end = match (started, first.take()) {
            (Ok(()), first) => {
                if let Some(first) = first {
                    first.complete(Ok(()));
                }
                serve(&link, &live, &mut sent, &mut unsettled).await
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
        unsettled.collect(&mut sent).await;
        unsettled.requeue(&link, &error);
        match reconnect(&link).await {
            Some(next) => live = next,
            None => break,
        }
    }
    finish(&link, &mut sent, &mut unsettled).await;
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
async fn start(
    link: &Arc<Link>,
    live: &Arc<Live>,
    unsettled: &mut Unsettled,
    again: bool,
) -> Result {
    if again {
        topology::restore(link, live).await?;
    }
    let failed = |error: lapin::Error| fault::of_operation(&error, &live.address);
    link.open_publisher(live, unsettled).await.map_err(failed)?;
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
async fn serve(
    link: &Arc<Link>,
    live: &Arc<Live>,
    sent: &mut UnboundedReceiver<Sending>,
    unsettled: &mut Unsettled,
) -> End {
    let mut events = Box::pin(live.connection.events_listener());
    if !live.is_up() {
        // Lost before there was a listener.
        return End::Lost(link.note_fault(&live.address, "it was lost again"));
    }
    let mut ended = Box::pin(link.ended());
    let mut blocked = false;
    let end = loop {
        let confirmed = match unsettled.is_empty() {
            true => Either::Left(std::future::pending()),
            false => Either::Right(unsettled.next()),
        };
        tokio::select! {
            biased;
            Some(sending) = sent.recv() => unsettled.push(sending),
            Some(first) = confirmed => {
                let settled = tokio::select! {
                    biased;
                    settled = unsettled.settle(link, live, sent, first) => {
                        settled.map_err(|error| link.note_fault(&live.address, error))
                    }
                    () = down(live) => Err(link.note_fault(&live.address, "it was lost again")),
                };
                if let Err(error) = settled {
                    break End::Lost(error);
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
async fn reconnect(link: &Arc<Link>) -> Option<Arc<Live>> {
    let (mut attempt, began) = (1, Instant::now());
    loop {
        let delay = link
            .settings
            .reconnect
            .delay_after(attempt, began.elapsed())?;
        attempt = attempt.saturating_add(1);
        let connecting = async {
            tokio::time::sleep(delay).await;
            connect(&link.settings, &link.login).await
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
async fn finish(
    link: &Arc<Link>,
    sent: &mut UnboundedReceiver<Sending>,
    unsettled: &mut Unsettled,
) {
    link.phase.send_replace(Phase::Ended);
    link.deliveries.lose_all();
    link.publisher.suspend(None);
    unsettled.collect(sent).await;
    unsettled.end(link);
    let consumers = std::mem::take(&mut *link.consumers.lock());
    for consumer in consumers.into_values() {
        consumer.ended(CancelReason::ConnectionClosed);
    }
}
