//! [`Calls`], the channel of requests and streams of replies.
//!
//! RabbitMQ sends a direct reply on the channel of the message that it is a reply to. So the end of
//! the channel is the end of all replies to what was sent on it.

use futures_util::stream::StreamExt;
use lapin::{Consumer, options::BasicConsumeOptions, types::FieldTable};
use tokio::sync::mpsc::UnboundedReceiver;

use super::{
    fault,
    fields::of_properties,
    link::{Link, Live},
    publishing::{Publish, Sending, Sent},
    unsettled::{Unsettled, confirming_channel},
};
use crate::{
    engine::vhost::REPLY_TO,
    model::{bytes::Bytes, error::Error},
};

/// The channel of requests. It is opened for the first of them. The driver alone has it.
pub(super) struct Calls {
    unsettled: Unsettled,
    replies: Option<Consumer>,
}

/// An event of the channel.
pub(super) enum Happened {
    /// A publish has ended.
    Sent(Box<Sent>),
    /// The channel has ended.
    Over(Option<lapin::Error>),
}

impl Calls {
    pub(super) fn new(sent: UnboundedReceiver<Sending>) -> Calls {
        Calls {
            unsettled: Unsettled::new(sent),
            replies: None,
        }
    }

    /// Opens the channel on a connection, for the publishes that wait.
    ///
    /// # Errors
    /// Those of a lost connection, and of too many channels.
    pub(super) async fn open(&mut self, link: &Link, live: &Live) -> lapin::Result<()> {
        let channel = confirming_channel(live).await?;
        let options = BasicConsumeOptions {
            no_ack: true,
            ..BasicConsumeOptions::default()
        };
        let arguments = FieldTable::default();
        let replies = channel.basic_consume(REPLY_TO.into(), "".into(), options, arguments);
        self.replies = Some(replies.await?);
        self.unsettled.start(&link.calls, channel);
        Ok(())
    }

    /// Gives replies to their callers, until something else happens.
    pub(super) async fn next(&mut self, link: &Link) -> Happened {
        loop {
            let reply = async {
                match &mut self.replies {
                    Some(replies) => replies.next().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                reply = reply => match reply {
                    Some(Ok(reply)) => if let Some(callers) = link.calls.callers() {
                        let properties = of_properties(&reply.properties);
                        callers.reply(&properties, Bytes::from(reply.data));
                    },
                    Some(Err(error)) => return Happened::Over(Some(error)),
                    None => return Happened::Over(None),
                },
                sent = self.unsettled.next() => return Happened::Sent(Box::new(sent)),
            }
        }
    }

    /// Settles what has happened. If the channel has ended, the calls on it end.
    ///
    /// # Errors
    /// That of a lost connection.
    pub(super) async fn settle(
        &mut self,
        link: &Link,
        live: &Live,
        happened: Happened,
    ) -> Result<(), String> {
        let error = match happened {
            Happened::Sent(sent) => match self.unsettled.settle_ended(&link.calls, *sent) {
                Some(error) => Some(error),
                None => return Ok(()),
            },
            Happened::Over(error) => error,
        };
        let text = || "the channel of calls has ended".to_owned();
        let text = error.as_ref().map_or_else(text, lapin::Error::to_string);
        if !live.is_up() {
            return Err(text);
        }
        link.calls.suspend(None);
        self.unsettled.collect().await;
        let lost = fault::lost(&live.address, &text);
        let refused = error.filter(fault::is_own_fault);
        let refused = refused.map(|error| fault::of_operation(&error, &live.address));
        let failed = self.unsettled.take_failed();
        let is_only_one = failed.len() == 1;
        for publish in failed {
            let error = match &refused {
                Some(refused) if is_only_one || is_guilty(&publish, refused) => refused,
                _ => &lost,
            };
            publish.fail(error.clone());
        }
        self.end_calls(link, &lost);
        // Another channel is opened for those that have come meanwhile.
        link.calls.resume();
        Ok(())
    }

    /// The channel could not be opened, on a connection that is up. What waits for it ends.
    pub(super) fn refuse(&mut self, link: &Link, error: &Error) {
        for publish in link.calls.take_waiting() {
            publish.fail(error.clone());
        }
        self.end_calls(link, error);
    }

    /// The connection is lost. The calls on it end, and those that wait go on.
    pub(super) async fn lose(&mut self, link: &Link, error: &Error) {
        link.calls.suspend(Some(error.clone()));
        self.unsettled.collect().await;
        for publish in self.unsettled.take_failed() {
            publish.fail(error.clone());
        }
        self.unsettled.requeue(&link.calls, error);
        self.end_calls(link, error);
    }

    /// The link is closed. Everything ends.
    pub(super) async fn end(&mut self, link: &Link) {
        link.calls.suspend(None);
        self.unsettled.collect().await;
        self.unsettled.end(&link.calls);
        self.end_calls(link, &Error::ConnectionClosed);
    }

    fn end_calls(&mut self, link: &Link, error: &Error) {
        self.replies = None;
        if let Some(callers) = link.calls.callers() {
            callers.lost(error);
        }
    }
}

/// Whether the server has closed the channel because of this publish. It names the exchange.
fn is_guilty(publish: &Publish, error: &Error) -> bool {
    let named = format!("'{}'", &*publish.message.exchange);
    error.to_string().contains(&named)
}
