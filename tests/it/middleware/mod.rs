//! The middlewares of workers.

mod retry;
mod retry_queues;
