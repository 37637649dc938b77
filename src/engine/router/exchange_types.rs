//! The types of exchanges, by their names.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    BindingRules, Router, RouterBinding, RouterMessage, modulus_hash::ModulusHash, random::Random,
};
use crate::{
    model::{arguments::QueueType, error::Result, exchange_kind::ExchangeKind},
    runtime::{catch_panic::catch_panic, user_drop::drop_user_value},
};

/// How the exchanges of a type find destinations.
#[derive(Clone, Debug)]
pub(crate) enum ExchangeType {
    /// By the table of this kind.
    Table(ExchangeKind),
    Router(Arc<RegisteredRouter>),
}

impl ExchangeType {
    pub(crate) fn kind(&self) -> ExchangeKind {
        match self {
            Self::Table(kind) => *kind,
            Self::Router(router) => router.kind,
        }
    }
}

/// The exchange types of a broker that have routers.
#[derive(Clone, Debug)]
pub(crate) struct ExchangeTypes(BTreeMap<String, Arc<RegisteredRouter>>);

impl Default for ExchangeTypes {
    fn default() -> Self {
        let mut types = Self(BTreeMap::new());
        types.add(ExchangeKind::Random, Random::of_any());
        types.add(ExchangeKind::LocalRandom, Random::of_local_queues());
        types.add(ExchangeKind::ModulusHash, ModulusHash);
        types
    }
}

impl ExchangeTypes {
    /// Adds a type. It replaces one of the same name, unless that routes by a table.
    pub(crate) fn register(&mut self, name: String, router: impl Router) {
        match self.find(&name) {
            Ok(ExchangeType::Table(_)) => {}
            _ => self.insert(name, ExchangeKind::Router, router),
        }
    }

    fn add(&mut self, kind: ExchangeKind, router: impl Router) {
        self.insert(kind.as_str().to_owned(), kind, router);
    }

    fn insert(&mut self, name: String, kind: ExchangeKind, router: impl Router) {
        let registered = RegisteredRouter {
            kind,
            rules: router.binding_rules(),
            router: Some(Box::new(router)),
        };
        self.0.insert(name, Arc::new(registered));
    }

    /// # Errors
    /// [`Error::PreconditionFailed`](crate::Error::PreconditionFailed) if there is no such type.
    pub(crate) fn find(&self, name: &str) -> Result<ExchangeType> {
        match self.0.get(name) {
            Some(router) => Ok(ExchangeType::Router(Arc::clone(router))),
            None => name.parse().map(ExchangeType::Table),
        }
    }
}

/// A router, and the bindings that exchanges of its type may have.
#[derive(Debug)]
pub(crate) struct RegisteredRouter {
    kind: ExchangeKind,
    rules: BindingRules,
    /// `None` only while it is dropped.
    router: Option<Box<dyn Router>>,
}

impl RegisteredRouter {
    /// Asks the router, which is user code. Returns nothing if it panics.
    pub(crate) fn route(
        &self,
        message: &RouterMessage<'_>,
        bindings: &[RouterBinding],
    ) -> Vec<usize> {
        let router = self.router.as_ref();
        router
            .and_then(|router| catch_panic(|| router.route(message, bindings)))
            .unwrap_or_default()
    }

    /// Checks a new binding to a queue of this type. `None` is an exchange.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`](crate::Error::PreconditionFailed) if they may not have it.
    pub(crate) fn check_binding(
        &self,
        routing_key: &str,
        destination: Option<QueueType>,
    ) -> Result {
        self.rules.check(routing_key, destination)
    }
}

impl Drop for RegisteredRouter {
    fn drop(&mut self) {
        drop_user_value(self.router.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{message::properties::RoutingProperties, model::error::Error};

    #[test]
    fn tables_and_routers_are_found_by_their_names() {
        let types = ExchangeTypes::default();
        for kind in ["direct", "headers", "x-consistent-hash", "x-recent-history"] {
            let found = types.find(kind).unwrap();
            assert_eq!(found.kind().as_str(), kind);
            assert!(matches!(found, ExchangeType::Table(_)));
        }
        for kind in ["x-random", "x-local-random", "x-modulus-hash"] {
            let found = types.find(kind).unwrap();
            assert_eq!(found.kind().as_str(), kind);
            assert!(matches!(found, ExchangeType::Router(_)));
        }
        for unknown in ["", "router", "Topic", "x-own"] {
            let error = types.find(unknown).unwrap_err();
            assert_eq!(error, Error::unknown_exchange_type(unknown));
        }
    }

    #[test]
    fn a_router_that_panics_has_chosen_nothing() {
        #[derive(Debug)]
        struct Panics;
        impl Router for Panics {
            fn route(&self, _: &RouterMessage<'_>, _: &[RouterBinding]) -> Vec<usize> {
                panic!("no choice")
            }
        }
        let mut types = ExchangeTypes::default();
        types.register("x-panics".to_owned(), Panics);
        let Ok(ExchangeType::Router(router)) = types.find("x-panics") else {
            panic!("it is registered")
        };
        let name = crate::model::name::Name::empty();
        let message = RouterMessage::new(&name, &["k"], RoutingProperties::default());
        assert_eq!(router.route(&message, &[]), [0; 0]);
    }
}
