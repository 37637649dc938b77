//! Why each binding of an exchange leads a message on, or not.
//!
//! It looks at the bindings one by one, and not at the table. Only where one binding is chosen
//! among all, the table tells which.

use std::collections::HashSet;

use super::{BindingRef, ExchangeState, Matches, RouteTarget, headers, topic};
use crate::{
    message::properties::RoutingProperties,
    model::{exchange_kind::ExchangeKind, explanation::MatchReason},
};

impl<D: RouteTarget> ExchangeState<D> {
    /// Every binding, whether it leads a message on, and why. `chosen` are the destinations that
    /// the router of the exchange has chosen, if it has a router.
    pub(crate) fn explain<'a>(
        &'a self,
        routing_keys: &'a [&'a str],
        properties: RoutingProperties<'a>,
        chosen: &'a [D],
    ) -> impl Iterator<Item = (BindingRef<'a, D>, bool, MatchReason)> {
        let mut matches = Matches::new();
        self.route(routing_keys, properties, &mut matches);
        let found: HashSet<D> = self.found(&matches).cloned().collect();
        let chosen: HashSet<&D> = chosen.iter().collect();
        self.bindings().map(move |binding| {
            let key_that = |fits: &dyn Fn(&str) -> bool| {
                let keys = routing_keys.iter();
                keys.copied().find(|key| fits(key)).map(str::to_owned)
            };
            let pattern = binding.routing_key.as_str();
            let (leads, reason) = match self.kind {
                ExchangeKind::Direct => {
                    let key = key_that(&|key| key == pattern);
                    (key.is_some(), MatchReason::Key(key))
                }
                ExchangeKind::Topic => {
                    let key = key_that(&|key| topic::fits(pattern, key));
                    (key.is_some(), MatchReason::Pattern(key))
                }
                ExchangeKind::Fanout | ExchangeKind::RecentHistory => (true, MatchReason::Always),
                ExchangeKind::Headers => headers::explain(binding.arguments, properties.headers),
                ExchangeKind::ConsistentHash => {
                    let is_found = found.contains(binding.destination);
                    (is_found, MatchReason::Hash(is_found))
                }
                ExchangeKind::Random
                | ExchangeKind::LocalRandom
                | ExchangeKind::ModulusHash
                | ExchangeKind::Router => {
                    let is_chosen = chosen.contains(binding.destination);
                    (is_chosen, MatchReason::Router(is_chosen))
                }
            };
            (binding, leads, reason)
        })
    }
}
