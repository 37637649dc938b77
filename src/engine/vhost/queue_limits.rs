//! The limits of a queue that are changed while it lives.

use std::sync::Arc;

use super::{Identity, VirtualHost};
use crate::{
    engine::queue::Effects,
    model::{
        arguments::QueueArguments,
        descriptions::QueueLimits,
        error::{EntityKind, Error, Result},
        name::Name,
    },
};

impl VirtualHost {
    /// Puts limits of a queue into effect instead of those of its declaration. Policies are merged
    /// with them as with those. A redeclaration is still compared with the declaration.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::ResourceLocked`] if it is exclusive to another connection,
    /// [`Error::PreconditionFailed`] for a limit that a queue of its type cannot have,
    /// [`Error::ShutDown`]. Nothing is changed then.
    pub(crate) fn set_queue_limits(
        self: &Arc<Self>,
        by: Identity<'_>,
        name: &Name,
        limits: &QueueLimits,
    ) -> Result {
        // Read before the locks, since the clock may be user code.
        let now = self.nanos();
        // The policies stay as they are until the limits are in effect.
        let policies = self.policies.lock();
        policies.begin_pass();
        let queue = self.queue(by.connection, name)?;
        let declared = self
            .topology
            .read()
            .queues
            .get(queue.name())
            .map(|declared| limits.apply(declared.terms.description.argument_table()));
        let not_found = || Error::not_found(EntityKind::Queue, name, self.name());
        let table = declared.ok_or_else(not_found)?;
        let arguments = Arc::new(QueueArguments::parse(&table, queue.name(), self.name())?);
        // Patterns can take long. No publisher waits for them.
        let effective = policies.effective_queue(&arguments, queue.name());
        by.check_overflow(&effective, queue.name(), self.name())?;
        let mut effects = Effects::none();
        {
            let mut topology = self.topology.write();
            let declared = topology.queues.get_mut(queue.name());
            // Another queue may have the name by now.
            let declared = declared.filter(|declared| declared.queue == queue);
            // A snapshot may still read the old ones.
            let declared = Arc::make_mut(declared.ok_or_else(not_found)?);
            Arc::make_mut(&mut declared.terms).arguments = arguments;
            queue.reconfigure(&effective, now, &mut effects);
        }
        drop(policies);
        self.run_effects(&queue, effects);
        Ok(())
    }
}
