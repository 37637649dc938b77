//! [`Unsettled`], the publishes that wait for their confirms.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures_util::{
    FutureExt,
    stream::{FuturesUnordered, StreamExt},
};
use lapin::{Channel, Confirmation as LapinConfirmation, options::ConfirmSelectOptions};
use tokio::sync::mpsc::UnboundedReceiver;

use super::{
    fault,
    link::Live,
    publishing::{Publish, Publisher, Sending, Sent, send},
    returned::Returned,
};
use crate::model::error::Error;

fn has_returned(confirmation: &LapinConfirmation) -> bool {
    match confirmation {
        LapinConfirmation::Ack(message) | LapinConfirmation::Nack(message) => message.is_some(),
        LapinConfirmation::NotRequested => false,
    }
}

/// The publishes of one channel that wait for their confirms. The driver alone has them.
pub(super) struct Unsettled {
    /// Those that were sent and are not known here yet.
    sent: UnboundedReceiver<Sending>,
    sending: FuturesUnordered<Sending>,
    /// Those that have ended while all were awaited.
    ended: Vec<Sent>,
    /// The channel that they are on.
    channel: Option<Arc<Channel>>,
    returned: Returned,
    /// Those whose connection or channel is lost.
    failed: Vec<Publish>,
    /// Those of a channel or a connection that was closed because of one of them.
    suspects: VecDeque<Publish>,
}

/// How long the client may take to give up on publishes after the end of a connection.
const GIVE_UP: Duration = Duration::from_secs(5);

impl Unsettled {
    pub(super) fn new(sent: UnboundedReceiver<Sending>) -> Unsettled {
        Unsettled {
            sent,
            sending: FuturesUnordered::new(),
            ended: Vec::new(),
            channel: None,
            returned: Returned::default(),
            failed: Vec::new(),
            suspects: VecDeque::new(),
        }
    }

    /// Waits until a publish has ended. It is lost if this future is dropped when it is ready only.
    pub(super) async fn next(&mut self) -> Sent {
        loop {
            tokio::select! {
                biased;
                Some(sending) = self.sent.recv() => self.sending.push(sending),
                Some(first) = self.sending.next() => return first,
                // The publisher lives as long as the link.
                else => std::future::pending().await,
            }
        }
    }

    /// Opens the channel on a connection. Publishes that were under way when an error ended the
    /// last channel are sent first, one by one, so that the guilty one shows.
    ///
    /// # Errors
    /// Those of a lost connection.
    pub(super) async fn open(&mut self, publisher: &Publisher, live: &Live) -> lapin::Result<()> {
        let mut channel = confirming_channel(live).await?;
        while let Some(publish) = self.suspects.pop_front() {
            // Among those under way, it is not lost if this future is dropped.
            let Some((publish, head)) = publish.with_head() else {
                continue;
            };
            let sending = send(Arc::clone(&channel), publish, head);
            self.sending.push(Box::pin(sending));
            let Some(Sent { publish, outcome }) = self.sending.next().await else {
                break;
            };
            match outcome {
                Ok(confirmation) => {
                    let is_returned = has_returned(&confirmation);
                    publish.settle(&confirmation, is_returned);
                }
                Err(error) if fault::is_own_fault(&error) => {
                    publish.fail(fault::of_operation(&error, &live.address));
                    channel = confirming_channel(live).await?;
                }
                Err(error) => {
                    self.suspects.push_front(*publish);
                    return Err(error);
                }
            }
        }
        self.start(publisher, channel);
        Ok(())
    }

    /// Publishes on a channel from now on.
    pub(super) fn start(&mut self, publisher: &Publisher, channel: Arc<Channel>) {
        self.channel = Some(Arc::clone(&channel));
        self.returned = Returned::default();
        publisher.open(channel);
    }

    /// Settles a publish, and all others that have ended. If an error of one has closed their
    /// channel, there is another channel afterwards.
    ///
    /// # Errors
    /// That of a lost connection.
    pub(super) async fn settle(
        &mut self,
        publisher: &Publisher,
        live: &Live,
        first: Sent,
    ) -> lapin::Result<()> {
        let Some(error) = self.settle_ended(publisher, first) else {
            return Ok(());
        };
        if !live.is_up() {
            return Err(error);
        }
        publisher.suspend(None);
        self.collect().await;
        self.suspect();
        self.open(publisher, live).await
    }

