//! The ways to receive, and how receiving ends.

mod ends;
mod receive;
mod select;
mod waiting;
