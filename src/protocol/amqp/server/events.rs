//! The events of the broker, as the peer is told them.

use std::{collections::VecDeque, mem};

use super::{
    channel,
    output::Output,
    session::{Session, Slot},
};
use crate::{
    model::error::{CancelReason, Error},
    protocol::amqp::codec::{Delivery, Method},
    session::{
        channel::{ChannelDelivery, ConfirmOutcome, Event},
        events::note_reads,
        receive::RecvError,
        requeue::Requeue,
    },
};

/// Events that the peer is told together, of which the first `told` are done.
///
/// # If dropped
/// The session has the others again. The reads of those that are done are noted, and they are
/// dropped. Both run user code.
struct Telling<'a> {
    session: &'a mut Session,
    events: VecDeque<(u16, Event)>,
    told: usize,
}

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        let events = &mut self.session.taken;
        *events = mem::take(&mut self.events);
        note_reads(events.iter().take(self.told).map(|(_, event)| event));
        drop(events.drain(..self.told));
    }
}

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
        for _ in 0..self.untold() {
            let Some((other, event)) = self.next_event() else {
                break;
            };
            match event {
                Event::Delivery(delivery)
                    if other == number && delivery.delivery_tag() > got.delivery_tag() =>
                {
                    later = Some(Event::Delivery(delivery));
                    break;
                }
                event => self.event(other, &event, output),
            }
        }
        let exchange = got.exchange_name();
        let answer = Method::BasicGetOk {
            delivery_tag: got.delivery_tag(),
            redelivered: got.redelivered(),
            exchange: &exchange,
            routing_key: got.routing_key().into(),
            message_count: channel::count(got.message_count()),
        };
        let is_sent = got.content().is_ok_and(|(properties, body)| {
            let written = output.content(number, &answer, properties, &body);
            written.is_ok()
        });
        self.note_sent(number, got.delivery_tag(), is_sent);
        if let Some(event) = later {
            self.event(number, &event, output);
        }
    }

    /// Sends all events that are there. What queues deliver meanwhile waits, however much it is.
    pub(super) fn drain(&mut self, output: &mut Output) {
        for _ in 0..self.untold() {
            if let Some((number, event)) = self.next_event() {
                self.event(number, &event, output);
            }
        }
    }

    /// Sends the events that were taken together, while there is room.
    pub(super) fn tell_taken(&mut self, output: &mut Output) {
        let mut telling = Telling {
            events: mem::take(&mut self.taken),
            session: self,
            told: 0,
        };
        let Telling {
            session,
            events,
            told,
        } = &mut telling;
        for (number, event) in &*events {
            if output.is_full() {
                break;
            }
            *told += 1;
            if let Event::Delivery(delivery) = event {
                delivery.show_taps();
            }
            session.event(*number, event, output);
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
    pub(super) fn event(&mut self, number: u16, event: &Event, output: &mut Output) {
        match event {
            Event::Delivery(delivery) => {
                let exchange = delivery.exchange_name();
                let delivered = Delivery {
                    consumer_tag: delivery.consumer_tag(),
                    delivery_tag: delivery.delivery_tag(),
                    redelivered: delivery.redelivered(),
                    exchange: &exchange,
                    routing_key: delivery.routing_key(),
                };
                let is_sent = delivery.content().is_ok_and(|(properties, body)| {
                    let written = output.delivery(number, &delivered, properties, &body);
                    written.is_ok()
                });
                self.note_sent(number, delivered.delivery_tag, is_sent);
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
                        consumer_tag,
                        no_wait: true,
                    };
                    output.method(number, &cancel);
                }
            }
        }
    }

    /// Notes whether a message was sent. One that AMQP cannot carry is rejected: a
    /// [`Local`](crate::Local), or one with a property that is too long.
    #[inline]
    fn note_sent(&mut self, number: u16, delivery_tag: u64, is_sent: bool) {
        let Some(Slot::Open(channel)) = self.channels.get_mut(&number) else {
            return;
        };
        match is_sent {
            true => channel.last_sent = channel.last_sent.max(delivery_tag),
            // With auto-ack it is settled already.
            false => drop(channel.channel.basic_reject(delivery_tag, Requeue::No)),
        }
    }
}
