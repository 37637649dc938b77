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
    exceeded_limit: Option<u64>,
}

impl CodecError {
    /// An error of the codec for `content_type`. The codec gives the message.
    pub fn new(content_type: impl Into<Arc<str>>, message: impl fmt::Display) -> CodecError {
        CodecError {
            content_type: content_type.into(),
            message: message.to_string().into(),
            exceeded_limit: None,
        }
    }

    /// An error of a payload that decompresses to more than `limit` bytes.
    pub fn over_limit(content_type: impl Into<Arc<str>>, limit: u64) -> CodecError {
        let text = format_args!("the payload decompresses to more than {limit} bytes");
        CodecError {
            exceeded_limit: Some(limit),
            ..CodecError::new(content_type, text)
        }
    }

    /// The content type of the codec.
    pub fn content_type(&self) -> &str {
        &self.content_type
    }

    /// The limit in bytes that the decompressed payload exceeds, if that is the reason.
    ///
    /// # Examples
    /// ```
    /// use leveret::CodecError;
    ///
    /// let error = CodecError::over_limit("application/json", 1_000);
    /// assert_eq!(error.exceeded_limit(), Some(1_000));
    /// assert_eq!(error.message(), "the payload decompresses to more than 1000 bytes");
    /// assert_eq!(CodecError::new("application/json", "no JSON").exceeded_limit(), None);
    /// ```
    pub fn exceeded_limit(&self) -> Option<u64> {
        self.exceeded_limit
    }

    /// The message of the codec.
    pub fn message(&self) -> &str {
        &self.message
    }
}
