//! Field tables as bytes. The types have the letters of RabbitMQ's AMQP 0-9-1, and lengths and
//! counts are numbers of any width, so that a name may be longer than 255 bytes.

use super::{FieldTable, FieldValue, TableTooDeep};
use crate::model::binary::{Sink, Source, Unreadable};

impl FieldTable {
    /// Writes the table, in the order of its entries.
    ///
    /// # Errors
    /// [`TableTooDeep`]. A part of it is written then.
    pub(crate) fn write(&self, to: &mut impl Sink) -> Result<(), TableTooDeep> {
        write_table(self, to, 1)
    }

    /// Reads a table.
    ///
    /// # Errors
    /// The reason why these are not the bytes of one.
    pub(crate) fn read(from: &mut Source<'_>) -> Result<FieldTable, Unreadable> {
        read_table(from, 1)
    }
}

fn check(depth: usize) -> Result<(), TableTooDeep> {
    match depth > FieldTable::MAX_DEPTH {
        true => Err(TableTooDeep),
        false => Ok(()),
    }
}

fn write_table(table: &FieldTable, to: &mut impl Sink, depth: usize) -> Result<(), TableTooDeep> {
    check(depth)?;
    to.number(table.len() as u64);
    for (name, value) in table.iter() {
        to.run(name.as_bytes());
        write_value(value, to, depth)?;
    }
    Ok(())
}

/// Writes a value of a table or an array of this depth.
fn write_value(value: &FieldValue, to: &mut impl Sink, depth: usize) -> Result<(), TableTooDeep> {
    let mut plain = |letter: u8, octets: &[u8]| {
        to.octet(letter);
        to.octets(octets);
    };
    match value {
        FieldValue::Void => plain(b'V', &[]),
        FieldValue::Bool(value) => plain(b't', &[u8::from(*value)]),
        FieldValue::Octet(value) => plain(b'b', &value.to_le_bytes()),
        FieldValue::UnsignedOctet(value) => plain(b'B', &[*value]),
        FieldValue::Short(value) => plain(b's', &value.to_le_bytes()),
        FieldValue::UnsignedShort(value) => plain(b'u', &value.to_le_bytes()),
        FieldValue::Int(value) => plain(b'I', &value.to_le_bytes()),
        FieldValue::UnsignedInt(value) => plain(b'i', &value.to_le_bytes()),
        FieldValue::Long(value) => plain(b'l', &value.to_le_bytes()),
        FieldValue::Float(value) => plain(b'f', &value.to_le_bytes()),
        FieldValue::Double(value) => plain(b'd', &value.to_le_bytes()),
        FieldValue::Timestamp(seconds) => plain(b'T', &seconds.to_le_bytes()),
        FieldValue::Decimal { scale, value } => {
            plain(b'D', &[*scale]);
            to.octets(&value.to_le_bytes());
        }
        FieldValue::LongString(text) => {
            to.octet(b'S');
            to.run(text.as_bytes());
        }
        FieldValue::Bytes(bytes) => {
            to.octet(b'x');
            to.run(bytes);
        }
        FieldValue::Array(values) => {
            check(depth + 1)?;
            to.octet(b'A');
            to.number(values.len() as u64);
            for value in values {
                write_value(value, to, depth + 1)?;
            }
        }
        FieldValue::Table(table) => {
            to.octet(b'F');
            write_table(table, to, depth + 1)?;
        }
    }
    Ok(())
}

fn read_table(from: &mut Source<'_>, depth: usize) -> Result<FieldTable, Unreadable> {
    check(depth).map_err(|_| Unreadable::TooDeep)?;
    let mut table = FieldTable::new();
    for _ in 0..from.number()? {
        let name = from.text()?;
        let value = read_value(from, depth)?;
        if table.insert(name, value).is_some() {
            return Err(Unreadable::Twice);
        }
    }
    Ok(table)
}

