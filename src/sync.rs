//! Every lock, atomic and thread of the crate comes from here, so that the interleaving tests can swap them.

#[cfg(not(shuttle))]
pub(crate) use parking_lot::{Mutex, MutexGuard, RwLock};
#[cfg(not(shuttle))]
pub(crate) use std::{sync::atomic, thread};

#[cfg(shuttle)]
pub(crate) use shuttle::{sync::atomic, thread};
#[cfg(shuttle)]
pub(crate) use shuttle_parking_lot::{Mutex, MutexGuard, RwLock};
