//! The operations that are AMQP methods. Synchronous methods have a reply. Publishing and settling
//! have none, and can only fail later.

use leveret::{
    ApplyTo, Exchange, Policy, Properties, Queue, Requeue,
    channel::{AckMode, IfEmpty, IfUnused},
};
use serde_json::{Map, Value};

use crate::{
    Outcome,
    expectation::{Reply, describe},
    fields::Fields,
    home,
    peer::{Consume, Declared, Error, Publish},
    replay::{Replay, Site},
    values,
};

/// The result of a method. The outer error means that the step cannot be replayed. The inner result
/// is the broker's answer.
type Said = Outcome<Result<Reply, Error>>;

fn if_unused(fields: &mut Fields) -> Outcome<IfUnused> {
    Ok(if fields.flag("if_unused")? {
        IfUnused::Yes
    } else {
        IfUnused::No
    })
}

/// A nack or reject requeues unless the step says otherwise.
fn requeue(fields: &mut Fields) -> Outcome<Requeue> {
    Ok(if fields.flag_or("requeue", true)? {
        Requeue::Yes
    } else {
        Requeue::No
    })
}

fn counted(name: &str, count: u64) -> Reply {
    Reply::Fields(Map::from_iter([(name.to_owned(), count.into())]))
}

fn declared(ok: &Declared) -> Reply {
    let fields: [(&str, Value); 3] = [
        ("queue", ok.name.as_str().into()),
        ("message_count", ok.message_count.into()),
        ("consumer_count", ok.consumer_count.into()),
    ];
    Reply::Fields(
        fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    )
}

impl Replay {
    /// Calls a synchronous method.
    pub fn synchronous(&mut self, op: &str, site: &Site, mut fields: Fields) -> Said {
        match op {
            "exchange_declare" => self.exchange_declare(site, fields),
            "exchange_delete" => {
                let (exchange, if_unused) = (fields.text("exchange")?, if_unused(&mut fields)?);
                fields.finish()?;
                Ok(self
                    .channel(site)?
                    .exchange_delete(&exchange, if_unused)
                    .map(|()| Reply::done()))
            }
            "exchange_bind" | "exchange_unbind" | "queue_bind" | "queue_unbind" => {
                self.bind(op, site, fields)
            }
            "queue_declare" => self.queue_declare(site, fields),
            "queue_purge" => {
                let queue = fields.text("queue")?;
                fields.finish()?;
                Ok(self
                    .channel(site)?
                    .queue_purge(&queue)
                    .map(|count| counted("message_count", count)))
            }
            "queue_delete" => {
                let (queue, if_unused) = (fields.text("queue")?, if_unused(&mut fields)?);
                let if_empty = if fields.flag("if_empty")? {
                    IfEmpty::Yes
                } else {
                    IfEmpty::No
                };
                fields.finish()?;
                Ok(self
                    .channel(site)?
                    .queue_delete(&queue, if_unused, if_empty)
                    .map(|count| counted("message_count", count)))
            }
            "consume" => self.consume(site, fields),
            "cancel" => {
                let consumer = fields.text("consumer")?;
                fields.finish()?;
                Ok(self
                    .channel(site)?
                    .basic_cancel(&consumer)
                    .map(|()| Reply::done()))
            }
            "qos" => {
                let size = fields.optional_number("prefetch_size")?.unwrap_or(0);
                let (count, global) = (fields.number("prefetch_count")?, fields.flag("global")?);
                fields.finish()?;
                Ok(self
                    .channel(site)?
                    .basic_qos(size, count, global)
                    .map(|()| Reply::done()))
            }
            "recover" => {
                let requeue = requeue(&mut fields)?;
                fields.finish()?;
                Ok(self
                    .channel(site)?
                    .basic_recover(requeue)
                    .map(|()| Reply::done()))
            }
            "get" => {
                let (queue, auto_ack) = (fields.text("queue")?, fields.flag("auto_ack")?);
                fields.finish()?;
                let mode = if auto_ack {
                    AckMode::Auto
                } else {
                    AckMode::Manual
                };
                let got = self.channel(site)?.basic_get(&queue, mode);
                Ok(got.map(|found| found.map_or(Reply::Empty, Reply::Message)))
            }
            "confirm_select" => {
                fields.finish()?;
                let line = self.working_line(site)?;
                let selected = line.channel()?.confirm_select();
                line.confirming |= selected.is_ok();
                Ok(selected.map(|()| Reply::done()))
            }
            "tx_select" | "tx_commit" | "tx_rollback" => {
                fields.finish()?;
                let done = self.channel(site)?.tx(op);
                Ok(done.map(|()| Reply::done()))
            }
            "close_channel" => {
                fields.finish()?;
                Ok(self.close_channel(site)?.map(|()| Reply::done()))
            }
            "close_connection" => {
                fields.finish()?;
                Ok(self.close_connection(site)?.map(|()| Reply::done()))
            }
            "set_policy" | "set_operator_policy" => self.set_policy(op, fields),
            "clear_policy" => self.clear_policy(fields),
            _ => Err(format!("the operation '{op}' is not supported")),
        }
    }

