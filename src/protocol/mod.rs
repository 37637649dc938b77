//! Network protocols without a network: octets in, octets out. Each is a folder of its own.

#[cfg(feature = "amqp")]
pub mod amqp;
