//! The middlewares of workers.

mod retry;
