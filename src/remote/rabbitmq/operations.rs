//! Declarations and other requests with an answer.

use std::{future::Future, pin::Pin, sync::Arc};

use lapin::{
    Channel,
    options::{BasicGetOptions, ExchangeDeleteOptions, QueueDeleteOptions, QueuePurgeOptions},
};

use super::{
    consuming::{self, Consuming, inbound},
    deliveries::Lost,
    fault,
    fields::checked,
    link::{Link, Live, RemoteLink},
    topology,
};
use crate::{
    engine::{queue::Move, vhost::QueueDeclared},
    model::{
        descriptions::{Exchange, Queue},
        error::{Error, Result},
        name::Name,
    },
    runtime::{
        completion::{Completion, completion},
        waiter::Waiting,
    },
    session::{
        backend::{
            Backend, Confirmation, Got, Outbound, RemoteConsumer, RemoteInbox, RemoteSettlement,
        },
        callers::Callers,
        events::EventStream,
    },
};

/// Why an operation failed.
pub(super) enum Fault {
    /// The server or the client says so.
    Client(lapin::Error),
    /// It cannot be asked for.
    Own(Error),
}

impl From<lapin::Error> for Fault {
    fn from(error: lapin::Error) -> Fault {
        Fault::Client(error)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        Fault::Own(error)
    }
}

type Running<T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + Send>>;

impl RemoteLink {
    /// Runs an operation. If the connection is lost meanwhile, it runs again on the next one if it
    /// `waits` for that.
    fn run<T: Send + 'static>(
        &self,
        waits: bool,
        operation: impl Fn(Arc<Link>, Arc<Live>) -> Running<T> + Send + 'static,
    ) -> Completion<Result<T>> {
        let (completer, completion) = completion();
        let link = Arc::clone(&self.link);
        self.spawn(async move {
            let mut last = None;
            let outcome = loop {
                if !waits && (last.is_some() || !link.is_up()) {
                    break Err(link.lost_error());
                }
                let live = match link.up(last.as_ref()).await {
                    Ok(live) => live,
                    Err(error) => break Err(error),
                };
                let done = tokio::select! {
                    done = operation(Arc::clone(&link), Arc::clone(&live)) => done,
                    // The client does not always answer what was asked for just before a loss.
                    () = link.left(&live) => {
                        last = Some(live);
                        continue;
                    }
                };
                match done {
                    Ok(done) => break Ok(done),
                    Err(Fault::Own(error)) => break Err(error),
                    Err(Fault::Client(error)) => {
                        if live.is_up() || fault::is_own_fault(&error) {
                            break Err(fault::of_operation(&error, &live.address));
                        }
                        last = Some(live);
                    }
                }
            };
            completer.complete(outcome);
        });
        completion
    }
}

impl Live {
    /// Runs an operation on the channel of declarations. An error of the server closes that
    /// channel, and the next operation opens another one.
    pub(super) async fn on_channel<T>(
        &self,
        operation: impl AsyncFnOnce(&Channel) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut place = self.channel.lock().await;
        let channel = match place.take().filter(|channel| channel.status().connected()) {
            Some(channel) => channel,
            None => self.connection.create_channel().await?,
        };
        let done = operation(&channel).await;
        // The server tells the end of the channel before it answers anything else.
        if channel.status().connected() {
            *place = Some(channel);
        }
        done
    }
}

impl Backend for RemoteLink {
    fn tell(&self, events: &Arc<EventStream>) {
        self.link.listen(events);
    }

    fn serve(&self, callers: &Arc<Callers>) {
        self.link.calls.serve(callers);
    }

    fn check_up(&self) -> Result {
        match self.link.is_up() {
            true => Ok(()),
            false => Err(self.link.lost_error()),
        }
    }

    fn check_unblocked(&self) -> Result {
        match self.link.events().is_some_and(|it| it.is_blocked()) {
            true => Err(Error::ResourceError(
                "the server has blocked the connection: it has too little memory or disk".into(),
            )),
            false => Ok(()),
        }
    }

    fn declare_exchange(&self, exchange: &Exchange) -> Completion<Result<()>> {
        let exchange = exchange.clone();
        self.run(true, move |link, live| {
            let exchange = exchange.clone();
            Box::pin(async move { topology::declare_exchange(&link, &live, &exchange).await })
        })
    }

    fn declare_queue(&self, queue: &Queue) -> Completion<Result<QueueDeclared>> {
        let queue = queue.clone();
        self.run(true, move |link, live| {
            let queue = queue.clone();
            Box::pin(async move { topology::declare_queue(&link, &live, &queue).await })
        })
    }

    fn delete_exchange(&self, name: &str) -> Completion<Result<()>> {
        let name = name.to_owned();
        self.run(true, move |link, live| {
            let name = name.clone();
            Box::pin(async move {
                link.topology.lock().forget_exchange(&name);
                let options = ExchangeDeleteOptions::default();
                let name = checked(&name)?;
                live.on_channel(async |channel| Ok(channel.exchange_delete(name, options).await?))
                    .await
            })
        })
    }

