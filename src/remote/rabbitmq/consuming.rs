//! Consumers and their deliveries.
//!
//! Each consumer has a channel of its own. So an error of one harms no other, and the limit of
//! unsettled deliveries is its own.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, OnceLock},
};

use futures_util::stream::StreamExt;
use lapin::{
    Channel, Consumer,
    message::Delivery,
    options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions},
    types::{AMQPValue, FieldTable},
};

use super::{
    fault,
    fields::{checked, of_properties},
    link::{Link, Live},
    operations::Fault,
};
use crate::{
    model::{
        bytes::Bytes,
        error::{CancelReason, Error, Result},
        name::Name,
    },
    runtime::sync::Mutex,
    session::backend::{Inbound, RemoteConsumer, RemoteInbox, RemoteSettlement},
};

/// A consumer of the handles. It goes on when its connection is lost.
pub(super) struct Consuming {
    pub(super) number: u64,
    consumer: RemoteConsumer,
    inbox: Arc<RemoteInbox>,
    /// The channel and the tag of it there, while it is started. A leaf lock.
    started: Mutex<Option<(Channel, Name)>>,
    ended: OnceLock<()>,
}

impl Consuming {
    pub(super) fn new(number: u64, consumer: RemoteConsumer, inbox: Arc<RemoteInbox>) -> Consuming {
        Consuming {
            number,
            consumer,
            inbox,
            started: Mutex::new(None),
            ended: OnceLock::new(),
        }
    }

    /// Whether its receiver has ended.
    pub(super) fn is_unwanted(&self) -> bool {
        self.inbox.is_closed()
    }

    /// The connection is lost.
    pub(super) fn lost(&self) {
        self.inbox.lost();
    }

    /// Ends it for its receiver.
    pub(super) fn ended(&self, reason: CancelReason) {
        let _ = self.ended.set(());
        self.inbox.cancelled(reason);
    }

    /// Ends it at the server. Its deliveries can still be settled.
    pub(super) async fn cancel(&self) {
        let _ = self.ended.set(());
        let started = self.started.lock().take();
        if let Some((channel, tag)) = started {
            let options = BasicCancelOptions::default();
            // A lost connection has ended it by itself.
            if let Ok(tag) = checked(&tag) {
                let _ = channel.basic_cancel(tag, options).await;
            }
        }
    }
}

/// Starts a consumer on a connection. A consumer that reads may start itself again, so that the
/// future is a box.
pub(super) fn start<'a>(
    link: &'a Arc<Link>,
    live: &'a Arc<Live>,
    consuming: &'a Arc<Consuming>,
) -> Pin<Box<dyn Future<Output = Result<(), Fault>> + Send + 'a>> {
    Box::pin(start_now(link, live, consuming))
}

async fn start_now(
    link: &Arc<Link>,
    live: &Arc<Live>,
    consuming: &Arc<Consuming>,
) -> Result<(), Fault> {
    let RemoteConsumer {
        queue,
        tag,
        prefetch,
        priority,
        exclusive,
        timeout,
    } = &consuming.consumer;
    let channel = live.connection.create_channel().await?;
    if *prefetch > 0 {
        let prefetch = u16::try_from(*prefetch).unwrap_or(u16::MAX);
        channel
            .basic_qos(prefetch, BasicQosOptions::default())
            .await?;
    }
    let mut arguments = FieldTable::default();
    if *priority != 0 {
        arguments.insert("x-priority".into(), AMQPValue::LongLongInt(*priority));
    }
    if let Some(timeout) = timeout {
        let millis = i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX);
        arguments.insert("x-consumer-timeout".into(), AMQPValue::LongLongInt(millis));
    }
    let options = BasicConsumeOptions {
        exclusive: *exclusive,
        ..BasicConsumeOptions::default()
    };
    let consumer = channel
        .basic_consume(checked(queue)?, checked(tag)?, options, arguments)
        .await?;
    let tag = Name::new(consumer.tag().as_str()).map_err(Error::from)?;
    *consuming.started.lock() = Some((channel.clone(), tag));
    let number = link.deliveries.add(channel);
    let (link, live) = (Arc::clone(link), Arc::clone(live));
    let consuming = Arc::clone(consuming);
    tokio::spawn(async move {
        read(&link, &live, &consuming, consumer, number).await;
    });
    Ok(())
}

/// Takes the deliveries of a consumer until it ends.
async fn read(
    link: &Arc<Link>,
    live: &Arc<Live>,
    consuming: &Arc<Consuming>,
    mut consumer: Consumer,
    channel: u32,
) {
    let error = loop {
        match consumer.next().await {
            Some(Ok(delivery)) => {
                // None of a lost channel, whose messages come again.
                let Some(number) = link.deliveries.arrived(channel, delivery.delivery_tag) else {
                    continue;
                };
                let delivery = inbound(number, delivery);
                if let Err(unwanted) = consuming.inbox.deliver(delivery) {
                    // A lost connection has given it back by itself.
                    let _ = link.deliveries.settle(unwanted, RemoteSettlement::Requeue);
                    link.consumers.lock().remove(&consuming.number);
                    consuming.cancel().await;
                }
            }
            Some(Err(error)) => break Some(error),
            None => break None,
        }
    };
    match error {
        None => {
            link.deliveries.over(channel);
            let known = link.consumers.lock().remove(&consuming.number);
            if known.is_some() && consuming.ended.get().is_none() {
                consuming.ended(CancelReason::QueueDeleted);
            }
        }
        Some(_) if consuming.ended.get().is_some() => link.deliveries.lose(channel),
        Some(error) => {
            link.deliveries.lose(channel);
            if !live.is_up() {
                // The driver starts it again.
                return;
            }
            // The server has closed its channel, because a delivery took too long, say.
            link.note_fault(&live.address, error);
            consuming.lost();
            start_again(link, live, consuming).await;
        }
    }
}

/// Starts a consumer again. If the server refuses it, its receiver gets to know.
async fn start_again(link: &Arc<Link>, live: &Arc<Live>, consuming: &Arc<Consuming>) {
    match start(link, live, consuming).await {
        Ok(()) => {}
        Err(Fault::Client(error)) if !fault::is_own_fault(&error) => {}
        Err(_) => {
            link.consumers.lock().remove(&consuming.number);
            consuming.ended(CancelReason::QueueDeleted);
        }
    }
}

/// Starts the consumers of earlier connections.
///
/// # Errors
/// That of a lost connection.
pub(super) async fn restore(link: &Arc<Link>, live: &Arc<Live>) -> Result {
    let consumers: Vec<_> = link.consumers.lock().values().cloned().collect();
    for consuming in consumers {
        start_again(link, live, &consuming).await;
    }
    match live.is_up() {
        true => Ok(()),
        false => Err(link.note_fault(&live.address, "it was lost again")),
    }
}

/// A delivery with its number.
pub(super) fn inbound(number: u64, delivery: Delivery) -> Inbound {
    let name = |name: &lapin::types::ShortString| {
        // A short string has 255 octets at most.
        Name::new(name.as_str()).unwrap_or_default()
    };
    Inbound {
        delivery: number,
        exchange: name(&delivery.exchange),
        routing_key: name(&delivery.routing_key),
        redelivered: delivery.redelivered,
        properties: of_properties(&delivery.properties),
        body: Bytes::from(delivery.data),
    }
}
