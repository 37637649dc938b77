//! The exchange types `x-random` and `x-local-random`: a message goes to one binding, chosen by
//! chance.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
};

use super::{BindingRules, Router, RouterBinding, RouterMessage};
use crate::runtime::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Chooses among all bindings. A destination with two bindings gets two shares.
#[derive(Debug)]
pub(super) struct Random {
    rules: BindingRules,
    /// The state of a generator (SplitMix64), which starts at another number in every broker.
    state: AtomicU64,
}

impl Random {
    /// The type `x-random`: keys and kinds of destinations have no effect.
    pub(super) fn of_any() -> Self {
        Self::with(BindingRules::default())
    }

    /// The type `x-local-random`. RabbitMQ chooses among the queues of the node that the publisher
    /// is connected to. Here every queue is local.
    pub(super) fn of_local_queues() -> Self {
        let rules = BindingRules::default();
        Self::with(rules.without_key().classic_queues_only())
    }

    fn with(rules: BindingRules) -> Self {
        Self {
            rules,
            state: AtomicU64::new(RandomState::new().build_hasher().finish()),
        }
    }
}

impl Router for Random {
    fn route(&self, _: &RouterMessage<'_>, bindings: &[RouterBinding]) -> Vec<usize> {
        let step = 0x9e37_79b9_7f4a_7c15;
        let state = self.state.fetch_add(step, Relaxed).wrapping_add(step);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let random = u128::from(mixed ^ (mixed >> 31));
        // The upper half of the product is a number below the number of bindings.
        let at = (random * bindings.len() as u128) >> 64;
        vec![at as usize]
    }

    fn binding_rules(&self) -> BindingRules {
        self.rules
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        message::properties::RoutingProperties,
        model::{field_value::FieldTable, name::Name},
    };

    #[test]
    fn every_binding_is_chosen_about_equally_often() {
        let router = Random::of_any();
        let (name, table) = (Name::empty(), FieldTable::new());
        let message = RouterMessage::new(&name, &["k"], RoutingProperties::default());
        let bindings = vec![RouterBinding::new(&name, true, &name, &table); 4];
        let mut chosen = [0_u32; 4];
        for _ in 0..4_000 {
            let [at] = router.route(&message, &bindings)[..] else {
                panic!("it chooses one")
            };
            chosen[at] += 1;
        }
        assert!(
            chosen.iter().all(|count| (800..1_200).contains(count)),
            "{chosen:?}"
        );
    }
}
