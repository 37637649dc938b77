//! The end of brokers, virtual hosts and connections, and the memory they leave.

mod churn;
mod closed;
mod ends;
mod handles;
mod listed;
mod shutdown;
mod snapshot;
mod user_code;
