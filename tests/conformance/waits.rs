//! The operations that wait: for messages, returns, confirms and counts, or for the absence of
//! events.

use std::time::Duration;

use leveret::{Exchange, Queue};
use serde_json::Value;

use crate::{
    Outcome,
    expectation::{Failure, describe},
    fields::Fields,
    inbox::Entry,
    message::{Received, Saved},
    peer::Error,
    replay::{Replay, Site},
};

/// The time that an expectation waits by default, in milliseconds.
const WITHIN_MS: u64 = 2000;

fn within(fields: &mut Fields) -> Outcome<u64> {
    Ok(fields.optional_number("within_ms")?.unwrap_or(WITHIN_MS))
}

fn is_delivery_to(tag: &str) -> impl Fn(&Entry) -> bool {
    move |entry| matches!(entry, Entry::Delivery { consumer, .. } if consumer == tag)
}

fn is_cancellation_of(tag: &str) -> impl Fn(&Entry) -> bool {
    move |entry| matches!(entry, Entry::Cancelled(consumer) if consumer == tag)
}

fn is_return(entry: &Entry) -> bool {
    matches!(entry, Entry::Return { .. })
}

fn is_confirm(entry: &Entry) -> bool {
    matches!(entry, Entry::Ack(_) | Entry::Nack(_))
}

impl Replay {
    /// Executes the operation, if it is one that waits.
    pub fn waiting(
        &mut self,
        op: &str,
        site: &Site,
        text: Option<&str>,
        fields: &mut Fields,
    ) -> Option<Outcome> {
        Some(match op {
            "sleep" => self.sleep(fields),
            "expect_deliveries" => self.expect_deliveries(site, fields),
            "expect_return" => self.expect_return(site, fields),
            "expect_confirms" => self.expect_confirms(site, fields),
            "expect_cancelled" => self.expect_cancelled(site, fields),
            "expect_events" => self.expect_events(site, fields),
            "expect_channel_closed" => self.expect_channel_closed(site, text, fields),
            "expect_depth" => self.expect_depth(site, fields),
            "expect_gone" => self.expect_gone(site, fields),
            "expect_no_delivery" => fields
                .text("consumer")
                .and_then(|tag| self.expect_none(site, fields, 150, is_delivery_to(&tag))),
            "expect_not_cancelled" => fields
                .text("consumer")
                .and_then(|tag| self.expect_none(site, fields, 100, is_cancellation_of(&tag))),
            "expect_no_return" => self.expect_none(site, fields, 100, is_return),
            "expect_no_confirm" => self.expect_none(site, fields, 100, is_confirm),
            _ => return None,
        })
    }

    fn sleep(&mut self, fields: &mut Fields) -> Outcome {
        let ms = fields.number("ms")?;
        fields.finish()?;
        self.clock.advance(Duration::from_millis(ms));
        Ok(())
    }

    /// Waits until the channel has `count` of the wanted entries, and takes them.
    fn await_entries(
        &mut self,
        site: &Site,
        within_ms: u64,
        count: usize,
        wanted: impl Fn(&Entry) -> bool,
    ) -> Outcome<Vec<Entry>> {
        self.wait(within_ms, |replay| {
            let line = replay.working_line(site)?;
            line.receive();
            let came = line.inbox.entries().filter(|entry| wanted(entry)).count();
            Ok((came < count).then(|| {
                format!(
                    "{came} of {count} came; the channel holds: {}",
                    line.inbox.describe()
                )
            }))
        })?;
        Ok(self.working_line(site)?.inbox.take_where(count, wanted))
    }

    /// Lets the time pass and checks that none of these entries arrived.
    fn expect_none(
        &mut self,
        site: &Site,
        fields: &mut Fields,
        for_ms: u64,
        unwanted: impl Fn(&Entry) -> bool,
    ) -> Outcome {
        let for_ms = fields.optional_number("for_ms")?.unwrap_or(for_ms);
        fields.finish()?;
        self.working_line(site)?;
        self.clock.advance(Duration::from_millis(for_ms));
        let line = self.working_line(site)?;
        line.receive();
        match line.inbox.entries().find(|entry| unwanted(entry)) {
            None => Ok(()),
            Some(entry) => Err(format!("there came a {entry}")),
        }
    }

