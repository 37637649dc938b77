//! AMQP 0-9-1 on the wire, as far as the differential test needs it: integers, strings, field
//! tables and message properties.
//!
//! This module does not know connections or channels. It decodes values to the JSON of the
//! conformance scenarios.

use leveret::{FieldTable, FieldValue, Properties};
use serde_json::{Map, Value};

/// A buffer for encoding the arguments of a method or a whole frame.
#[derive(Default)]
pub struct Writer(pub Vec<u8>);

impl Writer {
    pub fn u8(mut self, value: u8) -> Writer {
        self.0.push(value);
        self
    }

    pub fn u16(mut self, value: u16) -> Writer {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub fn u32(mut self, value: u32) -> Writer {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub fn u64(mut self, value: u64) -> Writer {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub fn raw(mut self, bytes: &[u8]) -> Writer {
        self.0.extend(bytes);
        self
    }

    /// Flags share one octet, with the first flag in its lowest bit.
    pub fn bits(self, flags: &[bool]) -> Writer {
        let octet = flags
            .iter()
            .enumerate()
            .fold(0, |octet, (index, flag)| octet | (u8::from(*flag) << index));
        self.u8(octet)
    }

    pub fn short_string(self, text: &str) -> Writer {
        self.u8(u8::try_from(text.len()).expect("a short string has at most 255 bytes"))
            .raw(text.as_bytes())
    }

    pub fn long_string(self, bytes: &[u8]) -> Writer {
        self.u32(length(bytes)).raw(bytes)
    }

    pub fn table(self, table: &FieldTable) -> Writer {
        let fields = table
            .iter()
            .fold(Writer::default(), |writer, (name, value)| {
                writer.short_string(name).value(value)
            });
        self.long_string(&fields.0)
    }

    fn value(self, value: &FieldValue) -> Writer {
        match value {
            FieldValue::Void => self.u8(b'V'),
            FieldValue::Bool(value) => self.u8(b't').u8(u8::from(*value)),
            FieldValue::Octet(value) => self.u8(b'b').raw(&value.to_be_bytes()),
            FieldValue::UnsignedOctet(value) => self.u8(b'B').u8(*value),
            FieldValue::Short(value) => self.u8(b's').raw(&value.to_be_bytes()),
            FieldValue::UnsignedShort(value) => self.u8(b'u').u16(*value),
            FieldValue::Int(value) => self.u8(b'I').raw(&value.to_be_bytes()),
            FieldValue::UnsignedInt(value) => self.u8(b'i').u32(*value),
            FieldValue::Long(value) => self.u8(b'l').raw(&value.to_be_bytes()),
            FieldValue::Float(value) => self.u8(b'f').raw(&value.to_be_bytes()),
            FieldValue::Double(value) => self.u8(b'd').raw(&value.to_be_bytes()),
            FieldValue::Decimal { scale, value } => {
                self.u8(b'D').u8(*scale).raw(&value.to_be_bytes())
            }
            FieldValue::LongString(text) => self.u8(b'S').long_string(text.as_bytes()),
            FieldValue::Bytes(bytes) => self.u8(b'x').long_string(bytes),
            FieldValue::Timestamp(seconds) => self.u8(b'T').u64(*seconds),
            FieldValue::Array(items) => {
                let items = items.iter().fold(Writer::default(), Writer::value);
                self.u8(b'A').long_string(&items.0)
            }
            FieldValue::Table(table) => self.u8(b'F').table(table),
        }
    }

    /// Encodes the property flags, then the properties.
    pub fn properties(self, properties: &Properties) -> Writer {
        let texts = |text: &Option<String>| {
            text.as_ref()
                .map(|text| Writer::default().short_string(text))
        };
        let octet = |value: Option<u8>| value.map(|value| Writer::default().u8(value));
        let fields = [
            texts(&properties.content_type),
            texts(&properties.content_encoding),
            properties
                .headers
                .as_ref()
                .map(|headers| Writer::default().table(headers)),
            octet(properties.delivery_mode),
            octet(properties.priority),
            texts(&properties.correlation_id),
            texts(&properties.reply_to),
            texts(&properties.expiration),
            texts(&properties.message_id),
            properties
                .timestamp
                .map(|seconds| Writer::default().u64(seconds)),
            texts(&properties.message_type),
            texts(&properties.user_id),
            texts(&properties.app_id),
            texts(&properties.cluster_id),
        ];
        let flags = fields
            .iter()
            .enumerate()
            .fold(0u16, |flags, (index, field)| {
                flags | (u16::from(field.is_some()) << (15 - index))
            });
        fields
            .iter()
            .flatten()
            .fold(self.u16(flags), |writer, field| writer.raw(&field.0))
    }
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("what a test sends is short")
}

/// Bytes to decode. Reading past their end is a bug of this test or of the broker, so it panics.
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        self.bytes(N).try_into().expect("as many as asked for")
    }

    pub fn u8(&mut self) -> u8 {
        u8::from_be_bytes(self.array())
    }

    pub fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.array())
    }

    pub fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.array())
    }

    pub fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.array())
    }

    pub fn short_string(&mut self) -> String {
        let count = usize::from(self.u8());
        String::from_utf8_lossy(self.bytes(count)).into_owned()
    }

    fn long_string(&mut self) -> &'a [u8] {
        let count = self.u32();
        self.bytes(usize::try_from(count).expect("a length"))
    }

    pub fn table(&mut self) -> FieldTable {
        let mut fields = Reader(self.long_string());
        let mut table = FieldTable::new();
        while !fields.0.is_empty() {
            let name = fields.short_string();
            let value = fields.value();
            table.insert(name, value);
        }
        table
    }

    fn value(&mut self) -> FieldValue {
        match self.u8() {
            b'V' => FieldValue::Void,
            b't' => FieldValue::Bool(self.u8() != 0),
            b'b' => FieldValue::Octet(i8::from_be_bytes(self.array())),
            b'B' => FieldValue::UnsignedOctet(self.u8()),
            b's' => FieldValue::Short(i16::from_be_bytes(self.array())),
            b'u' => FieldValue::UnsignedShort(self.u16()),
            b'I' => FieldValue::Int(i32::from_be_bytes(self.array())),
            b'i' => FieldValue::UnsignedInt(self.u32()),
            b'l' => FieldValue::Long(i64::from_be_bytes(self.array())),
            b'f' => FieldValue::Float(f32::from_be_bytes(self.array())),
            b'd' => FieldValue::Double(f64::from_be_bytes(self.array())),
            b'D' => FieldValue::Decimal {
                scale: self.u8(),
                value: i32::from_be_bytes(self.array()),
            },
            b'S' => {
                FieldValue::LongString(String::from_utf8_lossy(self.long_string()).into_owned())
            }
            b'x' => FieldValue::Bytes(self.long_string().to_vec()),
            b'T' => FieldValue::Timestamp(self.u64()),
            b'A' => {
                let mut items = Reader(self.long_string());
                let mut array = Vec::new();
                while !items.0.is_empty() {
                    array.push(items.value());
                }
                FieldValue::Array(array)
            }
            b'F' => FieldValue::Table(self.table()),
            letter => panic!("no field type is written '{}'", char::from(letter)),
        }
    }

    /// Decodes the property flags, then the properties as JSON.
    pub fn properties(&mut self) -> Map<String, Value> {
        const NAMES: [&str; 14] = [
            "content_type",
            "content_encoding",
            "headers",
            "delivery_mode",
            "priority",
            "correlation_id",
            "reply_to",
            "expiration",
            "message_id",
            "timestamp",
            "type",
            "user_id",
            "app_id",
            "cluster_id",
        ];
        let flags = self.u16();
        let mut properties = Map::new();
        for (index, name) in NAMES.into_iter().enumerate() {
            if flags & (1 << (15 - index)) == 0 {
                continue;
            }
            let value = match name {
                "headers" => serde_json::to_value(self.table()).expect("tables have a JSON form"),
                "delivery_mode" | "priority" => self.u8().into(),
                "timestamp" => self.u64().into(),
                _ => self.short_string().into(),
            };
            properties.insert(name.to_owned(), value);
        }
        properties
    }
}
