//! The behaviours that every engine must show, whichever one the handles use.
//!
//! Each test runs in this process, over the durable store, and on a RabbitMQ. The last one is at
//! `LEVERET_RABBITMQ`, or at 127.0.0.1:5672 if one answers there. Without it, its tests say so and
//! do nothing.

#[cfg(feature = "rabbitmq")]
mod calls;
#[cfg(feature = "rabbitmq")]
mod chaos;
mod consuming;
#[cfg(feature = "rabbitmq")]
mod encrypted;
mod engine;
#[cfg(feature = "rabbitmq")]
mod losing;
#[cfg(feature = "rabbitmq")]
mod outage;
mod patterns;
#[cfg(feature = "rabbitmq")]
mod processes;
#[cfg(feature = "rabbitmq")]
mod proxy;
mod publishing;
#[cfg(feature = "rabbitmq")]
mod strangers;
mod topology;
mod waiting;

/// Makes one test of each function for each engine.
macro_rules! on_each_engine {
    ($($name:ident)*) => {
        mod memory {
            $(#[test] fn $name() { super::$name(&$crate::engine::memory()); })*
        }
        #[cfg(feature = "durable")]
        mod durable {
            $(#[test] fn $name() { super::$name(&$crate::engine::durable()); })*
        }
        #[cfg(feature = "rabbitmq")]
        mod rabbitmq {
            $(#[test] fn $name() {
                if let Some(engine) = $crate::engine::rabbitmq() {
                    super::$name(&engine);
                }
            })*
        }
    };
}
pub(crate) use on_each_engine;
