//! The failures of a publish.

use crate::{
    engine::vhost::Refusal,
    model::{error::Error, name::Name},
};

/// Why a message is in no queue. It is where it was.
#[derive(Clone, Debug)]
pub(crate) enum NotPublished {
    /// It is mandatory, and no queue is on its way.
    NoRoute,
    /// Every queue on its way refused it.
    Refused { by: Refusal, refused: usize },
    /// It would be in several queues, and cannot be shared.
    NotShareable {
        type_name: &'static str,
        queues: usize,
    },
    /// Its route is out of date, and there is no other: the exchange is gone, say.
    Invalid(Error),
}

impl NotPublished {
    /// The counterpart of [`into_error`](Self::into_error).
    pub(super) fn of_error(error: Error) -> NotPublished {
        match error {
            Error::NoRoute { .. } => NotPublished::NoRoute,
            Error::Refused {
                queue,
                dead_lettered,
            } => NotPublished::Refused {
                by: Refusal {
                    queue,
                    dead_lettered,
                },
                refused: 1,
            },
            error => NotPublished::Invalid(error),
        }
    }

    /// The error of a publish to `exchange` with this key.
    pub(crate) fn into_error(self, exchange: &Name, routing_key: &str) -> Error {
        match self {
            NotPublished::NoRoute => Error::no_route(exchange, routing_key),
            NotPublished::Refused { by, .. } => by.into(),
            NotPublished::NotShareable { type_name, queues } => {
                Error::NotShareable { type_name, queues }
            }
            NotPublished::Invalid(error) => error,
        }
    }
}
