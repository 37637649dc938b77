//! The queues in which failed messages wait for their next attempt.

use std::{sync::Arc, time::Duration};

use crate::{
    model::{
        backoff::Backoff,
        descriptions::Queue,
        error::Result,
        field_value::{FieldTable, FieldValue},
        name::Name,
    },
    patterns::worker::{Context, EXCEPTION_REASON, Forward, Settle},
    session::connection::Connection,
};

/// The most retry queues of one queue.
const MOST: u32 = 32;

/// The longest delay of a queue in milliseconds.
const MOST_MILLIS: u64 = u32::MAX as u64;

/// The header with the number of the attempts that have failed.
const RETRY_COUNT: &str = "x-retry-count";

/// For each queue of a worker, one expiring queue for each step of a backoff.
#[derive(Clone, Debug)]
pub(super) struct RetryQueues {
    /// The delays in milliseconds, the shortest one first.
    steps: Arc<[u64]>,
}

impl RetryQueues {
    pub(super) fn of(backoff: &Backoff) -> RetryQueues {
        let mut steps: Vec<u64> = backoff.steps(MOST).into_iter().map(millis).collect();
        steps.dedup();
        RetryQueues {
            steps: steps.into(),
        }
    }

    /// Declares those of a queue.
    pub(super) fn declare(&self, connection: &Connection, queue: &Name) -> Result {
        for step in &*self.steps {
            let retry = Queue::new(name(queue, *step))
                .durable()
                .message_ttl(Duration::from_millis(*step))
                .dead_letter_exchange("")
                .dead_letter_routing_key(queue.as_str());
            connection.declare(&retry)?;
        }
        Ok(())
    }

    /// The number of the attempt that has just ended.
    pub(super) fn attempt(context: &Context<'_>) -> u32 {
        let before = context.headers().map_or(0, failed_before);
        before
            .saturating_add(context.acquired_count())
            .saturating_add(1)
    }

    /// Has a message wait after this many failed attempts.
    pub(super) fn wait(&self, context: &Context<'_>, failed: u32, delay: Duration) -> Settle {
        let delay = millis(delay);
        // The last one is the longest, and no delay is longer.
        let step = self.steps.iter().find(|step| **step >= delay);
        let step = step.or(self.steps.last()).copied().unwrap_or(delay);
        let forward = Forward::to_queue(name(context.info().queue(), step))
            .expiration(Duration::from_millis(delay))
            .header(RETRY_COUNT, i64::from(failed))
            .without_header(EXCEPTION_REASON);
        Settle::Forward(forward)
    }
}

/// The number of attempts that failed in earlier rounds. A message that was given up and is
/// redriven begins anew.
fn failed_before(headers: &FieldTable) -> u32 {
    match headers.get(RETRY_COUNT) {
        Some(count) if !headers.contains_key(EXCEPTION_REASON) => number(count),
        _ => 0,
    }
}

/// A count, whichever type of integer another client has made of it.
fn number(value: &FieldValue) -> u32 {
    let number = value.as_i64().unwrap_or_default();
    number.clamp(0, i64::from(u32::MAX)) as u32
}

fn name(queue: &Name, step: u64) -> String {
    format!("{queue}.retry.{step}")
}

/// Whole milliseconds, at least one.
fn millis(delay: Duration) -> u64 {
    let millis = delay.as_nanos().div_ceil(1_000_000);
    u64::try_from(millis)
        .unwrap_or(MOST_MILLIS)
        .clamp(1, MOST_MILLIS)
}
