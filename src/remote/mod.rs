//! Engines outside of this process, as backends of the typed handles.
//!
//! - `rabbitmq`: a RabbitMQ, through the client `lapin`.

pub(crate) mod rabbitmq;
