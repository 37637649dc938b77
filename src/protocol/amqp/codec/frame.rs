//! Frames: a type, a channel, a size, the payload, and one octet that ends them.

use super::{field::Field, method::Method};

/// The octets around a payload: seven before it, and one behind it.
pub(crate) const OVERHEAD: usize = 8;

/// The octets before a payload.
const BEFORE: usize = 7;

/// The last octet of a frame.
pub(super) const END: u8 = 0xce;

/// The protocol header of AMQP 0-9-1, which a client sends first.
pub(crate) const PROTOCOL_HEADER: [u8; 8] = *b"AMQP\0\0\x09\x01";

/// The type of a method frame.
pub(crate) const METHOD: u8 = 1;
/// The type of a content header frame.
pub(crate) const HEADER: u8 = 2;
/// The type of a content body frame.
pub(crate) const BODY: u8 = 3;
/// The type of a heartbeat frame.
pub(crate) const HEARTBEAT: u8 = 8;

/// A frame in the octets that a peer has sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: u8,
    pub(crate) channel: u16,
    pub(crate) payload: &'a [u8],
}

/// A frame that does not end where it should, or that is too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameFault<'a> {
    /// The octet behind the payload is not the end of a frame.
    End { frame: Frame<'a>, marker: u8 },
    /// The payload is larger than the largest one that was agreed on.
    TooLarge { kind: u8, size: u32, most: u32 },
}

/// How many octets the frame at the front has, as far as it can be told: those of its beginning if
/// that is not there. A payload has at most `most` octets.
pub(crate) fn length(octets: &[u8], most: u32) -> Result<usize, FrameFault<'_>> {
    let &[kind, _, _, a, b, c, d, ..] = octets else {
        return Ok(BEFORE);
    };
    let size = u32::from_be_bytes([a, b, c, d]);
    match size > most {
        true => Err(FrameFault::TooLarge { kind, size, most }),
        false => Ok(size as usize + OVERHEAD),
    }
}

/// The frame at the front, and the number of its octets. `None` if it is not whole.
pub(crate) fn split(
    octets: &[u8],
    most: u32,
) -> Result<Option<(Frame<'_>, usize)>, FrameFault<'_>> {
    let length = length(octets, most)?;
    let (Some(whole), true) = (octets.get(..length), length > BEFORE) else {
        return Ok(None);
    };
    let marker = whole[length - 1];
    let frame = Frame {
        kind: whole[0],
        channel: u16::from_be_bytes([whole[1], whole[2]]),
        payload: &whole[BEFORE..length - 1],
    };
    match marker {
        END => Ok(Some((frame, length))),
        marker => Err(FrameFault::End { frame, marker }),
    }
}

/// Writes a frame, whose payload `write` writes.
#[inline]
pub(crate) fn write<E>(
    kind: u8,
    channel: u16,
    to: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    let start = to.len();
    let [high, low] = channel.to_be_bytes();
    to.extend_from_slice(&[kind, high, low, 0, 0, 0, 0]);
    write(to)?;
    set_size(start, to);
    to.push(END);
    Ok(())
}

/// Writes the size of the payload into a frame that begins at `start` and whose end is to come.
#[inline]
pub(super) fn set_size(start: usize, to: &mut [u8]) {
    let size = (to.len() - start - BEFORE) as u32;
    to[start + 3..start + BEFORE].copy_from_slice(&size.to_be_bytes());
}

/// Writes a frame with a method.
#[inline]
pub(crate) fn write_method(channel: u16, method: &Method<'_>, to: &mut Vec<u8>) {
    let written: Result<(), std::convert::Infallible> = write(METHOD, channel, to, |to| {
        let (class, number) = method.id();
        class.write(to);
        number.write(to);
        method.write(to);
        Ok(())
    });
    let Ok(()) = written;
}

/// Writes a body in frames with payloads of at most `most` octets.
pub(crate) fn write_body(channel: u16, body: &[u8], most: usize, to: &mut Vec<u8>) {
    for part in body.chunks(most.max(1)) {
        let written: Result<(), std::convert::Infallible> = write(BODY, channel, to, |to| {
            to.extend_from_slice(part);
            Ok(())
        });
        let Ok(()) = written;
    }
}

/// Writes a heartbeat.
pub(crate) fn write_heartbeat(to: &mut Vec<u8>) {
    to.extend_from_slice(&[HEARTBEAT, 0, 0, 0, 0, 0, 0, END]);
}
