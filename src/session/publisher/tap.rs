//! A look at every publish of a broker, and a hand in its course. The broker of a test kit has one.
#![cfg_attr(
    not(feature = "testing"),
    allow(dead_code, reason = "only the test kit has a tap")
)]

use std::{sync::Arc, time::Duration};

use super::{
    Overrides, Publisher, not_published::NotPublished, prepared::Prepared, route_cache::CachedRoute,
};
use crate::{
    engine::{
        queue::after,
        vhost::{Published, PushOptions, VirtualHost},
    },
    message::{envelope::Envelope, properties::Properties},
    model::{
        error::{Error, Result},
        name::Name,
    },
    session::backend::Confirmation,
};

/// Sees every publish of a broker, and may change its course. Called without a lock.
pub(crate) trait Tap: Send + Sync {
    /// A publish begins. It has passed its checks.
    fn begin(&self, attempt: Attempt<'_>) -> Course;

    /// The publish that got this number has ended.
    fn end(&self, number: u64, outcome: Result<Published>);

    /// A publish has not passed its checks.
    fn fail(&self, attempt: Attempt<'_>, error: Error);
}

/// A publish, as a [`Tap`] sees it.
pub(crate) struct Attempt<'a> {
    pub(crate) vhost: &'a Name,
    pub(crate) exchange: &'a Name,
    pub(crate) routing_key: &'a str,
    /// The queues that it leads to, and the delayed exchanges that keep it.
    pub(crate) queues: Vec<&'a Name>,
    pub(crate) properties: Properties,
    /// The type of the payload; empty if the message is not made yet.
    pub(crate) type_name: &'static str,
    /// A copy of the message that does not share the payload, if there can be one.
    pub(crate) copy: Option<Envelope>,
}

/// The course that a publish takes.
#[derive(Debug, Default)]
pub(crate) struct Course {
    /// The number of the publish, for its end.
    pub(crate) number: u64,
    /// It fails with this error, before any queue has the message.
    pub(crate) failure: Option<Error>,
    /// The message is delivered after this time at the earliest.
    pub(crate) delay: Duration,
    /// How many copies of the message follow it.
    pub(crate) copies: usize,
}

/// A publish that a tap has seen begin.
pub(super) struct Tapped {
    tap: Arc<dyn Tap>,
    number: u64,
    vhost: Arc<VirtualHost>,
    exchange: Name,
    routing_key: String,
    route: Arc<CachedRoute>,
    due: Option<u64>,
    copies: Vec<Envelope>,
}

impl Publisher {
    /// Shows a publish that has not passed its checks to the tap.
    #[cold]
    pub(super) fn tap_failure(
        &self,
        tap: &Arc<dyn Tap>,
        overrides: Overrides<'_>,
        properties: Option<&Properties>,
        error: &Error,
    ) {
        let config = &self.config;
        let own = config.meta.as_ref().map(|meta| &meta.properties);
        let attempt = Attempt {
            vhost: config.gate.vhost_name(),
            exchange: &config.exchange,
            routing_key: overrides.routing_key.unwrap_or(&config.routing_key),
            queues: Vec::new(),
            properties: properties.or(own).cloned().unwrap_or_default(),
            type_name: "",
            copy: None,
        };
        tap.fail(attempt, error.clone());
    }
}

impl Prepared<'_> {
    /// Shows a publish to the tap, and follows the course that the tap gives.
    ///
    /// # Errors
    /// The failure that the tap wants. The tap knows of it.
    #[cold]
    pub(super) fn tap(
        &mut self,
        tap: &Arc<dyn Tap>,
        message: &mut Option<Envelope>,
    ) -> Result<Tapped, NotPublished> {
        let config = &self.publisher.config;
        let vhost = config.gate.vhost();
        let copy = |message: &mut Option<Envelope>| message.as_mut()?.separate_copy();
        let envelope = message.as_ref();
        let course = tap.begin(Attempt {
            properties: envelope
                .map(|envelope| envelope.properties().clone())
                .unwrap_or_default(),
            type_name: envelope.map_or("", |envelope| envelope.body().type_name()),
            copy: copy(message),
            vhost: vhost.name(),
            exchange: &config.exchange,
            routing_key: self.key,
            queues: self.route.names().collect(),
        });
        if let Some(failure) = course.failure {
            tap.end(course.number, Err(failure.clone()));
            return Err(NotPublished::of_error(failure));
        }
        if !course.delay.is_zero() {
            let due = after(vhost.nanos(), course.delay);
            self.due = Some(self.due.unwrap_or_default().max(due));
        }
        Ok(Tapped {
            tap: Arc::clone(tap),
            number: course.number,
            vhost: Arc::clone(vhost),
            exchange: config.exchange.clone(),
            routing_key: self.key.to_owned(),
            route: Arc::clone(&self.route),
            due: self.due,
            copies: (0..course.copies).filter_map(|_| copy(message)).collect(),
        })
    }
}

impl Tapped {
    /// Publishes the copies, and tells the tap how the publish has ended.
    pub(super) fn end(self, confirmation: Confirmation) {
        if confirmation.is_ok() {
            for copy in self.copies {
                // Where the original waited for room, the copy is given up.
                let options = PushOptions {
                    due: self.due,
                    ..PushOptions::default()
                };
                let _ = self.vhost.push(&self.route, &mut Some(copy), options);
            }
        }
        let outcome =
            confirmation.map_err(|failure| failure.into_error(&self.exchange, &self.routing_key));
        self.tap.end(self.number, outcome);
    }
}
