//! References and plain names in the place of descriptions.

use super::{Exchange, Queue};
use crate::model::name::Name;

impl From<&Exchange> for Exchange {
    fn from(exchange: &Exchange) -> Self {
        exchange.clone()
    }
}

impl From<&Queue> for Queue {
    fn from(queue: &Queue) -> Self {
        queue.clone()
    }
}

macro_rules! by_name {
    ($($name:ty),*) => {$(
        impl From<$name> for Exchange {
            /// Describes the exchange as [`Exchange::existing`] does.
            fn from(name: $name) -> Self {
                Self::existing(name)
            }
        }

        impl From<$name> for Queue {
            /// Opens the queue of this name. An existing queue is used, whatever its properties. A
            /// missing queue is declared as by [`Queue::new`].
            fn from(name: $name) -> Self {
                Self::opened(name)
            }
        }
    )*};
}

by_name!(&str, String, &String, Name, &Name);
