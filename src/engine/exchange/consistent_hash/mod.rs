//! The table of a consistent-hash exchange: a message goes to one destination, chosen by a hash.
//!
//! Each destination has as many buckets as the weight of its binding says, and the buckets are
//! numbered in the order of the bindings. A jump hash chooses the bucket. So a new destination
//! takes its share from all others, and nothing moves between the others. If a destination goes,
//! the buckets behind it get other numbers.
//!
//! As in RabbitMQ, a destination has buckets for one binding only. A second binding has no effect.
//! The removal of either binding takes the buckets.

mod exs1024s;

use std::hash::BuildHasherDefault;

use hashbrown::HashSet;

use self::exs1024s::Exs1024s;
use super::{Matches, hasher::NumberHasher, numbered::Number};
use crate::{
    engine::phash2::Phash2,
    message::properties::RoutingProperties,
    model::{
        descriptions::HashOn,
        error::{Error, Result},
        field_value::FieldValue,
    },
};

#[derive(Debug)]
pub(super) struct ConsistentHash {
    hash_on: HashOn,
    /// In the order of the bindings.
    shares: Vec<Share>,
    /// The destinations that have a share.
    members: HashSet<Number, BuildHasherDefault<NumberHasher>>,
}

/// The buckets of one destination.
#[derive(Debug)]
struct Share {
    destination: Number,
    /// The first bucket behind them.
    end: u64,
}

impl ConsistentHash {
    pub(super) fn new(hash_on: HashOn) -> Self {
        Self {
            hash_on,
            shares: Vec::new(),
            members: HashSet::default(),
        }
    }

    /// The same table without destinations.
    pub(super) fn emptied(&self) -> Self {
        Self::new(self.hash_on.clone())
    }

    /// Gives buckets to a destination that has none. The binding key has been checked.
    pub(super) fn insert(&mut self, destination: Number, binding_key: &str) {
        if !self.members.insert(destination) {
            return;
        }
        // A weight that cannot be read has been refused.
        let weight = weight(binding_key).unwrap_or(1);
        let end = self.buckets() + u64::from(weight);
        self.shares.push(Share { destination, end });
    }

    /// Takes the buckets of a destination, if it has any.
    pub(super) fn remove(&mut self, destination: Number) {
        if !self.members.remove(&destination) {
            return;
        }
        let mut shares = self.shares.iter();
        let Some(at) = shares.position(|share| share.destination == destination) else {
            return;
        };
        let begin = at
            .checked_sub(1)
            .map_or(0, |before| self.shares[before].end);
        let removed = self.shares.remove(at).end - begin;
        for share in &mut self.shares[at..] {
            share.end -= removed;
        }
    }

    /// The destinations that have buckets, in the order of these, and how many each has.
    pub(super) fn shares(&self) -> impl Iterator<Item = (Number, u64)> {
        let mut begin = 0;
        self.shares.iter().map(move |share| {
            let buckets = share.end - begin;
            begin = share.end;
            (share.destination, buckets)
        })
    }

    /// Whether a destination has buckets.
    pub(super) fn has_share(&self, destination: Number) -> bool {
        self.members.contains(&destination)
    }

    /// Whether the choice depends on more than the routing key.
    pub(super) fn reads_properties(&self) -> bool {
        self.hash_on != HashOn::RoutingKey
    }

    pub(super) fn route(
        &self,
        routing_key: &str,
        properties: RoutingProperties<'_>,
        matches: &mut Matches,
    ) {
        let seed = match self.shares.len() {
            0 => return,
            1 => 0,
            _ => seed(&self.hash_on, routing_key, properties),
        };
        let bucket = jump(seed, self.buckets());
        let at = self.shares.partition_point(|share| share.end <= bucket);
        if let Some(share) = self.shares.get(at) {
            matches.insert(share.destination);
        }
    }

    fn buckets(&self) -> u64 {
        self.shares.last().map_or(0, |share| share.end)
    }
}

/// Checks the key of a new binding, which is a weight.
///
/// # Errors
/// [`Error::PreconditionFailed`].
pub(super) fn validate(binding_key: &str) -> Result {
    weight(binding_key).map(drop)
}

/// The number of buckets that a binding key stands for. A sign and leading zeros are allowed.
pub(super) fn weight(binding_key: &str) -> Result<u32> {
    let digits = binding_key.strip_prefix(['+', '-']).unwrap_or(binding_key);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Error::weight_is_no_integer(binding_key));
    }
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() || binding_key.starts_with('-') {
        return Err(Error::weight_is_not_positive());
    }
    let weight = digits.parse();
    weight.map_err(|_| Error::weight_is_too_large(u32::MAX))
}

/// The number that the choice of a bucket begins with, as RabbitMQ 4.3 makes it.
fn seed(hash_on: &HashOn, routing_key: &str, properties: RoutingProperties<'_>) -> i64 {
    let others = properties.others;
    let text = |text: Option<&String>| match text {
        Some(text) => Phash2::of_text(text),
        None => absent(),
    };
    let hash = match hash_on {
        HashOn::Header(name) => {
            let value = properties.headers.and_then(|headers| headers.get(name));
            return value.map_or_else(|| absent().into(), seed_of_value);
        }
        HashOn::RoutingKey => Phash2::of_text(routing_key),
        HashOn::MessageId => text(others.and_then(|others| others.message_id.as_ref())),
        HashOn::CorrelationId => text(others.and_then(|others| others.correlation_id.as_ref())),
        HashOn::Timestamp => {
            let seconds = others.and_then(|others| others.timestamp);
            text(seconds.map(|seconds| seconds.to_string()).as_ref())
        }
    };
    hash.into()
}

/// The hash of a header or a property that a message does not have.
fn absent() -> u32 {
    Phash2::of_atom("undefined")
}

/// An integer is not hashed, a timestamp counts milliseconds, and of an array or a table only the
/// first element counts.
fn seed_of_value(value: &FieldValue) -> i64 {
    if let FieldValue::Timestamp(seconds) = value {
        return (*seconds as i64).wrapping_mul(1_000);
    }
    if let Some(integer) = value.as_i64() {
        return integer;
    }
    let first = match value {
        FieldValue::Array(values) => values.first().map(|value| (None, value)),
        FieldValue::Table(table) => table.iter().next().map(|(name, value)| (Some(name), value)),
        _ => None,
    };
    let hash = match first {
        Some((name, value)) => Phash2::of_element(name, value),
        // The empty table is an empty list, as the empty array is.
        None if matches!(value, FieldValue::Table(_)) => {
            Phash2::of_value(&FieldValue::Array(Vec::new()))
        }
        None => Phash2::of_value(value),
    };
    hash.into()
}

/// The jump consistent hash of Lamping and Veach, with the random numbers that RabbitMQ takes.
fn jump(seed: i64, buckets: u64) -> u64 {
    if buckets <= 1 {
        return 0;
    }
    let mut random = Exs1024s::new(seed);
    let (mut bucket, mut next) = (0.0, 0.0);
    // All numbers below the number of buckets are exact, since a float has 53 bits for them.
    while next < buckets as f64 {
        bucket = next;
        next = ((bucket + 1.0) / random.next_float()).trunc();
    }
    bucket as u64
}

#[cfg(test)]
mod tests;
