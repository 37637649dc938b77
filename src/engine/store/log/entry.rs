//! The operations of a frame as bytes: a byte for the kind, and its fields.
//!
//! A number takes one byte for each seven bits, least significant first, and all but the last byte
//! have the highest bit. Bytes and text have their length before them. A mark has its own form.

use super::super::{Arrival, Mark, Operation, RecordKind};

/// The kinds. The numbers are those in the files, and are never used again.
const PUT: u8 = 1;
const MARK: u8 = 2;
const UNMARK: u8 = 3;
const MOVE: u8 = 4;
const MOVE_AND_MARK: u8 = 5;
const SETTLE: u8 = 6;
const PUT_BODY: u8 = 7;
const DROP_BODY: u8 = 8;
const DROP_QUEUE: u8 = 9;
const RECORD: u8 = 10;
const FORGET: u8 = 11;
const CLOSED: u8 = 12;
const TRIM: u8 = 13;
const APPEND: u8 = 14;
const APPEND_FIRST: u8 = 15;
const FILED: u8 = 16;

/// One operation, which borrows its bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Entry<'a> {
    Put {
        queue: u64,
        position: u64,
        message: &'a [u8],
    },
    Mark {
        queue: u64,
        position: u64,
        mark: Option<Mark>,
    },
    Move {
        queue: u64,
        from: u64,
        to: u64,
        mark: Option<Mark>,
    },
    Settle {
        queue: u64,
        position: u64,
    },
    Append {
        stream: u64,
        offset: u64,
        message: &'a [u8],
        arrival: Arrival,
    },
    Trim {
        stream: u64,
        offset: u64,
    },
    /// The messages of a stream from `first` to `end` are in its files. Those before are gone.
    Filed {
        stream: u64,
        first: u64,
        end: u64,
    },
    PutBody {
        body: u64,
        octets: &'a [u8],
    },
    DropBody {
        body: u64,
    },
    DropQueue {
        queue: u64,
    },
    Record {
        kind: RecordKind,
        name: &'a str,
        value: Option<&'a [u8]>,
    },
    /// The log was closed. The oldest segment has this number.
    Closed {
        first: u64,
    },
}

/// Why bytes are no entry.
#[derive(Debug, PartialEq)]
pub(super) enum Unreadable {
    /// A later version may have added it.
    Kind(u8),
    RecordKind(u8),
    /// They end too early, or a field has no such value.
    Field,
}

impl<'a> Entry<'a> {
    /// `None` for an operation that does nothing.
    pub(super) fn of(operation: &'a Operation) -> Option<Entry<'a>> {
        Some(match *operation {
            Operation::Nothing => return None,
            Operation::Put {
                queue,
                position,
                ref message,
                // The message says itself which body it uses.
                body: _,
            } => Entry::Put {
                queue,
                position,
                message: message.as_slice(),
            },
            Operation::Mark {
                queue,
                position,
                mark,
            } => Entry::Mark {
                queue,
                position,
                mark,
            },
            Operation::Move {
                queue,
                from,
                to,
                mark,
            } => Entry::Move {
                queue,
                from,
                to,
                mark,
            },
            Operation::Settle { queue, position } => Entry::Settle { queue, position },
            Operation::Append {
                stream,
                offset,
                ref message,
                arrival,
            } => Entry::Append {
                stream,
                offset,
                message: message.as_slice(),
                arrival,
            },
            Operation::Trim { stream, offset } => Entry::Trim { stream, offset },
            Operation::PutBody { body, ref octets } => Entry::PutBody {
                body,
                octets: octets.as_slice(),
            },
            Operation::DropBody { body } => Entry::DropBody { body },
            Operation::DropQueue { queue } => Entry::DropQueue { queue },
            Operation::Record { ref key, ref value } => Entry::Record {
                kind: key.kind,
                name: &key.name,
                value: value.as_ref().map(|value| value.as_slice()),
            },
        })
    }

    /// Appends its bytes.
    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        match *self {
            Entry::Put {
                queue,
                position,
                message,
            } => {
                write_numbers(bytes, PUT, &[queue, position]);
                write_bytes(bytes, message);
            }
            Entry::Mark {
                queue,
                position,
                mark,
            } => {
                let kind = if mark.is_some() { MARK } else { UNMARK };
                write_numbers(bytes, kind, &[queue, position]);
                write_mark(bytes, mark);
            }
            Entry::Move {
                queue,
                from,
                to,
                mark,
            } => {
                let kind = if mark.is_some() { MOVE_AND_MARK } else { MOVE };
                write_numbers(bytes, kind, &[queue, from, to]);
                write_mark(bytes, mark);
            }
            Entry::Settle { queue, position } => write_numbers(bytes, SETTLE, &[queue, position]),
            Entry::Append {
                stream,
                offset,
                message,
                arrival,
            } => {
                let Arrival {
                    came,
                    size,
                    bytes: taken,
                    begins,
                } = arrival;
                let kind = if begins { APPEND_FIRST } else { APPEND };
                let more = taken.saturating_sub(size);
                write_numbers(bytes, kind, &[stream, offset, came, size, more]);
                write_bytes(bytes, message);
            }
            Entry::Trim { stream, offset } => write_numbers(bytes, TRIM, &[stream, offset]),
            Entry::Filed { stream, first, end } => {
                write_numbers(bytes, FILED, &[stream, first, end]);
            }
            Entry::PutBody { body, octets } => {
                write_numbers(bytes, PUT_BODY, &[body]);
                write_bytes(bytes, octets);
            }
            Entry::DropBody { body } => write_numbers(bytes, DROP_BODY, &[body]),
            Entry::DropQueue { queue } => write_numbers(bytes, DROP_QUEUE, &[queue]),
            Entry::Record { kind, name, value } => {
                bytes.extend([if value.is_some() { RECORD } else { FORGET }, kind as u8]);
                write_bytes(bytes, name.as_bytes());
                if let Some(value) = value {
                    write_bytes(bytes, value);
                }
            }
            Entry::Closed { first } => write_numbers(bytes, CLOSED, &[first]),
        }
    }

