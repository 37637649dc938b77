//! Field tables in the form of AMQP 0-9-1, with the letters that RabbitMQ gives the types.

use super::{
    Malformed,
    field::{Field, MOST_OCTETS, Reader, ShortOctets},
};
use crate::model::{
    field_value::{FieldTable, FieldValue},
    octets,
};

/// A value is too long or too deep for AMQP 0-9-1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotEncodable;

/// A table without a value that is too long or too deep. Otherwise only a part of it is written.
impl<'a> Field<'a> for FieldTable {
    fn read(from: &mut Reader<'a>) -> Result<FieldTable, Malformed> {
        read_table(from, 1)
    }

    fn write(&self, to: &mut Vec<u8>) {
        let start = to.len();
        if write_table(self, to, 1).is_err() {
            to.truncate(start);
            0_u32.write(to);
        }
    }
}

/// Reads the fields of a table that has no length before them.
pub(crate) fn table_of(octets: &[u8]) -> Result<FieldTable, Malformed> {
    read_fields(Reader::new(octets), 1)
}

/// The octets of a table or of an array.
fn contents<'a>(from: &mut Reader<'a>, depth: usize) -> Result<Reader<'a>, Malformed> {
    if depth > FieldTable::MAX_DEPTH {
        return Err(Malformed::TooDeep);
    }
    let octets = from.field().map_err(|_| Malformed::TableLength)?;
    Ok(Reader::new(octets))
}

/// In a table an error of the length is one of the table.
fn in_table(error: Malformed) -> Malformed {
    match error {
        Malformed::Length => Malformed::TableLength,
        other => other,
    }
}

fn read_table(from: &mut Reader<'_>, depth: usize) -> Result<FieldTable, Malformed> {
    read_fields(contents(from, depth)?, depth)
}

fn read_fields(mut contents: Reader<'_>, depth: usize) -> Result<FieldTable, Malformed> {
    let mut table = FieldTable::new();
    while !contents.is_empty() {
        let ShortOctets(name) = contents.field().map_err(in_table)?;
        let value = read_value(&mut contents, depth).map_err(in_table)?;
        // RabbitMQ finds the first value of a name.
        if !table.contains_key(&name) {
            table.insert(name, value);
        }
    }
    Ok(table)
}

fn read_value(from: &mut Reader<'_>, depth: usize) -> Result<FieldValue, Malformed> {
    Ok(match from.field::<u8>()? {
        b'V' => FieldValue::Void,
        b't' => FieldValue::Bool(from.field::<u8>()? != 0),
        b'b' => FieldValue::Octet(from.field()?),
        b'B' => FieldValue::UnsignedOctet(from.field()?),
        b's' => FieldValue::Short(from.field()?),
        b'u' => FieldValue::UnsignedShort(from.field()?),
        b'I' => FieldValue::Int(from.field()?),
        b'i' => FieldValue::UnsignedInt(from.field()?),
        // The specification has `L`, and RabbitMQ `l`. Clients write both.
        b'l' | b'L' => FieldValue::Long(from.field()?),
        b'f' => FieldValue::Float(from.field()?),
        b'd' => FieldValue::Double(from.field()?),
        b'D' => FieldValue::Decimal {
            scale: from.field()?,
            value: from.field()?,
        },
        b'S' => FieldValue::LongString(octets::to_text(from.field()?).into_owned()),
        b'x' => FieldValue::Bytes(from.field::<&[u8]>()?.to_vec()),
        b'T' => FieldValue::Timestamp(from.field()?),
        b'A' => {
            let mut contents = contents(from, depth + 1)?;
            let mut values = Vec::new();
            while !contents.is_empty() {
                values.push(read_value(&mut contents, depth + 1)?);
            }
            FieldValue::Array(values)
        }
        b'F' => FieldValue::Table(read_table(from, depth + 1)?),
        other => return Err(Malformed::FieldType(other)),
    })
}

/// Checks that [`read_table`] can read a table, and shows the names in it.
pub(super) fn check_table(
    from: &mut Reader<'_>,
    depth: usize,
    names: &mut impl FnMut(&[u8]),
) -> Result<(), Malformed> {
    let mut contents = contents(from, depth)?;
    while !contents.is_empty() {
        let length: u8 = contents.field().map_err(in_table)?;
        names(contents.octets(length.into()).map_err(in_table)?);
        check_value(&mut contents, depth).map_err(in_table)?;
    }
    Ok(())
}

