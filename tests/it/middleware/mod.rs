//! The middlewares of workers.

mod circuit_breaker;
mod concurrency_limit;
mod deduplicate;
mod retry;
mod retry_queues;
mod throttle;
