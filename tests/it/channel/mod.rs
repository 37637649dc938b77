//! AMQP 0-9-1 on a channel.

mod confirms;
mod methods;
