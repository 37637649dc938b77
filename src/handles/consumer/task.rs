//! The future of [`Consumer::recv_async`].

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use super::Consumer;
use crate::{
    message::payload::Payload,
    runtime::waiter::TaskWait,
    session::{delivery::Delivery, receive::RecvError},
};

/// The future of [`Consumer::recv_async`].
pub(super) struct Recv<'a, T: Payload> {
    consumer: &'a Consumer<T>,
    wait: TaskWait,
}

impl<'a, T: Payload> Recv<'a, T> {
    pub(super) fn new(consumer: &'a Consumer<T>) -> Recv<'a, T> {
        Recv {
            consumer,
            wait: TaskWait::default(),
        }
    }
}

impl<T: Payload> Future for Recv<'_, T> {
    type Output = Result<Delivery<T>, RecvError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let consumer = self.consumer;
        let run = match self.wait.is_registered() {
            true => None,
            false => consumer.run(),
        };
        if let Some((mut run, origin)) = run {
            if let Some(envelope) = run.pop_front() {
                return Poll::Ready(Ok(Delivery::whole(origin, envelope)));
            }
        }
        let first = consumer.turn();
        self.wait
            .poll(&consumer.queues, first, context)
            .map(|(place, envelope)| {
                consumer.served(place);
                consumer.open(place, envelope)
            })
    }
}

impl<T: Payload> Drop for Recv<'_, T> {
    fn drop(&mut self) {
        self.wait.leave(&self.consumer.queues);
    }
}
