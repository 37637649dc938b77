//! The producer of requests, and how replies from other processes find their calls.

use std::sync::Arc;

use super::{
    Client, any_call::AnyCall, pending::Pending, request::Request, returning::Returning,
    target::Place, wire::REQUEST,
};
use crate::{
    handles::producer::Producer,
    message::{headers::cc_bcc::CC, payload::Payload, properties::Properties},
    model::{
        descriptions::Exchange,
        error::{Error, Result, RpcError},
        field_value::FieldValue,
    },
    session::backend::REPLY_TO,
};

impl Client {
    #[inline]
    pub(super) fn producer(&self) -> Result<&Producer<Request>, RpcError> {
        match self.producer.get() {
            Some(producer) => Ok(producer),
            None => {
                let producer = self.open_producer()?;
                Ok(self.producer.get_or_init(|| producer))
            }
        }
    }

    #[cold]
    fn open_producer(&self) -> Result<Producer<Request>, RpcError> {
        let connection = self.connection.as_ref().map_err(Error::clone)?;
        self.target.check()?;
        let (exchange, key, others) = match &self.target.place {
            Place::Queue(queue) => (Exchange::existing(""), queue.name().to_owned(), Vec::new()),
            Place::Topic(topic) => {
                if self.queue_if_absent && !self.target.is_to_many() {
                    connection.declare(&topic.queue(&topic.key()))?;
                }
                match &topic.chosen {
                    Some(servers) => {
                        let mut keys = servers.iter().map(|server| topic.key_of(server));
                        // Without a server there is no key, and no queue has an empty one.
                        let first = keys.next().unwrap_or_default();
                        (topic.exchange(), first, keys.collect())
                    }
                    None if topic.is_fanout => (topic.fanout_exchange(), String::new(), Vec::new()),
                    None => (topic.exchange(), topic.key(), Vec::new()),
                }
            }
        };
        let mut properties = Properties::new();
        if connection.gate().is_remote() {
            let returning = Returning::of(connection)?;
            // Another thread may have done so.
            let _ = self.returning.set(returning);
            properties = properties.reply_to(REPLY_TO).message_type(REQUEST);
        }
        let builder = connection.producer_builder::<Request>(exchange);
        let mut builder = builder.routing_key(key);
        if !others.is_empty() {
            let others: Vec<_> = others.into_iter().map(FieldValue::from).collect();
            properties = properties.header(CC, others);
        }
        if !properties.is_empty() {
            builder = builder.properties(properties);
        }
        let producer = match self.target.is_to_many() {
            true => builder.not_mandatory(),
            false => builder.mandatory(),
        }
        .build()?;
        Ok(match &self.claim {
            Some(claim) => producer.on_behalf_of(claim.clone()),
            None => producer,
        })
    }

    /// Has replies from other processes come to a call.
    #[inline]
    pub(super) fn wait_for<A: Payload, R: Payload>(&self, pending: &Pending<A, R>) {
        if let Some(returning) = self.returning.get() {
            let call: Arc<dyn AnyCall> = Arc::clone(pending.call()) as _;
            returning.wait(&call);
        }
    }
}
