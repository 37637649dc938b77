//! AMQP 0-9-1 methods and confirms on a channel.

mod closing;
mod confirms;
mod credit;
mod direct_replies;
mod late;
mod methods;
mod publish;
mod streams;
mod windows;