    fn exchange_declare(&mut self, site: &Site, mut fields: Fields) -> Said {
        let (name, kind) = (fields.text("exchange")?, fields.text("type")?);
        let mut exchange =
            Exchange::new(&name, &kind).arguments(values::table(fields.table("arguments")?)?);
        if fields.flag("durable")? {
            exchange = exchange.durable();
        }
        if fields.flag("auto_delete")? {
            exchange = exchange.auto_delete();
        }
        if fields.flag("internal")? {
            exchange = exchange.internal();
        }
        let passive = fields.flag("passive")?;
        fields.finish()?;
        let done = self.channel(site)?.exchange_declare(&exchange, passive);
        Ok(done.map(|()| Reply::done()))
    }

    fn queue_declare(&mut self, site: &Site, mut fields: Fields) -> Said {
        let name = fields.text("queue")?;
        let mut queue = Queue::new(&name).arguments(values::table(fields.table("arguments")?)?);
        if fields.flag("durable")? || home::all_survive() {
            queue = queue.durable();
        }
        if fields.flag("exclusive")? {
            queue = queue.exclusive_flag();
        }
        if fields.flag("auto_delete")? {
            queue = queue.auto_delete();
        }
        let (passive, save_as) = (fields.flag("passive")?, fields.optional_text("save_as")?);
        fields.finish()?;
        let done = self.channel(site)?.queue_declare(&queue, passive);
        if let (Some(saved), Ok(ok)) = (save_as, &done) {
            self.saved.insert(saved, ok.name.to_string());
        }
        Ok(done.map(|ok| declared(&ok)))
    }

    fn bind(&mut self, op: &str, site: &Site, mut fields: Fields) -> Said {
        let (destination, source) = match op {
            "exchange_bind" | "exchange_unbind" => {
                (fields.text("destination")?, fields.text("source")?)
            }
            _ => (fields.text("queue")?, fields.text("exchange")?),
        };
        let key = fields.text_or_empty("routing_key")?;
        let arguments = values::table(fields.table("arguments")?)?;
        fields.finish()?;
        let channel = self.channel(site)?;
        let done = channel.bind(op, &destination, &source, &key, arguments);
        Ok(done.map(|()| Reply::done()))
    }

    fn consume(&mut self, site: &Site, mut fields: Fields) -> Said {
        let queue = fields.text("queue")?;
        let consume = Consume {
            tag: fields.text("consumer")?,
            auto_ack: fields.flag("auto_ack")?,
            exclusive: fields.flag("exclusive")?,
            no_local: fields.flag("no_local")?,
            arguments: values::table(fields.table("arguments")?)?,
        };
        fields.finish()?;
        Ok(self
            .channel(site)?
            .basic_consume(&queue, consume)
            .map(|tag| {
                Reply::Fields(Map::from_iter([(
                    "consumer_tag".to_owned(),
                    tag.as_str().into(),
                )]))
            }))
    }

