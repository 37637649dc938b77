//! Reads the messages of one queue, one after the other.

use std::sync::Arc;

use super::{MessageHead, StoredMessage};
use crate::model::binary::Unreadable;

/// Reads kept messages. Most messages of a queue have the same head as the one before them. They
/// share it then, and it is not read again.
#[derive(Debug, Default)]
pub(crate) struct MessageReader {
    /// The bytes of the last head. It is `None` before the first message.
    bytes: Vec<u8>,
    head: Option<Arc<MessageHead<'static>>>,
}

impl MessageReader {
    /// The head and the body of a kept message.
    ///
    /// # Errors
    /// As for [`StoredMessage::read`].
    pub(crate) fn read<'a>(
        &mut self,
        message: &'a [u8],
    ) -> Result<(Arc<MessageHead<'static>>, &'a [u8]), Unreadable> {
        // A head tells where it ends. So no other head begins with the same bytes.
        if let Some(head) = &self.head
            && let Some(body) = message.strip_prefix(&*self.bytes)
        {
            return Ok((Arc::clone(head), body));
        }
        let (head, body) = StoredMessage::read(message)?;
        self.bytes.clear();
        self.bytes
            .extend_from_slice(&message[..message.len() - body.len()]);
        let head = self.head.insert(Arc::new(head));
        Ok((Arc::clone(head), body))
    }
}
