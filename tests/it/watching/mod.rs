//! Snapshots, and all that comes of them: rates, tables, JSON, metrics, pictures, the dashboard.

mod browser;
mod counts;
mod fields;
mod metrics;
mod pictures;
mod rates;
#[cfg(feature = "tracing")]
mod received;
#[cfg(feature = "tracing")]
mod traces;
