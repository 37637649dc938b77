//! [`Contained`], a future of the user whose panic ends in it.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use crate::runtime::catch_panic::{catch_panic, catch_panic_text};

/// A future of the user. It is dropped before the result is there, and as user code.
///
/// `read` turns its output, or the text of its panic, into the result. It may panic about an
/// output, which counts as a panic of the future.
pub(crate) struct Contained<F, R> {
    future: Option<Pin<Box<F>>>,
    read: R,
}

impl<F, R> Contained<F, R> {
    pub(crate) fn new(future: F, read: R) -> Contained<F, R> {
        Contained {
            future: Some(Box::pin(future)),
            read,
        }
    }
}

impl<F, R, V> Future for Contained<F, R>
where
    F: Future,
    R: Fn(Result<F::Output, String>) -> V + Unpin,
{
    type Output = V;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<V> {
        let Contained { future, read } = &mut *self;
        let polled = catch_panic_text(|| {
            let polled = future.as_mut()?.as_mut().poll(context);
            Some(polled.map(|output| read(Ok(output))))
        });
        let result = match polled {
            Ok(Some(polled)) => ready!(polled),
            // It is not polled again after its end.
            Ok(None) => return Poll::Pending,
            Err(panic) => read(Err(panic)),
        };
        catch_panic(|| drop(future.take()));
        Poll::Ready(result)
    }
}

impl<F, R> Drop for Contained<F, R> {
    fn drop(&mut self) {
        catch_panic(|| drop(self.future.take()));
    }
}