fn check_value(from: &mut Reader<'_>, depth: usize) -> Result<(), Malformed> {
    let length = match from.field::<u8>()? {
        b'V' => 0,
        b't' | b'b' | b'B' => 1,
        b's' | b'u' => 2,
        b'I' | b'i' | b'f' => 4,
        b'l' | b'L' | b'd' | b'T' => 8,
        // The scale and the value.
        b'D' => 5,
        b'S' | b'x' => return from.field::<&[u8]>().map(drop),
        b'A' => {
            let mut contents = contents(from, depth + 1)?;
            while !contents.is_empty() {
                check_value(&mut contents, depth + 1)?;
            }
            return Ok(());
        }
        // The names of an inner table mean nothing.
        b'F' => return check_inner_table(from, depth + 1),
        other => return Err(Malformed::FieldType(other)),
    };
    from.octets(length).map(drop)
}

fn check_inner_table(from: &mut Reader<'_>, depth: usize) -> Result<(), Malformed> {
    check_table(from, depth, &mut |_| {})
}

/// Writes octets behind their length, which is known afterwards.
fn with_length(
    to: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), NotEncodable>,
) -> Result<(), NotEncodable> {
    let start = to.len();
    0_u32.write(to);
    write(to)?;
    let length = u32::try_from(to.len() - start - 4).map_err(|_| NotEncodable)?;
    to[start..start + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

/// Writes a table.
///
/// # Errors
/// [`NotEncodable`] for a name of more than 255 octets, and for values that are nested too deep.
pub(super) fn write_table(
    table: &FieldTable,
    to: &mut Vec<u8>,
    depth: usize,
) -> Result<(), NotEncodable> {
    if depth > FieldTable::MAX_DEPTH {
        return Err(NotEncodable);
    }
    with_length(to, |to| {
        for (name, value) in table {
            if name.len() > MOST_OCTETS && octets::len_of(name) > MOST_OCTETS {
                return Err(NotEncodable);
            }
            ShortOctets::from(name).write(to);
            write_value(value, to, depth)?;
        }
        Ok(())
    })
}

fn write_value(value: &FieldValue, to: &mut Vec<u8>, depth: usize) -> Result<(), NotEncodable> {
    fn plain<'a>(letter: u8, value: &impl Field<'a>, to: &mut Vec<u8>) {
        to.push(letter);
        value.write(to);
    }
    match value {
        FieldValue::Void => to.push(b'V'),
        FieldValue::Bool(value) => plain(b't', value, to),
        FieldValue::Octet(value) => plain(b'b', value, to),
        FieldValue::UnsignedOctet(value) => plain(b'B', value, to),
        FieldValue::Short(value) => plain(b's', value, to),
        FieldValue::UnsignedShort(value) => plain(b'u', value, to),
        FieldValue::Int(value) => plain(b'I', value, to),
        FieldValue::UnsignedInt(value) => plain(b'i', value, to),
        FieldValue::Long(value) => plain(b'l', value, to),
        FieldValue::Float(value) => plain(b'f', value, to),
        FieldValue::Double(value) => plain(b'd', value, to),
        FieldValue::Timestamp(seconds) => plain(b'T', seconds, to),
        FieldValue::LongString(text) => plain(b'S', &&*octets::of_text(text), to),
        FieldValue::Bytes(octets) => plain(b'x', &octets.as_slice(), to),
        FieldValue::Decimal { scale, value } => {
            plain(b'D', scale, to);
            value.write(to);
        }
        FieldValue::Array(values) => {
            if depth + 1 > FieldTable::MAX_DEPTH {
                return Err(NotEncodable);
            }
            to.push(b'A');
            with_length(to, |to| {
                values
                    .iter()
                    .try_for_each(|value| write_value(value, to, depth + 1))
            })?;
        }
        FieldValue::Table(table) => {
            to.push(b'F');
            write_table(table, to, depth + 1)?;
        }
    }
    Ok(())
}
