//! The channel of a peer, and the methods on it that are answered at once.

use std::{future::Future, pin::Pin};

use super::{
    content::{Content, Whole},
    fault::Fault,
    output::Output,
    publisher::{Publish, Publisher},
};
use crate::{
    model::{
        descriptions::{Exchange, Queue},
        error::{Error, Result},
        field_value::FieldTable,
    },
    protocol::amqp::codec::Method,
    session::{
        channel::{Channel, ConsumeOptions, IfEmpty, IfUnused, RouteAtOnce},
        requeue::Requeue,
    },
};

/// An open channel of the peer.
pub(super) struct ServerChannel {
    pub(super) number: u16,
    pub(super) channel: Channel,
    pub(super) content: Content,
    /// The route of the last message. It is forgotten with every method but the frequent ones.
    pub(super) last_route: Option<RouteAtOnce>,
    /// Since the first publish that was not done at once.
    pub(super) publisher: Option<Publisher>,
    /// A transaction that waits for the disk.
    pub(super) commit: Option<Commit>,
    /// The tag of the last delivery that was sent.
    pub(super) last_sent: u64,
}

/// The commit of a transaction.
pub(super) type Commit = Pin<Box<dyn Future<Output = Result> + Send>>;

fn if_unused(flag: bool) -> IfUnused {
    match flag {
        true => IfUnused::Yes,
        false => IfUnused::No,
    }
}

fn if_empty(flag: bool) -> IfEmpty {
    match flag {
        true => IfEmpty::Yes,
        false => IfEmpty::No,
    }
}

pub(super) fn requeue(flag: bool) -> Requeue {
    match flag {
        true => Requeue::Yes,
        false => Requeue::No,
    }
}

