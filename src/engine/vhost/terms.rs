//! What a queue was declared with. Queues that were declared alike share it, since there may be
//! very many of them.

use std::sync::Arc;

use crate::{
    model::{arguments::QueueArguments, descriptions},
    runtime::sync::Mutex,
};

/// What a queue was declared with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Terms {
    /// As declared, without the name and the bindings.
    pub(crate) description: descriptions::Queue,
    /// Its arguments. [`set_queue_limits`](super::VirtualHost::set_queue_limits) changes some.
    pub(crate) arguments: Arc<QueueArguments>,
}

/// The terms of the queue that was declared last. Queues that are declared alike mostly come one
/// after the other. A leaf lock.
#[derive(Debug, Default)]
pub(super) struct LastTerms(Mutex<Option<Arc<Terms>>>);

impl LastTerms {
    /// These terms, shared with the last ones if they are equal.
    pub(super) fn share(
        &self,
        description: &descriptions::Queue,
        arguments: QueueArguments,
    ) -> Arc<Terms> {
        let terms = Terms {
            description: description.of_new_queue(),
            arguments: Arc::new(arguments),
        };
        let mut last = self.0.lock();
        if let Some(same) = last.as_ref().filter(|last| last.is_same(&terms)) {
            return Arc::clone(same);
        }
        let terms = Arc::new(terms);
        *last = Some(Arc::clone(&terms));
        terms
    }
}

impl Terms {
    /// Whether they are equal, and their arguments have the same order. An export shows the order.
    fn is_same(&self, other: &Terms) -> bool {
        let [one, two] = [self, other].map(|terms| terms.description.argument_table());
        self == other && one.iter().eq(two.iter())
    }
}
