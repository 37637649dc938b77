//! The log of a stream: messages in the order of their offsets, in segments that retention drops as
//! a whole.
//!
//! A [`Block`] has room for some messages, which its [`BlockWriter`] adds one by one. A reader that
//! has a block reads it without a lock, and sees the messages that come later too. So it takes the
//! lock of the stream once for each block, and a slow reader holds no writer.
//!
//! Blocks whose messages are on disk too may go from memory. A reader that comes to one of them has
//! it read, and gets a block of its own.
//!
//! Plain data behind the lock of its queue. Times are milliseconds since 1970, read before. Knows
//! nothing of queues, consumers or stores.

mod block;
mod log;
mod progress;
mod reading;
mod segment;

pub(crate) use self::{
    block::{Block, BlockWriter},
    log::{Appended, At, Log, Retention},
    progress::Progress,
    reading::{Filter, Found, Reading},
    segment::Segment,
};