    /// Settles a publish, and all others that have ended by now. Returns the error of those that
    /// failed, if there are any.
    pub(super) fn settle_ended(
        &mut self,
        publisher: &Publisher,
        first: Sent,
    ) -> Option<lapin::Error> {
        let mut ended = vec![first];
        self.drain_ended(&mut ended);
        // A message of those that the server confirms may still be handed over.
        publisher.wait_for_hand_over();
        self.take_sent();
        if !self.sending.is_empty() || ended.len() > 1 {
            // The server confirms several messages at once, and the client then tells the outcomes
            // one by one, under a lock. A returned message may be with any of these outcomes. So
            // all of them must be here: this call needs the same lock, and waits for no message.
            if let Some(channel) = &self.channel {
                let _ = channel.wait_for_confirms().now_or_never();
            }
            self.drain_ended(&mut ended);
        }
        self.settle_all(ended)
    }

    /// Takes those that the driver was given.
    fn take_sent(&mut self) {
        while let Ok(sending) = self.sent.try_recv() {
            self.sending.push(sending);
        }
    }

    fn drain_ended(&mut self, ended: &mut Vec<Sent>) {
        while let Some(Some(sent)) = self.sending.next().now_or_never() {
            ended.push(sent);
        }
    }

    fn settle_all(&mut self, mut ended: Vec<Sent>) -> Option<lapin::Error> {
        for Sent { outcome, .. } in &mut ended {
            if let Ok(
                LapinConfirmation::Ack(message @ Some(_))
                | LapinConfirmation::Nack(message @ Some(_)),
            ) = outcome
            {
                self.returned.extend(message.take());
            }
        }
        if !self.returned.is_empty() {
            ended.sort_unstable_by_key(|sent| sent.publish.number);
        }
        let mut failure = None;
        for Sent { publish, outcome } in ended {
            match outcome {
                Ok(confirmation) => {
                    let is_returned = self.returned.take(&publish);
                    publish.settle(&confirmation, is_returned);
                }
                Err(error) => {
                    self.failed.push(*publish);
                    failure = Some(error);
                }
            }
        }
        if self.sending.is_empty() {
            // No publish is left that could claim them.
            self.returned = Returned::default();
        }
        failure
    }

    /// Waits until every publish under way has ended. No channel is open, and so none begins.
    pub(super) async fn collect(&mut self) {
        self.take_sent();
        // Publishes that have ended are kept if this future is dropped.
        let collecting = async {
            while let Some(sent) = self.sending.next().await {
                self.ended.push(sent);
            }
        };
        // Those that never end are dropped, which their callers notice.
        let _ = tokio::time::timeout(GIVE_UP, collecting).await;
        self.sending = FuturesUnordered::new();
        self.channel = None;
        let ended = std::mem::take(&mut self.ended);
        self.settle_all(ended);
    }

    /// One of the failed publishes is to blame.
    fn suspect(&mut self) {
        self.failed.sort_unstable_by_key(|publish| publish.number);
        self.suspects.extend(self.failed.drain(..));
    }

    /// The publishes that have failed, in their order.
    pub(super) fn take_failed(&mut self) -> Vec<Publish> {
        let mut failed = std::mem::take(&mut self.failed);
        failed.extend(self.suspects.drain(..));
        failed.sort_unstable_by_key(|publish| publish.number);
        failed
    }

    /// The connection is lost. Puts failed publishes in front of those that wait, or gives them
    /// back.
    pub(super) fn requeue(&mut self, publisher: &Publisher, error: &Error) {
        let failed = self.take_failed().into_iter();
        let (given_back, again): (Vec<_>, Vec<_>) = failed.partition(|it| it.gives_back);
        let waiting = publisher.take_given_back();
        let given_back = given_back.into_iter().chain(waiting);
        given_back.for_each(|publish| publish.fail(error.clone()));
        publisher.wait_first(again);
    }

    /// Gives everything back.
    pub(super) fn end(&mut self, publisher: &Publisher) {
        let all = self.take_failed().into_iter().chain(publisher.end());
        all.for_each(|publish| publish.fail(Error::ConnectionClosed));
    }
}

/// Opens a channel that confirms publishes.
pub(super) async fn confirming_channel(live: &Live) -> lapin::Result<Arc<Channel>> {
    let channel = live.connection.create_channel().await?;
    let options = ConfirmSelectOptions::default();
    channel.confirm_select(options).await?;
    Ok(Arc::new(channel))
}
