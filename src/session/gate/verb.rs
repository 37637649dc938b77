//! The verbs of the gate, and the virtual host behind them.
//!
//! A verb gets at the virtual host by its name in [`Verb`] only. The test of all permissions has a
//! row for each of them, so a new verb without a row does not compile.

use std::sync::Arc;

use crate::{
    engine::{
        access::Access,
        vhost::{ConnectionId, Identity, VirtualHost},
    },
    model::error::Result,
};

macro_rules! verbs {
    ($($verb:ident,)*) => {
        /// What a connection can ask of its virtual host.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Verb {
            $($verb,)*
        }

        impl Verb {
            /// All verbs, for the test of all permissions.
            #[cfg(test)]
            pub(super) const ALL: &[Verb] = &[$(Verb::$verb,)*];
        }
    };
}

verbs! {
    DeclareExchange,
    DeclareExchangePassive,
    DeclareQueue,
    DeclareQueuePassive,
    DeclareBudget,
    DeclareAndRead,
    DeleteExchange,
    DeleteQueue,
    DeleteBudget,
    DeclareAlias,
    RepointAlias,
    DeleteAlias,
    DeclareModel,
    DeleteModel,
    OpenModel,
    RearmTrigger,
    Bind,
    Unbind,
    Route,
    Publish,
    Get,
    Consume,
    StartConsumers,
    Purge,
    ReturnUnseen,
    PauseQueue,
    SetQueueLimits,
    ViewDelayedOfQueue,
    ViewDelayedOfExchange,
    ExportOfQueue,
    ExportOfExchange,
    SetPolicy,
    SetOperatorPolicy,
    ClearPolicy,
    ClearOperatorPolicy,
    ListPolicies,
    ListOperatorPolicies,
    SetDeadLetterQueue,
    ClearDeadLetterQueue,
    CheckQueue,
    ViewBudget,
    Survey,
}

#[cfg(test)]
std::thread_local! {
    /// The verbs that this thread has used.
    pub(super) static ENTERED: std::cell::RefCell<Vec<Verb>> = const {
        std::cell::RefCell::new(Vec::new())
    };
}

/// A virtual host, as one connection may use it.
pub(super) struct Guarded {
    vhost: Arc<VirtualHost>,
    connection: ConnectionId,
    access: Access,
    /// Whether it declares no queue that lets its publishers wait.
    refuses_block: bool,
}

/// The virtual host for one verb, and who asks.
pub(super) struct Entered<'a> {
    pub(super) vhost: &'a Arc<VirtualHost>,
    pub(super) access: &'a Access,
    pub(super) by: Identity<'a>,
}

impl Guarded {
    pub(super) fn new(
        vhost: &Arc<VirtualHost>,
        connection: ConnectionId,
        access: Access,
        refuses_block: bool,
    ) -> Guarded {
        Guarded {
            vhost: Arc::clone(vhost),
            connection,
            access,
            refuses_block,
        }
    }

    /// The virtual host for a verb, which checks what the user may do. It asks the access, or it
    /// hands on who asks.
    #[inline]
    pub(super) fn enter(&self, verb: Verb) -> Entered<'_> {
        #[cfg(test)]
        ENTERED.with_borrow_mut(|entered| entered.push(verb));
        // It is only a name, which has a row in the test.
        let _ = verb;
        Entered {
            vhost: &self.vhost,
            access: &self.access,
            by: Identity {
                connection: self.connection,
                access: &self.access,
                refuses_block: self.refuses_block,
            },
        }
    }

    /// The virtual host for what asks for no permission: settling, cancelling, limits, time.
    #[inline]
    pub(super) fn unasked(&self) -> &Arc<VirtualHost> {
        &self.vhost
    }

    pub(super) fn connection(&self) -> ConnectionId {
        self.connection
    }

    pub(super) fn access(&self) -> &Access {
        &self.access
    }

    /// # Errors
    /// As for [`Gate::check_open`](super::Gate::check_open), but for the connection itself.
    pub(super) fn check_up(&self) -> Result {
        self.vhost.check_up()
    }
}
