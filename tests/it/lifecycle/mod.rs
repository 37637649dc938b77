//! The end of brokers, virtual hosts and connections, and the memory they leave.

mod churn;
mod ends;
mod handles;
mod shutdown;
mod snapshot;
mod user_code;
