//! The bindings that exchanges of a type with a router may have.

use crate::model::{
    arguments::QueueType,
    error::{Error, Result},
};

/// The bindings that exchanges of a type may have: the answer of
/// [`Router::binding_rules`](crate::Router::binding_rules). The default allows all bindings.
///
/// # Examples
/// ```
/// use leveret::{BindingRules, Broker, Exchange, Queue, Router, RouterBinding, RouterMessage};
///
/// /// Sends every message to the first queue.
/// #[derive(Debug)]
/// struct First;
///
/// impl Router for First {
///     fn route(&self, _: &RouterMessage<'_>, _: &[RouterBinding]) -> Vec<usize> {
///         vec![0]
///     }
///     fn binding_rules(&self) -> BindingRules {
///         BindingRules::default().queues_only().without_key()
///     }
/// }
///
/// let broker = Broker::builder().exchange_type("x-first", First).build();
/// let queue = Queue::new("q").bind(Exchange::new("x", "x-first"), "key");
/// let error = broker.declare(&queue).unwrap_err();
/// assert!(error.to_string().ends_with("Non empty binding 'key' key not permitted"));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BindingRules {
    without_key: bool,
    destinations: Destinations,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Destinations {
    #[default]
    All,
    Queues,
    ClassicQueues,
}

impl BindingRules {
    /// Requires that the binding key is empty.
    #[must_use]
    pub fn without_key(mut self) -> Self {
        self.without_key = true;
        self
    }

    /// Requires that the destination is a queue.
    #[must_use]
    pub fn queues_only(mut self) -> Self {
        self.destinations = Destinations::Queues;
        self
    }

    /// Requires that the destination is a classic queue.
    #[must_use]
    pub fn classic_queues_only(mut self) -> Self {
        self.destinations = Destinations::ClassicQueues;
        self
    }

    /// Checks a binding to a queue of this type. `None` is an exchange.
    pub(super) fn check(self, routing_key: &str, destination: Option<QueueType>) -> Result {
        if self.without_key && !routing_key.is_empty() {
            return Err(Error::binding_with_key(routing_key));
        }
        match (self.destinations, destination) {
            (Destinations::All, _)
            | (Destinations::Queues, Some(_))
            | (Destinations::ClassicQueues, Some(QueueType::Classic)) => Ok(()),
            (_, None) => Err(Error::binding_to_exchange()),
            (_, Some(queue_type)) => Err(Error::binding_to_queue_type(queue_type.module())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(rules: BindingRules, routing_key: &str, destination: Option<QueueType>) -> String {
        match rules.check(routing_key, destination) {
            Ok(()) => "ok".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_key_is_checked_before_the_destination() {
        let rules = BindingRules::default().without_key().queues_only();
        let key = "PRECONDITION_FAILED - Non empty binding 'k' key not permitted";
        assert_eq!(text(rules, "k", None), key);
        assert_eq!(text(rules, "k", Some(QueueType::Quorum)), key);
        assert_eq!(
            text(rules, "", None),
            "PRECONDITION_FAILED - Destination not found"
        );
        assert_eq!(text(rules, "", Some(QueueType::Quorum)), "ok");
    }

    #[test]
    fn rules_may_allow_classic_queues_only() {
        let rules = BindingRules::default().classic_queues_only();
        assert_eq!(text(rules, "k", Some(QueueType::Classic)), "ok");
        assert_eq!(
            text(rules, "k", Some(QueueType::Quorum)),
            "PRECONDITION_FAILED - Queue type rabbit_quorum_queue not valid for this exchange type"
        );
        assert!(rules.check("k", None).is_err());
    }

    #[test]
    fn the_default_allows_everything() {
        for destination in [None, Some(QueueType::Classic), Some(QueueType::Quorum)] {
            assert_eq!(text(BindingRules::default(), "k", destination), "ok");
        }
    }
}
