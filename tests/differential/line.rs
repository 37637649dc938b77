//! A channel of a program, as the generator knows it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::outcome::Step;

/// The program's state of a channel.
pub struct Line {
    pub name: String,
    pub connection: String,
    /// The queue of all consumers of the channel. The deliveries of two queues would have no
    /// defined order.
    pub queue: String,
    /// Consumer tags, with `true` for a consumer that acknowledges.
    pub consumers: BTreeMap<String, bool>,
    pub outstanding: Vec<u64>,
    /// Whether the channel has a global prefetch limit. Then it is a race whether a returned
    /// message or a dead letter arrives before the limit has room again.
    pub limited: bool,
    pub transactional: bool,
    pub open: bool,
}

impl Line {
    /// Updates the state of this channel after a step's answer.
    pub fn learn(&mut self, op: &str, step: &Value, reply: &Value) {
        if reply.get("error").is_some() || op == "close_channel" {
            self.open = false;
        }
        match op {
            "consume" => {
                let acknowledges = !step.flag("auto_ack");
                self.consumers
                    .insert(step.text("consumer").to_owned(), acknowledges);
            }
            "cancel" => {
                self.consumers.remove(step.text("consumer"));
            }
            "recover" => self.outstanding.clear(),
            "qos" => self.limited |= step.flag("global"),
            "ack" | "nack" | "reject" => {
                let (tag, multiple) = (step.number("delivery_tag"), step.flag("multiple"));
                self.outstanding.retain(|outstanding| {
                    *outstanding != tag && !(multiple && (tag == 0 || *outstanding < tag))
                });
            }
            "get" if !step.flag("auto_ack") => {
                if let Some(message) = reply.get("message") {
                    self.outstanding.push(message.number("delivery_tag"));
                }
            }
            _ => {}
        }
    }
}
