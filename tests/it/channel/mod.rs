//! AMQP 0-9-1 methods and confirms on a channel.

mod confirms;
mod methods;