/// A count as AMQP has it.
pub(super) fn count(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl ServerChannel {
    /// Sends the answer of a method, unless the peer wants none.
    #[inline]
    pub(super) fn answer(&self, no_wait: bool, method: &Method<'_>, output: &mut Output) {
        output.answer(self.number, no_wait, method);
    }

    /// Publishes a message. `false` if it cannot be done at once. The publisher has it then.
    #[inline]
    pub(super) fn publish(&mut self, (properties, body): Whole) -> bool {
        let (exchange, key, options) = self.content.address();
        let (core, last) = (self.channel.core(), &mut self.last_route);
        let address = (exchange, key);
        let at_once = core.publish_by_last_route(last, address, body, properties, options);
        let Err((body, properties)) = at_once else {
            return true;
        };
        let message = Publish {
            exchange: exchange.to_owned(),
            routing_key: key.to_owned(),
            options,
            properties,
            body,
        };
        let publisher = &mut self.publisher;
        let publisher = publisher.get_or_insert_with(|| Publisher::new(&self.channel));
        publisher.begin(message);
        false
    }

    /// A method that is answered at once.
    #[inline]
    pub(super) fn method(&self, method: Method<'_>, output: &mut Output) -> Result<(), Fault> {
        let id = method.id();
        let done = match method {
            Method::BasicAck {
                delivery_tag,
                multiple,
            } => self.channel.basic_ack(delivery_tag, multiple.into()),
            Method::BasicNack {
                delivery_tag,
                multiple_requeue: [multiple, again],
            } => {
                let again = requeue(again);
                self.channel
                    .basic_nack(delivery_tag, multiple.into(), again)
            }
            Method::BasicReject {
                delivery_tag,
                requeue: again,
            } => self.channel.basic_reject(delivery_tag, requeue(again)),
            other => self.other_method(other, output)?,
        };
        done.map_err(|error| Fault::of(&error, id))
    }

    /// The outer error is that of a method that no channel has.
    fn other_method(&self, method: Method<'_>, output: &mut Output) -> Result<Result, Fault> {
        match method.id().0 {
            40 => self.exchange_method(method, output),
            50 => self.queue_method(method, output),
            60 => self.basic_method(method, output),
            _ => self.mode_method(method, output),
        }
    }

    fn exchange_method(&self, method: Method<'_>, output: &mut Output) -> Result<Result, Fault> {
        let channel = &self.channel;
        let (done, no_wait, answer) = match method {
            Method::ExchangeDeclare {
                exchange,
                kind,
                passive_durable_auto_delete_internal_no_wait:
                    [passive, durable, auto, internal, no_wait],
                arguments,
                ..
            } => {
                let done = match passive {
                    true => channel.exchange_declare_passive(exchange),
                    false => {
                        let mut declared = Exchange::new(exchange, kind).arguments(arguments);
                        if durable {
                            declared = declared.durable();
                        }
                        if auto {
                            declared = declared.auto_delete();
                        }
                        if internal {
                            declared = declared.internal();
                        }
                        channel.exchange_declare(&declared)
                    }
                };
                (done, no_wait, Method::ExchangeDeclareOk {})
            }
            Method::ExchangeDelete {
                exchange,
                if_unused_no_wait: [unused, no_wait],
                ..
            } => {
                let done = channel.exchange_delete(exchange, if_unused(unused));
                (done, no_wait, Method::ExchangeDeleteOk {})
            }
            Method::ExchangeBind {
                destination,
                source,
                routing_key,
                no_wait,
                arguments,
                ..
            } => {
                let done = channel.exchange_bind(destination, source, routing_key, arguments);
                (done, no_wait, Method::ExchangeBindOk {})
            }
            Method::ExchangeUnbind {
                destination,
                source,
                routing_key,
                no_wait,
                arguments,
                ..
            } => {
                let done = channel.exchange_unbind(destination, source, routing_key, arguments);
                (done, no_wait, Method::ExchangeUnbindOk {})
            }
            other => return Err(unimplemented(&other)),
        };
        Ok(done.map(|()| self.answer(no_wait, &answer, output)))
    }

    fn queue_method(&self, method: Method<'_>, output: &mut Output) -> Result<Result, Fault> {
        let channel = &self.channel;
        Ok(match method {
            Method::QueueDeclare {
                queue,
                passive_durable_exclusive_auto_delete_no_wait:
                    [passive, durable, exclusive, auto, no_wait],
                arguments,
                ..
            } => {
                let declared = match passive {
                    true => channel.queue_declare_passive(queue),
                    false => {
                        let flags = [durable, exclusive, auto];
                        channel.queue_declare(&described(queue, flags, arguments))
                    }
                };
                declared.map(|declared| {
                    let answer = Method::QueueDeclareOk {
                        queue: &declared.name,
                        message_count: count(declared.message_count),
                        consumer_count: count(declared.consumer_count),
                    };
                    self.answer(no_wait, &answer, output);
                })
            }
            Method::QueueBind {
                queue,
                exchange,
                routing_key,
                no_wait,
                arguments,
                ..
            } => channel
                .queue_bind(queue, exchange, routing_key, arguments)
                .map(|()| self.answer(no_wait, &Method::QueueBindOk {}, output)),
            Method::QueueUnbind {
                queue,
                exchange,
                routing_key,
                arguments,
                ..
            } => channel
                .queue_unbind(queue, exchange, routing_key, arguments)
                .map(|()| self.answer(false, &Method::QueueUnbindOk {}, output)),
            Method::QueuePurge { queue, no_wait, .. } => channel.queue_purge(queue).map(|purged| {
                let message_count = count(purged);
                self.answer(no_wait, &Method::QueuePurgeOk { message_count }, output);
            }),
            Method::QueueDelete {
                queue,
                if_unused_if_empty_no_wait: [unused, empty, no_wait],
                ..
            } => channel
                .queue_delete(queue, if_unused(unused), if_empty(empty))
                .map(|deleted| {
                    let message_count = count(deleted);
                    self.answer(no_wait, &Method::QueueDeleteOk { message_count }, output);
                }),
            other => return Err(unimplemented(&other)),
        })
    }

    fn basic_method(&self, method: Method<'_>, output: &mut Output) -> Result<Result, Fault> {
        let channel = &self.channel;
        Ok(match method {
            Method::BasicQos {
                prefetch_size,
                prefetch_count,
                global,
            } => channel
                .basic_qos(prefetch_size, prefetch_count, global.into())
                .map(|()| self.answer(false, &Method::BasicQosOk {}, output)),
            Method::BasicConsume {
                queue,
                consumer_tag,
                no_local_no_ack_exclusive_no_wait: [no_local, no_ack, exclusive, no_wait],
                arguments,
                ..
            } => {
                let mut options = ConsumeOptions::new().tag(consumer_tag).arguments(arguments);
                if no_local {
                    options = options.no_local();
                }
                if no_ack {
                    options = options.auto_ack();
                }
                if exclusive {
                    options = options.exclusive();
                }
                // Deliveries are read later, so that the answer comes before them.
                channel.basic_consume(queue, options).map(|tag| {
                    let answer = Method::BasicConsumeOk { consumer_tag: &tag };
                    self.answer(no_wait, &answer, output);
                })
            }
            // The answer to a cancellation by the broker.
            Method::BasicCancelOk { .. } => Ok(()),
            other => return Err(unimplemented(&other)),
        })
    }

    /// The methods of the channel itself, of confirms and of transactions.
    fn mode_method(&self, method: Method<'_>, output: &mut Output) -> Result<Result, Fault> {
        let channel = &self.channel;
        Ok(match method {
            Method::ChannelFlow { active: true } => {
                self.answer(false, &Method::ChannelFlowOk { active: true }, output);
                Ok(())
            }
            Method::ChannelFlow { active: false } => Err(Error::not_implemented("active=false")),
            Method::AccessRequest { .. } => {
                self.answer(false, &Method::AccessRequestOk { ticket: 1 }, output);
                Ok(())
            }
            Method::ConfirmSelect { no_wait } => channel
                .confirm_select()
                .map(|()| self.answer(no_wait, &Method::ConfirmSelectOk {}, output)),
            Method::TxSelect {} => channel
                .tx_select()
                .map(|()| self.answer(false, &Method::TxSelectOk {}, output)),
            Method::TxRollback {} => channel
                .tx_rollback()
                .map(|()| self.answer(false, &Method::TxRollbackOk {}, output)),
            Method::ChannelOpen { .. } => {
                let fault = Fault::of_connection(504, "second 'channel.open' seen");
                return Err(fault.with(method.id()));
            }
            other => return Err(unimplemented(&other)),
        })
    }
}

/// A queue as it is declared.
fn described(queue: &str, [durable, exclusive, auto]: [bool; 3], arguments: FieldTable) -> Queue {
    let mut described = Queue::new(queue).arguments(arguments);
    if durable {
        described = described.durable();
    }
    if exclusive {
        described = described.exclusive_flag();
    }
    if auto {
        described = described.auto_delete();
    }
    described
}

/// 503: a method that only a server sends, or that belongs to another place.
fn unimplemented(method: &Method<'_>) -> Fault {
    Fault::of_connection(503, "unimplemented method").with(method.id())
}