    /// Reads the first entry, and takes its bytes away.
    pub(super) fn read(bytes: &mut &'a [u8]) -> Result<Entry<'a>, Unreadable> {
        let kind = read_byte(bytes)?;
        Ok(match kind {
            PUT => Entry::Put {
                queue: read_number(bytes)?,
                position: read_number(bytes)?,
                message: read_bytes(bytes)?,
            },
            MARK | UNMARK => Entry::Mark {
                queue: read_number(bytes)?,
                position: read_number(bytes)?,
                mark: read_mark(bytes, kind == MARK)?,
            },
            MOVE | MOVE_AND_MARK => Entry::Move {
                queue: read_number(bytes)?,
                from: read_number(bytes)?,
                to: read_number(bytes)?,
                mark: read_mark(bytes, kind == MOVE_AND_MARK)?,
            },
            SETTLE => Entry::Settle {
                queue: read_number(bytes)?,
                position: read_number(bytes)?,
            },
            APPEND | APPEND_FIRST => {
                let (stream, offset) = (read_number(bytes)?, read_number(bytes)?);
                let (came, size) = (read_number(bytes)?, read_number(bytes)?);
                let more = read_number(bytes)?;
                Entry::Append {
                    stream,
                    offset,
                    message: read_bytes(bytes)?,
                    arrival: Arrival {
                        came,
                        size,
                        bytes: size.checked_add(more).ok_or(Unreadable::Field)?,
                        begins: kind == APPEND_FIRST,
                    },
                }
            }
            TRIM => Entry::Trim {
                stream: read_number(bytes)?,
                offset: read_number(bytes)?,
            },
            FILED => Entry::Filed {
                stream: read_number(bytes)?,
                first: read_number(bytes)?,
                end: read_number(bytes)?,
            },
            PUT_BODY => Entry::PutBody {
                body: read_number(bytes)?,
                octets: read_bytes(bytes)?,
            },
            DROP_BODY => Entry::DropBody {
                body: read_number(bytes)?,
            },
            DROP_QUEUE => Entry::DropQueue {
                queue: read_number(bytes)?,
            },
            RECORD | FORGET => {
                let number = read_byte(bytes)?;
                Entry::Record {
                    kind: RecordKind::of(number).ok_or(Unreadable::RecordKind(number))?,
                    name: str::from_utf8(read_bytes(bytes)?).map_err(|_| Unreadable::Field)?,
                    value: match kind {
                        RECORD => Some(read_bytes(bytes)?),
                        _ => None,
                    },
                }
            }
            CLOSED => Entry::Closed {
                first: read_number(bytes)?,
            },
            unknown => return Err(Unreadable::Kind(unknown)),
        })
    }
}

fn write_numbers(bytes: &mut Vec<u8>, kind: u8, numbers: &[u64]) {
    bytes.push(kind);
    numbers
        .iter()
        .for_each(|number| write_number(bytes, *number));
}

fn write_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 128 {
        bytes.push(number as u8 | 128);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn write_bytes(bytes: &mut Vec<u8>, field: &[u8]) {
    write_number(bytes, field.len() as u64);
    bytes.extend_from_slice(field);
}

fn write_mark(bytes: &mut Vec<u8>, mark: Option<Mark>) {
    if let Some(mark) = mark {
        bytes.extend_from_slice(&mark.to_bytes());
    }
}

fn read_byte(bytes: &mut &[u8]) -> Result<u8, Unreadable> {
    let (byte, rest) = bytes.split_first().ok_or(Unreadable::Field)?;
    *bytes = rest;
    Ok(*byte)
}

fn read_number(bytes: &mut &[u8]) -> Result<u64, Unreadable> {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let byte = read_byte(bytes)?;
        let part = u64::from(byte & 127);
        if part << shift >> shift != part {
            break;
        }
        number |= part << shift;
        if byte < 128 {
            return Ok(number);
        }
    }
    Err(Unreadable::Field)
}

fn read_bytes<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], Unreadable> {
    let length = read_number(bytes)?;
    let length = usize::try_from(length).map_err(|_| Unreadable::Field)?;
    let (field, rest) = bytes.split_at_checked(length).ok_or(Unreadable::Field)?;
    *bytes = rest;
    Ok(field)
}

fn read_mark(bytes: &mut &[u8], is_there: bool) -> Result<Option<Mark>, Unreadable> {
    if !is_there {
        return Ok(None);
    }
    let field = bytes.split_at_checked(Mark::LENGTH);
    let (field, rest) = field.ok_or(Unreadable::Field)?;
    *bytes = rest;
    Mark::from_bytes(field).map(Some).ok_or(Unreadable::Field)
}
