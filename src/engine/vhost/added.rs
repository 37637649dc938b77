//! Things that are added to the plan of an import, beside those that are there already.

/// What the addition of a thing to a plan has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Added {
    /// It is made.
    New,
    /// The virtual host has it already.
    Existing,
    /// The plan has it already.
    Twice,
}

/// What happens to a thing that exists with other properties.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Other {
    /// It is an error.
    Refused,
    /// The existing one stays, as in an import of RabbitMQ.
    Kept,
}
