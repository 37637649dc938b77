//! The error of an encoding or a decoding.

use std::{fmt, sync::Arc};

/// The reason why a payload could not be encoded or decoded.
///
/// # Examples
/// ```
/// use leveret::{CodecError, Error};
///
/// let error = CodecError::new("application/json", "expected value at line 1 column 1");
/// assert_eq!(error.to_string(), "application/json: expected value at line 1 column 1");
/// assert_eq!((error.content_type(), error.message().len()), ("application/json", 33));
/// assert_eq!(Error::from(error).reply_code(), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{content_type}: {message}")]
pub struct CodecError {
    content_type: Arc<str>,
    message: Arc<str>,
}

impl CodecError {
    /// An error of the codec for `content_type`. The codec gives the message.
    pub fn new(content_type: impl Into<Arc<str>>, message: impl fmt::Display) -> CodecError {
        CodecError {
            content_type: content_type.into(),
            message: message.to_string().into(),
        }
    }

    /// The content type of the codec.
    pub fn content_type(&self) -> &str {
        &self.content_type
    }

    /// The message of the codec.
    pub fn message(&self) -> &str {
        &self.message
    }
}
