//! The arguments in effect: those of the declaration, merged with the policies that apply.

use std::sync::Arc;

use super::{Effects, QueueCore};
use crate::model::arguments::{AppliedPolicies, QueueArguments};

impl QueueCore {
    /// Puts other arguments into effect.
    pub(crate) fn reconfigure(
        &self,
        settings: &Arc<QueueArguments>,
        now: u64,
        effects: &mut Effects,
    ) {
        let mut state = self.lock();
        self.hints.follow(settings);
        state.reconfigure(Arc::clone(settings), now, effects);
    }

    /// The policies that apply now. `None` if there is none.
    pub(crate) fn applied_policies(&self) -> Option<Arc<AppliedPolicies>> {
        self.lock().settings.policies.clone()
    }
}
