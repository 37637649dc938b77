//! How brokers, virtual hosts and connections end, and what they leave.

mod churn;
mod ends;
mod handles;
mod shutdown;