    fn delete_queue(&self, name: &str) -> Completion<Result<u64>> {
        let name = name.to_owned();
        self.run(true, move |link, live| {
            let name = name.clone();
            Box::pin(async move {
                link.topology.lock().forget_queue(&name);
                let options = QueueDeleteOptions::default();
                let name = checked(&name)?;
                live.on_channel(async |channel| {
                    Ok(u64::from(channel.queue_delete(name, options).await?))
                })
                .await
            })
        })
    }

    fn ready_len(&self, queue: &Name) -> Completion<Result<usize>> {
        let queue = Queue::existing(&**queue);
        self.run(false, move |link, live| {
            let queue = queue.clone();
            Box::pin(async move {
                let declared = topology::declare_queue(&link, &live, &queue).await?;
                Ok(declared.message_count as usize)
            })
        })
    }

    fn purge(&self, queue: &Name, waits: bool) -> Completion<Result<u64>> {
        let queue = queue.clone();
        self.run(waits, move |_, live| {
            let queue = queue.clone();
            Box::pin(async move {
                let queue = checked(&queue)?;
                let options = QueuePurgeOptions::default();
                live.on_channel(async |channel| {
                    Ok(u64::from(channel.queue_purge(queue, options).await?))
                })
                .await
            })
        })
    }

    fn get(&self, queue: &Name, waits: bool) -> Completion<Result<Option<Got>>> {
        let queue = queue.clone();
        self.run(waits, move |link, live| {
            let queue = queue.clone();
            Box::pin(async move { get(&link, &live, &queue).await })
        })
    }

    fn publish(&self, message: Outbound) -> Completion<Confirmation> {
        let Link {
            calls, publisher, ..
        } = &*self.link;
        let publisher = if calls.is_for(&message) {
            calls
        } else {
            publisher
        };
        publisher.publish(message, self.link.settings.unconfirmed)
    }

    fn publish_all(&self, messages: Vec<Outbound>) -> Vec<Completion<Confirmation>> {
        let Link {
            calls, publisher, ..
        } = &*self.link;
        match messages.iter().any(|message| calls.is_for(message)) {
            true => messages.into_iter().map(|it| self.publish(it)).collect(),
            false => publisher.publish_all(messages, self.link.settings.unconfirmed),
        }
    }

    fn subscribe(
        &self,
        consumer: RemoteConsumer,
        inbox: Arc<RemoteInbox>,
    ) -> Completion<Result<u64>> {
        let number = self.link.next_consumer();
        let consuming = Arc::new(Consuming::new(number, consumer, inbox));
        self.run(true, move |link, live| {
            let consuming = Arc::clone(&consuming);
            Box::pin(async move {
                link.consumers.lock().insert(number, Arc::clone(&consuming));
                match consuming::start(&link, &live, &consuming).await {
                    Ok(()) => {
                        // Its receiver may have gone meanwhile, and does not know the number.
                        if consuming.is_unwanted() {
                            link.consumers.lock().remove(&number);
                            consuming.cancel().await;
                        }
                        Ok(number)
                    }
                    Err(fault) => {
                        link.consumers.lock().remove(&number);
                        Err(fault)
                    }
                }
            })
        })
    }

    fn cancel(&self, consumer: u64) {
        let consuming = self.link.consumers.lock().remove(&consumer);
        if let Some(consuming) = consuming {
            self.spawn(async move { consuming.cancel().await });
        }
    }

    fn settle(&self, delivery: u64, settlement: RemoteSettlement) -> Result {
        let settled = self.link.deliveries.settle(delivery, settlement);
        settled.map_err(|Lost| self.link.lost_error())
    }

    fn dead_letters_of(&self, queue: &Name) -> Option<(Name, Option<Name>)> {
        self.link.topology.lock().dead_letters_of(queue)
    }

    fn replace(&self, delivery: u64, message: Outbound, under_way: Move) -> Result {
        let found = self.link.deliveries.find(delivery);
        found.map_err(|Lost| self.link.lost_error())?;
        let published = self.publish(message);
        let link = Arc::clone(&self.link);
        self.spawn(async move {
            let settlement = match Waiting::new(published).await {
                Some(Ok(_)) => RemoteSettlement::Ack,
                Some(Err(_)) | None => RemoteSettlement::Reject,
            };
            // A lost connection has given it back, and it comes again.
            let _ = link.deliveries.settle(delivery, settlement);
            drop(under_way);
        });
        Ok(())
    }

    fn close(&self) {
        self.close();
    }
}

async fn get(link: &Arc<Link>, live: &Live, queue: &Name) -> Result<Option<Got>, Fault> {
    let mut place = live.gets.lock().await;
    let known = (*place).and_then(|number| Some((number, link.deliveries.channel(number)?)));
    let known = known.filter(|(_, channel)| channel.status().connected());
    let (number, channel) = match known {
        Some(known) => known,
        None => {
            let channel = live.connection.create_channel().await?;
            let number = link.deliveries.add(channel.clone());
            *place = Some(number);
            (number, channel)
        }
    };
    let options = BasicGetOptions::default();
    let message = channel.basic_get(checked(queue)?, options).await?;
    Ok(message.and_then(|message| {
        let tag = message.delivery.delivery_tag;
        let number = link.deliveries.arrived(number, tag)?;
        let link = Arc::clone(link);
        Some(Got::new(inbound(number, message.delivery), move |number| {
            // A lost connection has given it back by itself.
            let _ = link.deliveries.settle(number, RemoteSettlement::Requeue);
        }))
    }))
}