    fn expect_deliveries(&mut self, site: &Site, fields: &mut Fields) -> Outcome {
        let (tag, expected) = (fields.text("consumer")?, fields.list("messages")?);
        let (within_ms, any_order) = (within(fields)?, fields.flag("any_order")?);
        fields.finish()?;
        let entries = self.await_entries(site, within_ms, expected.len(), is_delivery_to(&tag))?;
        let mut messages: Vec<Received> = entries
            .into_iter()
            .filter_map(|entry| match entry {
                Entry::Delivery { message, .. } => Some(message),
                _ => None,
            })
            .collect();
        let came = messages
            .iter()
            .map(Received::to_string)
            .collect::<Vec<_>>()
            .join("; ");
        for (index, expected) in expected.iter().enumerate() {
            let fitting = if any_order {
                let fitting = messages
                    .iter()
                    .position(|message| message.check(expected, &mut Saved::new()).is_ok());
                fitting.ok_or_else(|| format!("none of these is {expected}: {came}"))?
            } else {
                0
            };
            let message = messages.remove(fitting);
            message
                .check(expected, &mut self.saved)
                .map_err(|problem| {
                    format!("message {}: {problem}; there came: {came}", index + 1)
                })?;
        }
        Ok(())
    }

    fn expect_return(&mut self, site: &Site, fields: &mut Fields) -> Outcome {
        let within_ms = within(fields)?;
        let (code, message) = (fields.required("reply_code")?, fields.required("message")?);
        fields.finish()?;
        for entry in self.await_entries(site, within_ms, 1, is_return)? {
            check_return(&entry, &code, &message, &mut self.saved)?;
        }
        Ok(())
    }

    fn expect_confirms(&mut self, site: &Site, fields: &mut Fields) -> Outcome {
        let (mut acks, mut nacks) = (
            numbers(fields.list("acks")?)?,
            numbers(fields.list("nacks")?)?,
        );
        let within_ms = within(fields)?;
        fields.finish()?;
        self.wait(within_ms, |replay| {
            let line = replay.working_line(site)?;
            line.receive();
            let came = line
                .inbox
                .entries()
                .filter(|entry| is_confirm(entry))
                .count();
            let count = acks.len() + nacks.len();
            Ok((came < count).then(|| {
                format!(
                    "{came} of {count} came; the channel holds: {}",
                    line.inbox.describe()
                )
            }))
        })?;
        let (mut acked, mut nacked) = (Vec::new(), Vec::new());
        for entry in self
            .working_line(site)?
            .inbox
            .take_where(usize::MAX, is_confirm)
        {
            match entry {
                Entry::Ack(number) => acked.push(number),
                Entry::Nack(number) => nacked.push(number),
                _ => {}
            }
        }
        for numbers in [&mut acks, &mut nacks, &mut acked, &mut nacked] {
            numbers.sort_unstable();
        }
        if (&acks, &nacks) == (&acked, &nacked) {
            Ok(())
        } else {
            Err(format!("there came acks {acked:?} and nacks {nacked:?}"))
        }
    }

    fn expect_cancelled(&mut self, site: &Site, fields: &mut Fields) -> Outcome {
        let (tag, within_ms) = (fields.text("consumer")?, within(fields)?);
        fields.finish()?;
        self.await_entries(site, within_ms, 1, is_cancellation_of(&tag))
            .map(|_| ())
    }

    /// Expects the next events of the channel, of all kinds, in this order.
    fn expect_events(&mut self, site: &Site, fields: &mut Fields) -> Outcome {
        let (expected, within_ms) = (fields.list("events")?, within(fields)?);
        fields.finish()?;
        self.wait(within_ms, |replay| {
            let line = replay.working_line(site)?;
            line.receive();
            let (came, count) = (line.inbox.entries().count(), expected.len());
            Ok(
                (came < count)
                    .then(|| format!("{came} of {count} came: {}", line.inbox.describe())),
            )
        })?;
        let entries = self.working_line(site)?.inbox.take(expected.len());
        for (index, (expected, entry)) in expected.iter().zip(&entries).enumerate() {
            check_entry(expected, entry, &mut self.saved).map_err(|problem| {
                let came = entries
                    .iter()
                    .map(Entry::to_string)
                    .collect::<Vec<_>>()
                    .join("; ");
                format!("event {}: {problem}; there came: {came}", index + 1)
            })?;
        }
        Ok(())
    }

    fn expect_channel_closed(
        &mut self,
        site: &Site,
        text: Option<&str>,
        fields: &mut Fields,
    ) -> Outcome {
        // A call that fails has failed when it returns, so there is no wait.
        within(fields)?;
        let expected = Failure::take(fields, "code")?;
        fields.finish()?;
        let text = text.unwrap_or_default();
        match self.line(site)?.failure.take() {
            Some(error) if !error.to_string().contains(text) => Err(format!(
                "expected {expected} with '{text}', not {}",
                describe(&error)
            )),
            Some(error) => {
                expected.check(&error)?;
                self.close_by(site, Some(error.scope()))
            }
            None => Err(format!("expected {expected}, but nothing failed")),
        }
    }

