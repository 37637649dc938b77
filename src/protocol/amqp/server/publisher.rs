//! The publishes of a channel, one after the other. A publish may wait for room, and blocks no
//! thread then.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use crate::{
    message::properties::Properties,
    model::{bytes::Bytes, error::Result},
    runtime::sync::Mutex,
    session::channel::{Channel, PublishOptions},
};

/// One task publishes all messages of a channel, so that none is made for each message.
pub(super) struct Publisher {
    shared: Arc<Mutex<Shared>>,
    task: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// A message to be published.
pub(super) struct Publish {
    pub(super) exchange: String,
    pub(super) routing_key: String,
    pub(super) options: PublishOptions,
    pub(super) properties: Properties,
    pub(super) body: Bytes,
}

/// The next message, and the end of the last one. No user code runs under its lock.
#[derive(Default)]
struct Shared {
    message: Option<Publish>,
    published: Option<Result>,
}

impl Publisher {
    pub(super) fn new(channel: &Channel) -> Publisher {
        let shared = Arc::new(Mutex::new(Shared::default()));
        let task = publish_all(channel.clone(), Arc::clone(&shared));
        Publisher {
            shared,
            task: Box::pin(task),
        }
    }

    /// Begins to publish a message. The one before has ended.
    pub(super) fn begin(&self, message: Publish) {
        self.shared.lock().message = Some(message);
    }

    /// Goes on with the message. Ready when it is published, or when that has failed.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result> {
        let _ = self.task.as_mut().poll(context);
        match self.shared.lock().published.take() {
            Some(published) => Poll::Ready(published),
            None => Poll::Pending,
        }
    }
}

async fn publish_all(channel: Channel, shared: Arc<Mutex<Shared>>) {
    loop {
        let message = poll_fn(|_| match shared.lock().message.take() {
            Some(message) => Poll::Ready(message),
            None => Poll::Pending,
        });
        let Publish {
            exchange,
            routing_key,
            options,
            properties,
            body,
        } = message.await;
        let publish =
            channel.basic_publish_async(&exchange, &routing_key, body, properties, options);
        let published = publish.await.map(drop);
        shared.lock().published = Some(published);
    }
}
