//! The events of the broker, as the peer is told them.

use super::{
    channel,
    output::Output,
    session::{Session, Slot},
};
use crate::{
    model::error::{CancelReason, Error},
    protocol::amqp::codec::Method,
    session::{
        channel::{ChannelDelivery, ConfirmOutcome, Event},
        receive::RecvError,
        requeue::Requeue,
    },
};

impl Session {
    /// Answers a get. Deliveries go out in the order of their tags.
    pub(super) fn answer_get(
        &mut self,
        number: u16,
        got: Option<&ChannelDelivery>,
        output: &mut Output,
    ) {
        let Some(got) = got else {
            return output.method(number, &Method::BasicGetEmpty { cluster_id: "" });
        };
        let mut later = None;
        while let Some((other, event)) = self.next_event() {
            match event {
                Event::Delivery(delivery)
                    if other == number && delivery.delivery_tag() > got.delivery_tag() =>
                {
                    later = Some(Event::Delivery(delivery));
                    break;
                }
                event => self.event(other, event, output),
            }
        }
        let exchange = got.exchange();
        let answer = Method::BasicGetOk {
            delivery_tag: got.delivery_tag(),
            redelivered: got.redelivered(),
            exchange: &exchange,
            routing_key: got.routing_key().into(),
            message_count: channel::count(got.message_count()),
        };
        self.message(number, got, &answer, output);
        if let Some(event) = later {
            self.event(number, event, output);
        }
    }

    /// Sends all events that are there.
    pub(super) fn drain(&mut self, output: &mut Output) {
        while let Some((number, event)) = self.next_event() {
            self.event(number, event, output);
        }
    }

    /// The error of a connection that the broker has ended, by the reason in its stream. A method
    /// would tell the state of now: the broker may have ended since the user was deleted.
    pub(super) fn end(&self, error: &RecvError) -> Error {
        let RecvError::Cancelled(reason) = error else {
            return Error::ConnectionClosed;
        };
        match reason {
            CancelReason::VhostDeleted => Error::VhostDeleted {
                vhost: self.connection.vhost().clone(),
            },
            CancelReason::UserDeleted => Error::UserDeleted {
                user: self.connection.user().clone(),
            },
            CancelReason::ShutDown => Error::ShutDown,
            CancelReason::BrokerDropped => Error::BrokerDropped,
            _ => Error::ConnectionClosed,
        }
    }

    /// Tells the peer of an event.
    #[inline]
    pub(super) fn event(&mut self, number: u16, event: Event, output: &mut Output) {
        match event {
            Event::Delivery(delivery) => {
                let exchange = delivery.exchange();
                let method = Method::BasicDeliver {
                    consumer_tag: delivery.consumer_tag(),
                    delivery_tag: delivery.delivery_tag(),
                    redelivered: delivery.redelivered(),
                    exchange: &exchange,
                    routing_key: delivery.routing_key().into(),
                };
                self.message(number, &delivery, &method, output);
            }
            Event::Return(returned) => {
                let method = Method::BasicReturn {
                    reply_code: returned.reply_code,
                    reply_text: returned.reply_text,
                    exchange: &returned.exchange,
                    routing_key: (&*returned.routing_key).into(),
                };
                // It came from the peer, so that it can be encoded.
                let _ = output.content(number, &method, &returned.properties, &returned.body);
            }
            Event::Confirm(confirm) => {
                let (delivery_tag, multiple) = (confirm.delivery_tag, confirm.multiple);
                let method = match confirm.outcome {
                    ConfirmOutcome::Ack => Method::BasicAck {
                        delivery_tag,
                        multiple,
                    },
                    ConfirmOutcome::Nack => Method::BasicNack {
                        delivery_tag,
                        multiple_requeue: [multiple, false],
                    },
                };
                output.method(number, &method);
            }
            Event::Blocked { reason } if self.capabilities.connection_blocked => {
                let reason = &reason.to_string();
                output.method(0, &Method::ConnectionBlocked { reason });
            }
            Event::Unblocked if self.capabilities.connection_blocked => {
                output.method(0, &Method::ConnectionUnblocked {});
            }
            // The last two are of a connection to an engine outside, which has no channels.
            Event::Blocked { .. }
            | Event::Unblocked
            | Event::ConnectionLost { .. }
            | Event::ConnectionRestored { .. } => {}
            Event::Cancelled { consumer_tag, .. } => {
                if self.capabilities.consumer_cancel_notify {
                    let cancel = Method::BasicCancel {
                        consumer_tag: &consumer_tag,
                        no_wait: true,
                    };
                    output.method(number, &cancel);
                }
            }
        }
    }

    /// Sends a message. One that AMQP cannot carry is rejected: a [`Local`](crate::Local), or one
    /// with a property that is too long.
    #[inline]
    fn message(
        &mut self,
        number: u16,
        delivery: &ChannelDelivery,
        method: &Method<'_>,
        output: &mut Output,
    ) {
        let is_sent = delivery.body().is_ok_and(|body| {
            let properties = delivery.properties();
            output.content(number, method, properties, &body).is_ok()
        });
        let Some(Slot::Open(channel)) = self.channels.get_mut(&number) else {
            return;
        };
        let delivery_tag = delivery.delivery_tag();
        match is_sent {
            true => channel.last_sent = channel.last_sent.max(delivery_tag),
            // With auto-ack it is settled already.
            false => drop(channel.channel.basic_reject(delivery_tag, Requeue::No)),
        }
    }
}
