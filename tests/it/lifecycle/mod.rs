//! The end of brokers, virtual hosts and connections, and the memory they leave.

mod churn;
mod closed;
mod ends;
mod events;
mod handles;
mod listed;
mod shutdown;
mod snapshot;
mod taps;
mod user_code;
