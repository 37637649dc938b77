//! The reasons why octets are no AMQP 0-9-1.

/// The reason why the octets of a frame are not what AMQP 0-9-1 has there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    /// There are too few octets for the fields, or too many.
    #[error("cannot decode")]
    Length,
    /// Text is not UTF-8.
    #[error("Malformed UTF-8 in shortstr")]
    Text,
    /// A table or an array does not end where its last value ends.
    #[error("a field table has a wrong length")]
    TableLength,
    /// A field value has a letter that no type has.
    #[error("a field table has a value of the unknown type {}", .0.escape_ascii())]
    FieldType(u8),
    /// Tables and arrays are nested deeper than the broker takes.
    #[error("a field table is nested too deep")]
    TooDeep,
    /// The flags of a content header name properties that do not exist.
    #[error("a content header has unknown properties")]
    PropertyFlags,
}

impl Malformed {
    /// AMQP's reply code: 501 for a frame that cannot be read, 502 for illegal values in it.
    pub(crate) fn reply_code(self) -> u16 {
        match self {
            Malformed::Length | Malformed::Text => 501,
            Malformed::TableLength
            | Malformed::FieldType(_)
            | Malformed::TooDeep
            | Malformed::PropertyFlags => 502,
        }
    }
}
