//! Rates: the messages between two snapshots, for each second.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ExchangeStats, MessageStats, Snapshot};
use crate::model::name::Name;

/// The messages between two [snapshots](Snapshot), for each second of the broker's clock.
///
/// # RabbitMQ
/// The fields `rate` of its management API, which are the rates between two samples too.
///
/// # Examples
/// ```
/// use leveret::{Broker, ManualClock, Queue};
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// let broker = Broker::builder().clock(clock.clone()).build();
/// let producer = broker.producer::<u32>(&Queue::new("q"))?;
/// let earlier = broker.snapshot()?;
/// let _ = producer.publish_batch(0..20);
/// clock.advance(Duration::from_secs(10));
/// let rates = broker.snapshot()?.rates(&earlier);
/// assert_eq!(rates.queue("q").unwrap().publish, 2.0);
/// assert_eq!(rates.total.messages, 2.0); // the queues have grown
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Rates {
    /// The time between the two snapshots.
    pub elapsed: Duration,
    /// Those of all queues together, deleted ones included.
    pub total: QueueRates,
    /// Those of all exchanges together, deleted ones included.
    pub published: ExchangeRates,
    /// Those of the queues of the later snapshot, in its order, with their virtual hosts.
    pub queues: Vec<(Name, Name, QueueRates)>,
    /// Those of the exchanges of the later snapshot, in its order, with their virtual hosts. The
    /// default exchange has the empty name.
    pub exchanges: Vec<(Name, Name, ExchangeRates)>,
}

/// The rates of a queue, in messages for each second.
///
/// [`Rates`] has an example.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct QueueRates {
    /// As [`MessageStats::publish`].
    pub publish: f64,
    /// As [`MessageStats::deliver_get`].
    pub deliver_get: f64,
    /// As [`MessageStats::ack`].
    pub ack: f64,
    /// As [`MessageStats::redeliver`].
    pub redeliver: f64,
    /// By how much the ready, unsettled and delayed messages grow. Below 0 if they shrink.
    pub messages: f64,
}

/// The rates of an exchange, in messages for each second.
///
/// [`Rates`] has an example.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ExchangeRates {
    /// As [`ExchangeStats::publish_in`].
    pub publish_in: f64,
    /// As [`ExchangeStats::publish_out`].
    pub publish_out: f64,
    /// As [`ExchangeStats::drop_unroutable`] and [`ExchangeStats::return_unroutable`] together.
    pub unroutable: f64,
}

impl Rates {
    /// Those of a queue in the virtual host `/`.
    #[must_use]
    pub fn queue(&self, name: &str) -> Option<&QueueRates> {
        self.queue_in("/", name)
    }

    /// Those of a queue.
    #[must_use]
    pub fn queue_in(&self, vhost: &str, name: &str) -> Option<&QueueRates> {
        find(&self.queues, vhost, name)
    }

    /// Those of an exchange in the virtual host `/`.
    #[must_use]
    pub fn exchange(&self, name: &str) -> Option<&ExchangeRates> {
        self.exchange_in("/", name)
    }

    /// Those of an exchange.
    #[must_use]
    pub fn exchange_in(&self, vhost: &str, name: &str) -> Option<&ExchangeRates> {
        find(&self.exchanges, vhost, name)
    }
}

fn find<'a, R>(all: &'a [(Name, Name, R)], vhost: &str, name: &str) -> Option<&'a R> {
    // The snapshot is sorted by both names.
    let place = all.binary_search_by(|(at, it, _)| (&**at, &**it).cmp(&(vhost, name)));
    all.get(place.ok()?).map(|(_, _, rates)| rates)
}

/// The counts of a queue, or of all.
#[derive(Clone, Copy, Default)]
struct Counts {
    stats: MessageStats,
    messages: u64,
}

impl Snapshot {
    /// The rates between an earlier snapshot and this one. All are 0 if no time has passed between
    /// them. A queue that is not in the earlier one counts from 0, and so does one that was
    /// declared again.
    ///
    /// [`Rates`] has an example.
    #[must_use]
    pub fn rates(&self, earlier: &Snapshot) -> Rates {
        let elapsed = self.uptime.saturating_sub(earlier.uptime);
        let seconds = elapsed.as_secs_f64();
        let mut rates = Rates {
            elapsed,
            ..Rates::default()
        };
        let (mut now, mut before) = (Counts::default(), Counts::default());
        let (mut published, mut published_before) = <(ExchangeStats, ExchangeStats)>::default();
        for vhost in &earlier.vhosts {
            before.stats += vhost.totals.message_stats();
            before.messages += vhost.messages();
            published_before += vhost.totals.published;
        }
        for vhost in &self.vhosts {
            now.stats += vhost.totals.message_stats();
            now.messages += vhost.messages();
            published += vhost.totals.published;
            let old = earlier.vhost(&vhost.name);
            for queue in &vhost.queues {
                let old = old.and_then(|old| old.queue(&queue.name));
                let old = old.map(|old| Counts {
                    stats: old.message_stats,
                    messages: old.messages(),
                });
                let new = Counts {
                    stats: queue.message_stats,
                    messages: queue.messages(),
                };
                let found = queue_rates(new, old.unwrap_or_default(), seconds);
                let place = (vhost.name.clone(), queue.name.clone(), found);
                rates.queues.push(place);
            }
            let old_default = old.map(|old| old.default_exchange).unwrap_or_default();
            let found = exchange_rates(vhost.default_exchange, old_default, seconds);
            rates
                .exchanges
                .push((vhost.name.clone(), Name::empty(), found));
            for exchange in &vhost.exchanges {
                let old = old.and_then(|old| old.exchange(&exchange.name));
                let old = old.map(|old| old.message_stats).unwrap_or_default();
                let found = exchange_rates(exchange.message_stats, old, seconds);
                let place = (vhost.name.clone(), exchange.name.clone(), found);
                rates.exchanges.push(place);
            }
        }
        rates.total = queue_rates(now, before, seconds);
        rates.published = exchange_rates(published, published_before, seconds);
        rates
    }
}

fn queue_rates(new: Counts, old: Counts, seconds: f64) -> QueueRates {
    // One that has fewer is another queue of the same name.
    let old = match old.stats.publish > new.stats.publish {
        true => Counts::default(),
        false => old,
    };
    QueueRates {
        publish: rate(new.stats.publish, old.stats.publish, seconds),
        deliver_get: rate(new.stats.deliver_get(), old.stats.deliver_get(), seconds),
        ack: rate(new.stats.ack, old.stats.ack, seconds),
        redeliver: rate(new.stats.redeliver, old.stats.redeliver, seconds),
        messages: rate(new.messages, old.messages, seconds)
            - rate(old.messages, new.messages, seconds),
    }
}

fn exchange_rates(new: ExchangeStats, old: ExchangeStats, seconds: f64) -> ExchangeRates {
    let old = match old.publish_in > new.publish_in {
        true => ExchangeStats::default(),
        false => old,
    };
    ExchangeRates {
        publish_in: rate(new.publish_in, old.publish_in, seconds),
        publish_out: rate(new.publish_out, old.publish_out, seconds),
        unroutable: rate(
            new.drop_unroutable + new.return_unroutable,
            old.drop_unroutable + old.return_unroutable,
            seconds,
        ),
    }
}

fn rate(new: u64, old: u64, seconds: f64) -> f64 {
    match seconds > 0.0 {
        true => new.saturating_sub(old) as f64 / seconds,
        false => 0.0,
    }
}
