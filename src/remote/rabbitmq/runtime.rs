//! The thread that runs the runtime of the client.

use std::{
    future::Future,
    sync::mpsc,
    thread::{self, JoinHandle},
};

use tokio::{runtime::Handle, sync::oneshot};

use crate::model::error::{Error, Result};

/// A runtime on a thread of its own.
///
/// # If dropped
/// The tasks are dropped, and the thread ends.
pub(super) struct Runtime {
    handle: Handle,
    /// Its drop ends the runtime.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Runtime {
    /// # Errors
    /// [`Error::Thread`].
    pub(super) fn start() -> Result<Runtime> {
        let failed = |error: String| Error::Thread(error.into());
        let (started, starting) = mpsc::sync_channel(1);
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new().name("leveret-rabbitmq".to_owned());
        let thread = thread.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            match runtime {
                Ok(runtime) => {
                    let _ = started.send(Ok(runtime.handle().clone()));
                    // An error is the end of the sender: that is the sign.
                    let _ = runtime.block_on(stopped);
                }
                Err(error) => {
                    let _ = started.send(Err(error.to_string()));
                }
            }
        });
        let thread = thread.map_err(|error| failed(error.to_string()))?;
        let handle = starting.recv().map_err(|error| failed(error.to_string()))?;
        Ok(Runtime {
            handle: handle.map_err(failed)?,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.handle.spawn(task);
    }

    /// Whether the current thread is that of the runtime, which must not wait for it.
    pub(super) fn is_current(&self) -> bool {
        let own = self.thread.as_ref();
        own.is_some_and(|own| own.thread().id() == thread::current().id())
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        drop(self.stop.take());
        if !self.is_current()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}