/// Reads a value of a table or an array of this depth.
fn read_value(from: &mut Source<'_>, depth: usize) -> Result<FieldValue, Unreadable> {
    Ok(match from.octet()? {
        b'V' => FieldValue::Void,
        b't' => match from.octet()? {
            0 => FieldValue::Bool(false),
            1 => FieldValue::Bool(true),
            other => return Err(Unreadable::TooLarge(other.into())),
        },
        b'b' => FieldValue::Octet(i8::from_le_bytes(from.array()?)),
        b'B' => FieldValue::UnsignedOctet(from.octet()?),
        b's' => FieldValue::Short(i16::from_le_bytes(from.array()?)),
        b'u' => FieldValue::UnsignedShort(u16::from_le_bytes(from.array()?)),
        b'I' => FieldValue::Int(i32::from_le_bytes(from.array()?)),
        b'i' => FieldValue::UnsignedInt(u32::from_le_bytes(from.array()?)),
        b'l' => FieldValue::Long(i64::from_le_bytes(from.array()?)),
        b'f' => FieldValue::Float(f32::from_le_bytes(from.array()?)),
        b'd' => FieldValue::Double(f64::from_le_bytes(from.array()?)),
        b'T' => FieldValue::Timestamp(u64::from_le_bytes(from.array()?)),
        b'D' => FieldValue::Decimal {
            scale: from.octet()?,
            value: i32::from_le_bytes(from.array()?),
        },
        b'S' => FieldValue::LongString(from.text()?.to_owned()),
        b'x' => FieldValue::Bytes(from.run()?.to_owned()),
        b'A' => {
            check(depth + 1).map_err(|_| Unreadable::TooDeep)?;
            let count = from.number()?;
            let values = (0..count).map(|_| read_value(from, depth + 1));
            FieldValue::Array(values.collect::<Result<_, _>>()?)
        }
        b'F' => FieldValue::Table(read_table(from, depth + 1)?),
        other => return Err(Unreadable::Type(other)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::binary::{Filler, Length};

    fn octets(table: &FieldTable) -> Result<Vec<u8>, TableTooDeep> {
        let mut length = Length::default();
        table.write(&mut length)?;
        let mut octets = vec![0; length.total()];
        table.write(&mut Filler::new(&mut octets))?;
        Ok(octets)
    }

    /// Tables that hold one another, and arrays within them, to this depth.
    fn nested(depth: usize) -> FieldTable {
        (1..depth).fold(FieldTable::from([("k", 1)]), |inner, at| match at % 2 {
            0 => FieldTable::from([("k", inner)]),
            _ if at + 1 < depth => FieldTable::from([("k", inner)]),
            _ => FieldTable::from([("k", FieldValue::Array(vec![inner.into()]))]),
        })
    }

    #[test]
    fn a_table_of_the_greatest_depth_comes_back_and_a_deeper_one_is_not_written() {
        for depth in 1..=FieldTable::MAX_DEPTH + 20 {
            let table = nested(depth);
            match table.check_depth() {
                Ok(()) => {
                    let octets = octets(&table).unwrap();
                    let mut source = Source::new(&octets);
                    assert_eq!(FieldTable::read(&mut source), Ok(table));
                    assert!(source.rest().is_empty());
                }
                Err(error) => assert_eq!(octets(&table), Err(error)),
            }
        }
    }

    #[test]
    fn octets_of_a_deeper_table_are_refused() {
        let deep = [1, 0, b'F'].repeat(FieldTable::MAX_DEPTH + 20);
        let read = FieldTable::read(&mut Source::new(&deep));
        assert_eq!(read, Err(Unreadable::TooDeep));
        let arrays = [&[1, 0][..], &[b'A', 1].repeat(FieldTable::MAX_DEPTH + 20)].concat();
        let read = FieldTable::read(&mut Source::new(&arrays));
        assert_eq!(read, Err(Unreadable::TooDeep));
    }

    #[test]
    fn a_name_that_comes_twice_and_an_unknown_type_are_refused() {
        for (octets, error) in [
            (&[2, 1, b'k', b'V', 1, b'k', b'V'][..], Unreadable::Twice),
            (&[1, 1, b'k', b'?'], Unreadable::Type(b'?')),
            (&[1, 1, b'k', b't', 2], Unreadable::TooLarge(2)),
            (&[2, 1, b'k', b'V'], Unreadable::End),
        ] {
            assert_eq!(FieldTable::read(&mut Source::new(octets)), Err(error));
        }
    }
}
