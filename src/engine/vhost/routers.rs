//! Asks the routers on the way of a message, while no lock is held.
//!
//! A route is found under the topology lock. If it comes to an exchange with a router that was not
//! asked yet, it only notes the question. The lock is released, the routers are asked, and the
//! route is found anew with their answers. So a message that meets no router is routed at once.

use std::{
    collections::HashSet,
    sync::{Arc, OnceLock},
};

use super::{
    VirtualHost,
    topology::{Target, Topology},
};
use crate::{
    engine::{
        exchange::ExchangeState,
        router::{RegisteredRouter, RouterBinding, RouterMessage},
    },
    message::properties::RoutingProperties,
    model::name::Name,
};

/// The router of an exchange, and the bindings that it chooses among.
#[derive(Debug)]
pub(crate) struct RoutedBy {
    pub(super) router: Arc<RegisteredRouter>,
    /// Made when the router is asked for the first time after a change of the bindings.
    choice: OnceLock<Arc<Choice>>,
}

/// The bindings of an exchange in the order in which its router sees them, and their destinations.
#[derive(Debug)]
struct Choice {
    bindings: Vec<RouterBinding>,
    targets: Vec<Target>,
}

impl RoutedBy {
    pub(super) fn new(router: Arc<RegisteredRouter>) -> Self {
        Self {
            router,
            choice: OnceLock::new(),
        }
    }

    /// The bindings change.
    pub(super) fn forget_choice(&mut self) {
        self.choice = OnceLock::new();
    }

    fn choice(&self, state: &ExchangeState<Target>) -> Arc<Choice> {
        let choice = self.choice.get_or_init(|| Arc::new(Choice::among(state)));
        Arc::clone(choice)
    }
}

impl Choice {
    fn among(state: &ExchangeState<Target>) -> Self {
        let bindings = state.bindings().map(|binding| {
            let (destination, to_queue) = match binding.destination {
                Target::Queue(queue) => (queue.name(), true),
                Target::Exchange(name) => (name, false),
            };
            let (key, arguments) = (binding.routing_key, binding.arguments);
            let seen = RouterBinding::new(destination, to_queue, key, arguments);
            (seen, binding.destination.clone())
        });
        let mut bindings: Vec<_> = bindings.collect();
        bindings.sort_by(|(one, _), (other, _)| one.rank().cmp(&other.rank()));
        let (bindings, targets) = bindings.into_iter().unzip();
        Self { bindings, targets }
    }
}

/// The answers of routers on the way of one message, and the questions for others.
#[derive(Debug, Default)]
pub(super) struct Routers {
    answers: Vec<(Name, Vec<Target>)>,
    questions: Vec<Question>,
}

#[derive(Debug)]
struct Question {
    exchange: Name,
    router: Arc<RegisteredRouter>,
    choice: Arc<Choice>,
}

/// The two halves of [`Routers`].
pub(super) type Asked<'a> = (&'a [(Name, Vec<Target>)], Questions<'a>);

/// Takes the questions of one route.
#[derive(Debug)]
pub(super) struct Questions<'a>(&'a mut Vec<Question>);

impl Questions<'_> {
    pub(super) fn add(
        &mut self,
        exchange: &Name,
        routed_by: &RoutedBy,
        state: &ExchangeState<Target>,
    ) {
        self.0.push(Question {
            exchange: exchange.clone(),
            router: Arc::clone(&routed_by.router),
            choice: routed_by.choice(state),
        });
    }
}

impl Routers {
    /// The answers, and a place for questions.
    pub(super) fn asked(&mut self) -> Asked<'_> {
        (&self.answers, Questions(&mut self.questions))
    }

    /// The choice of the router of an exchange, once it is known.
    pub(super) fn answer(&self, exchange: &Name) -> &[Target] {
        let mut answers = self.answers.iter();
        let answer = answers.find(|(name, _)| name == exchange);
        answer.map_or(&[], |(_, chosen)| chosen)
    }

    /// Asks the routers. `false` if there was no question.
    fn ask(&mut self, routing_keys: &[&str], properties: RoutingProperties<'_>) -> bool {
        let any = !self.questions.is_empty();
        for question in self.questions.drain(..) {
            let Question {
                exchange,
                router,
                choice,
            } = question;
            let message = RouterMessage::new(&exchange, routing_keys, properties);
            let positions = router.route(&message, &choice.bindings);
            let mut seen = HashSet::new();
            let chosen = positions.iter().filter_map(|&at| {
                let (to_queue, destination, _) = choice.bindings.get(at)?.rank();
                let target = choice.targets.get(at)?;
                seen.insert((to_queue, destination)).then(|| target.clone())
            });
            self.answers.push((exchange, chosen.collect()));
        }
        any
    }
}

impl VirtualHost {
    /// Calls `look` with the topology, until it comes to no router that was not asked yet. The
    /// topology is not locked while the routers are asked.
    pub(super) fn with_routers<R>(
        &self,
        routing_keys: &[&str],
        properties: RoutingProperties<'_>,
        mut look: impl FnMut(&Topology, &mut Routers) -> R,
    ) -> R {
        let mut routers = Routers::default();
        loop {
            let found = look(&self.topology.read(), &mut routers);
            if !routers.ask(routing_keys, properties) {
                return found;
            }
        }
    }
}