    fn set_policy(&mut self, op: &str, mut fields: Fields) -> Said {
        let mut policy = Policy::new(fields.text("name")?, fields.text("pattern")?)
            .definition(values::table(fields.table("definition")?)?);
        policy = match fields.text_or_empty("apply_to")?.as_str() {
            "" | "all" => policy,
            "queues" => policy.apply_to(ApplyTo::Queues),
            "exchanges" => policy.apply_to(ApplyTo::Exchanges),
            "classic_queues" => policy.apply_to(ApplyTo::ClassicQueues),
            "quorum_queues" => policy.apply_to(ApplyTo::QuorumQueues),
            "streams" => policy.apply_to(ApplyTo::Streams),
            other => return Err(format!("a policy applies to '{other}'")),
        };
        policy = policy.priority(
            fields
                .optional_number::<u32>("priority")?
                .unwrap_or(0)
                .into(),
        );
        fields.finish()?;
        let vhost = self.broker.vhost("/").map_err(|error| error.to_string())?;
        let set = match op {
            "set_policy" => vhost.set_policy(policy),
            _ => vhost.set_operator_policy(policy),
        };
        Ok(set.map(|()| Reply::done()).map_err(Error::from))
    }

    fn clear_policy(&mut self, mut fields: Fields) -> Said {
        let name = fields.text("name")?;
        fields.finish()?;
        let vhost = self.broker.vhost("/").map_err(|error| error.to_string())?;
        Ok(vhost
            .clear_policy(&name)
            .map(|_| Reply::done())
            .map_err(Error::from))
    }

    /// Executes a publish or a settlement, if the operation is one.
    pub fn asynchronous(&mut self, op: &str, site: &Site, fields: &mut Fields) -> Option<Outcome> {
        match op {
            "publish" => Some(self.publish(site, fields)),
            "ack" | "nack" | "reject" => Some(self.settle(op, site, fields)),
            _ => None,
        }
    }

    fn publish(&mut self, site: &Site, fields: &mut Fields) -> Outcome {
        let (exchange, key) = (
            fields.text_or_empty("exchange")?,
            fields.text_or_empty("routing_key")?,
        );
        let body = fields.text("body")?;
        let (mandatory, immediate) = (fields.flag("mandatory")?, fields.flag("immediate")?);
        let mut properties = values::parse::<Properties>(
            fields
                .take("properties")
                .unwrap_or_else(|| Map::new().into()),
        )?;
        if home::all_survive() {
            properties = properties.persistent();
        }
        let count: u64 = fields.optional_number("count")?.unwrap_or(1);
        fields.finish()?;

        let line = self.working_line(site)?;
        for number in 1..=count {
            let body = if count > 1 {
                body.replace("{i}", &number.to_string())
            } else {
                body.clone()
            };
            let publish = Publish {
                exchange: &exchange,
                routing_key: &key,
                body,
                properties: properties.clone(),
                mandatory,
                immediate,
            };
            if let Err(error) = line.channel()?.basic_publish(publish) {
                line.failure = Some(error);
                break;
            }
            if line.confirming {
                line.inbox.await_confirm();
            }
        }
        if line.confirming && line.failure.is_none() {
            // A durable broker confirms when the messages are on disk.
            let confirmed = line.channel()?.wait_for_confirms();
            confirmed.map_err(|error| describe(&error))?;
        }
        Ok(())
    }

    fn settle(&mut self, op: &str, site: &Site, fields: &mut Fields) -> Outcome {
        let tag = fields.number("delivery_tag")?;
        let multiple = op != "reject" && fields.flag("multiple")?;
        let requeue = if op == "ack" {
            Requeue::No
        } else {
            requeue(fields)?
        };
        fields.finish()?;
        let line = self.working_line(site)?;
        let done = line.channel()?.settle(op, tag, multiple.into(), requeue);
        line.failure = done.err();
        Ok(())
    }
}
