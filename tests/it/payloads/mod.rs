//! Payloads: typed values, bytes, and values that cannot be encoded.

mod chains;
mod codecs;
mod decode_policy;
mod decoding;
mod local;
mod panicking_codecs;
mod panicking_drops;
mod sizes;
mod values;
