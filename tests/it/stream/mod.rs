//! Streams: their readers, what they share, retention, and the consumers of streams.

mod consumers;
mod model;
mod offsets;
mod publishing;
mod readers;
mod retention;
