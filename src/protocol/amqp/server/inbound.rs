//! The events of the broker for the channels of a connection.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use crate::{
    model::error::CancelReason,
    session::{
        channel::{Channel, Event, Events},
        receive::RecvError,
    },
};

type Receiving = Pin<Box<dyn Future<Output = Result<Event, RecvError>> + Send>>;

#[derive(Default)]
pub(super) struct Inbound(Vec<(u16, Events, Receiving)>);

impl Inbound {
    pub(super) fn add(&mut self, number: u16, channel: &Channel) {
        let events = channel.events();
        let receiving = Box::pin(events.recv_async());
        self.0.push((number, events, receiving));
    }

    pub(super) fn remove(&mut self, number: u16) {
        self.0.retain(|(other, ..)| *other != number);
    }

    pub(super) fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<(u16, Result<Event, CancelReason>)> {
        for (number, events, receiving) in &mut self.0 {
            if let Poll::Ready(received) = receiving.as_mut().poll(context) {
                *receiving = Box::pin(events.recv_async());
                let received = received.map_err(|error| match error {
                    RecvError::Cancelled(reason) => reason,
                    _ => CancelReason::ChannelClosed,
                });
                return Poll::Ready((*number, received));
            }
        }
        Poll::Pending
    }
}
