//! Snapshots, and what is made of them: rates, tables, JSON, metrics, pictures and the dashboard.

mod browser;
mod counts;
mod fields;
mod metrics;
mod pictures;
mod rates;
