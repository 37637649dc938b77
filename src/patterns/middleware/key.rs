//! The keys by which a middleware keeps messages apart.

use std::{fmt, sync::Arc};

use crate::patterns::worker::Context;

type Function = dyn Fn(&Context<'_>) -> String + Send + Sync;

/// The key of each message. Without a function all messages have the same.
#[derive(Clone, Default)]
pub(super) struct KeyOf(Option<Arc<Function>>);

impl KeyOf {
    pub(super) fn by<K: Into<String>>(
        key: impl Fn(&Context<'_>) -> K + Send + Sync + 'static,
    ) -> KeyOf {
        KeyOf(Some(Arc::new(move |context| key(context).into())))
    }

    /// The key of a message. Runs user code.
    pub(super) fn of(&self, context: &Context<'_>) -> String {
        let function = self.0.as_ref();
        function.map_or_else(String::new, |function| function(context))
    }
}

impl fmt::Debug for KeyOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Some(_) => "a function",
            None => "none",
        })
    }
}
