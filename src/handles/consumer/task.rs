//! Receiving in a task: the future of [`Consumer::recv_async`].

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use super::{Consumer, MOST_SKIPS, Taken};
use crate::{
    message::payload::Payload,
    runtime::waiter::TaskWait,
    session::{delivery::Delivery, receive::RecvError},
};

impl<T: Payload> Consumer<T> {
    /// Polls for the next message. `wait` is the state between the polls.
    pub(super) fn poll_recv(
        &self,
        wait: &mut TaskWait,
        context: &mut Context<'_>,
    ) -> Poll<Result<Delivery<T>, RecvError>> {
        let run = match wait.is_registered() {
            true => None,
            false => self.run(),
        };
        if let Some((mut run, origin)) = run
            && let Some(envelope) = run.pop_front()
        {
            return Poll::Ready(Ok(Delivery::whole(origin, envelope)));
        }
        for _ in 0..MOST_SKIPS {
            let Poll::Ready((place, taken)) = self.poll_taken(wait, context) else {
                return Poll::Pending;
            };
            if let Some(received) = self.open(place, taken) {
                return Poll::Ready(received);
            }
        }
        // Polled again soon, after others have run.
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Polls for the next message, which is not shown yet, and for the index of its queue.
    pub(super) fn poll_taken(
        &self,
        wait: &mut TaskWait,
        context: &mut Context<'_>,
    ) -> Poll<(usize, Taken)> {
        let first = self.turn();
        wait.poll(&self.queues, first, context)
            .map(|(place, taken)| {
                self.served(place);
                (place, taken)
            })
    }
}

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
        self.consumer.poll_recv(&mut self.wait, context)
    }
}

impl<T: Payload> Drop for Recv<'_, T> {
    fn drop(&mut self) {
        self.wait.leave(&self.consumer.queues);
    }
}
