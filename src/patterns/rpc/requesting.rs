//! The producer of requests.

use super::{Client, request::Request, target::Place};
use crate::{
    handles::producer::Producer,
    message::{headers::cc_bcc::CC, properties::Properties},
    model::{
        descriptions::Exchange,
        error::{Error, Result, RpcError},
        field_value::FieldValue,
    },
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
        let builder = connection.producer_builder::<Request>(exchange);
        let mut builder = builder.routing_key(key);
        if !others.is_empty() {
            let others: Vec<_> = others.into_iter().map(FieldValue::from).collect();
            builder = builder.properties(Properties::new().header(CC, others));
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
}
