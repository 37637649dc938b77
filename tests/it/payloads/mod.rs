//! Payloads: typed values, bytes, and values that cannot be encoded.

mod decoding;
mod local;
mod sizes;
mod values;
