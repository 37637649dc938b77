//! The locks, atomics, threads and internal channels of the crate. All come from here, so that the
//! interleaving tests can replace them.
//!
//! `RUSTFLAGS="--cfg shuttle"` replaces them by ones that a scheduler controls. `Arc` stays the
//! standard one. There is no time under shuttle: `park_timeout` is `park`, so a test of time-outs
//! uses a `ManualClock` and lets another thread advance it.
//!
//! There is no condition variable: all waiting is in `waiter`. The replacements work inside
//! shuttle's own tests only. So a plain test that takes a lock is compiled for `not(shuttle)`, and
//! the others are in modules named `interleavings`.
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
    //! The unbounded channel between a queue and its consumers. No thread blocks on it: `waiter`
    //! does all waiting.
    pub(crate) use crossbeam_channel::{Receiver, SendError, Sender, TryRecvError, unbounded};
}
#[cfg(shuttle)]
pub(crate) mod channel;
