//! The hooks of a worker: callbacks at its turns.

use super::{Context, HandlerError, Settle, WorkerReport};
use crate::{
    runtime::{catch_panic::catch_panic, user_drop::drop_user_value},
    session::undecoded::Undecoded,
};

pub(super) type OnStart = dyn Fn(&str) + Send + Sync;
pub(super) type OnIdle = dyn Fn() + Send + Sync;
pub(super) type OnStop = dyn Fn(&WorkerReport) + Send + Sync;
pub(super) type OnError = dyn Fn(&HandlerError, &Context<'_>) -> Settle + Send + Sync;
pub(super) type OnDecodeError = dyn Fn(&Undecoded) -> Settle + Send + Sync;

/// The callbacks. Each one is user code, and its panic ends in the worker.
#[derive(Default)]
pub(super) struct Hooks {
    pub(super) start: Option<Box<OnStart>>,
    pub(super) idle: Option<Box<OnIdle>>,
    pub(super) error: Option<Box<OnError>>,
    pub(super) decode_error: Option<Box<OnDecodeError>>,
    pub(super) stop: Option<Box<OnStop>>,
}

impl Drop for Hooks {
    fn drop(&mut self) {
        drop_user_value(self.start.take());
        drop_user_value(self.idle.take());
        drop_user_value(self.error.take());
        drop_user_value(self.decode_error.take());
        drop_user_value(self.stop.take());
    }
}

impl Hooks {
    pub(super) fn start(&self, name: &str) {
        if let Some(hook) = &self.start {
            catch_panic(|| hook(name));
        }
    }

    pub(super) fn idle(&self) {
        if let Some(hook) = &self.idle {
            catch_panic(hook);
        }
    }

    /// The settlement of a message whose handler has failed. A hook that panics rejects it.
    pub(super) fn error(&self, error: &HandlerError, context: &Context<'_>) -> Settle {
        let hook = self.error.as_ref();
        hook.and_then(|hook| catch_panic(|| hook(error, context)))
            .unwrap_or(Settle::Reject)
    }

    /// The settlement of a message that does not decode. A hook that panics rejects it.
    pub(super) fn decode_error(&self, undecoded: &Undecoded) -> Settle {
        let hook = self.decode_error.as_ref();
        hook.and_then(|hook| catch_panic(|| hook(undecoded)))
            .unwrap_or(Settle::Reject)
    }

    pub(super) fn stop(&self, report: &WorkerReport) {
        if let Some(hook) = &self.stop {
            catch_panic(|| hook(report));
        }
    }
}
