//! Every lock, atomic, thread and internal channel of the crate comes from here, so that the interleaving tests can swap them.
//!
//! `RUSTFLAGS="--cfg shuttle"` replaces them by ones that a scheduler controls. `Arc` stays the standard one. There is no time under shuttle:
//! `park_timeout` is `park`, so a test of time-outs uses a `ManualClock` and lets another thread advance it.
//! There is no condition variable: whoever waits does it by `waiter`. The replacements work inside shuttle's own tests only, so a plain test
//! that meets a lock is compiled for `not(shuttle)`, and the others sit in modules named `interleavings`.
#![allow(unused_imports, reason = "not every layer above uses every primitive")]

#[cfg(not(shuttle))]
pub(crate) use parking_lot::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
#[cfg(not(shuttle))]
pub(crate) use std::{sync::atomic, thread, thread_local};

#[cfg(shuttle)]
pub(crate) use shuttle::{sync::atomic, thread, thread_local};
#[cfg(shuttle)]
pub(crate) use shuttle_parking_lot::{
    Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard,
};

#[cfg(not(shuttle))]
pub(crate) mod channel {
    //! Unbounded channel between a queue and its consumers. Nobody blocks on it: waiting is `waiter`'s business.
    pub(crate) use crossbeam_channel::{Receiver, SendError, Sender, TryRecvError, unbounded};
}
#[cfg(shuttle)]
pub(crate) mod channel;