    fn expect_depth(&mut self, site: &Site, fields: &mut Fields) -> Outcome {
        let (queue, within_ms) = (fields.text("queue")?, within(fields)?);
        let (messages, consumers): (u64, Option<u64>) = (
            fields.number("message_count")?,
            fields.optional_number("consumer_count")?,
        );
        fields.finish()?;
        self.wait(within_ms, |replay| {
            let ok = replay
                .channel(site)?
                .queue_declare(&Queue::new(&queue), true)
                .map_err(|error| describe(&error))?;
            let equal = ok.message_count == messages
                && consumers.is_none_or(|consumers| ok.consumer_count == consumers);
            Ok((!equal).then(|| {
                format!(
                    "it has {} messages and {} consumers",
                    ok.message_count, ok.consumer_count
                )
            }))
        })
    }

    fn expect_gone(&mut self, site: &Site, fields: &mut Fields) -> Outcome {
        let (queue, exchange) = (
            fields.optional_text("queue")?,
            fields.optional_text("exchange")?,
        );
        let within_ms = within(fields)?;
        fields.finish()?;
        self.wait(within_ms, |replay| {
            let channel = replay
                .connection(site)?
                .open_channel()
                .map_err(|error| describe(&error))?;
            let asked: Result<(), Error> = match (&queue, &exchange) {
                (Some(queue), None) => channel.queue_declare(&Queue::new(queue), true).map(drop),
                (None, Some(exchange)) => {
                    channel.exchange_declare(&Exchange::existing(exchange), true)
                }
                _ => return Err("either a queue or an exchange is to be gone".to_owned()),
            };
            match asked {
                Ok(()) => Ok(Some("it is still there".to_owned())),
                Err(error) if error.reply_code() == Some(404) => Ok(None),
                Err(error) if error.reply_code() == Some(405) => {
                    Ok(Some("it is still there, and locked".to_owned()))
                }
                Err(error) => Err(describe(&error)),
            }
        })
    }
}

fn numbers(list: Vec<Value>) -> Outcome<Vec<u64>> {
    list.iter()
        .map(|value| {
            value
                .as_u64()
                .ok_or_else(|| format!("not a publish number: {value}"))
        })
        .collect()
}

fn check_return(entry: &Entry, code: &Value, message: &Value, saved: &mut Saved) -> Outcome {
    let Entry::Return {
        reply_code,
        message: returned,
    } = entry
    else {
        return Err("expected a return".to_owned());
    };
    if *code != *reply_code {
        return Err(format!("expected a return with {code}, not {reply_code}"));
    }
    returned
        .check(message, saved)
        .map_err(|problem| format!("{problem}; it was {returned}"))
}

/// Compares one event with its entry in `expect_events`. The entry is an object whose only key is
/// the kind.
fn check_entry(expected: &Value, entry: &Entry, saved: &mut Saved) -> Outcome {
    let mut fields = Fields::new(expected)?;
    if let Some(delivery) = fields.take("delivery") {
        let mut delivery = Fields::new(&delivery)?;
        let (tag, expected) = (delivery.text("consumer")?, delivery.required("message")?);
        delivery.finish()?;
        match entry {
            Entry::Delivery { consumer, message } if *consumer == tag => {
                message.check(&expected, saved)?
            }
            _ => return Err(format!("expected a delivery to '{tag}'")),
        }
    } else if let Some(returned) = fields.take("return") {
        let mut returned = Fields::new(&returned)?;
        let (code, message) = (
            returned.required("reply_code")?,
            returned.required("message")?,
        );
        returned.finish()?;
        check_return(entry, &code, &message, saved)?;
    } else if let Some(number) = fields.optional_number::<u64>("ack")? {
        if !matches!(entry, Entry::Ack(actual) if *actual == number) {
            return Err(format!("expected an ack of publish {number}"));
        }
    } else if let Some(number) = fields.optional_number::<u64>("nack")? {
        if !matches!(entry, Entry::Nack(actual) if *actual == number) {
            return Err(format!("expected a nack of publish {number}"));
        }
    } else {
        let tag = fields.text("cancelled")?;
        if !is_cancellation_of(&tag)(entry) {
            return Err(format!("expected a cancellation of '{tag}'"));
        }
    }
    fields.finish()
}
