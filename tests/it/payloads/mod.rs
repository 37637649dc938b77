//! What travels: values, bytes, and what cannot be encoded.

mod decoding;
mod local;
mod values;
