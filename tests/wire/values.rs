//! Field tables and properties.

use leveret::{FieldTable, FieldValue, Properties, octets};

use super::{Arguments, Fields};

impl Arguments {
    pub fn table(self, table: &FieldTable) -> Arguments {
        let contents = table.iter().fold(Arguments::new(), |contents, (name, it)| {
            contents.text(name).value(it)
        });
        self.long_string(&contents.0)
    }

    fn value(self, value: &FieldValue) -> Arguments {
        match value {
            FieldValue::Void => self.octet(b'V'),
            FieldValue::Bool(it) => self.octet(b't').octet(u8::from(*it)),
            FieldValue::Octet(it) => self.octet(b'b').octet(*it as u8),
            FieldValue::UnsignedOctet(it) => self.octet(b'B').octet(*it),
            FieldValue::Short(it) => self.octet(b's').short(*it as u16),
            FieldValue::UnsignedShort(it) => self.octet(b'u').short(*it),
            FieldValue::Int(it) => self.octet(b'I').long(*it as u32),
            FieldValue::UnsignedInt(it) => self.octet(b'i').long(*it),
            FieldValue::Long(it) => self.octet(b'l').longlong(*it as u64),
            FieldValue::Float(it) => self.octet(b'f').long(it.to_bits()),
            FieldValue::Double(it) => self.octet(b'd').longlong(it.to_bits()),
            FieldValue::Decimal { scale, value } => {
                self.octet(b'D').octet(*scale).long(*value as u32)
            }
            FieldValue::LongString(it) => self.octet(b'S').long_string(&octets::of_text(it)),
            FieldValue::Bytes(it) => self.octet(b'x').long_string(it),
            FieldValue::Timestamp(it) => self.octet(b'T').longlong(*it),
            FieldValue::Array(values) => {
                let contents = values.iter().fold(Arguments::new(), Arguments::value);
                self.octet(b'A').long_string(&contents.0)
            }
            FieldValue::Table(table) => self.octet(b'F').table(table),
        }
    }

    /// The flags and the values of properties.
    pub fn properties(self, properties: &Properties) -> Arguments {
        let p = properties;
        let text = |text: &Option<String>| {
            let text = text.as_deref();
            text.map(|text| Arguments::new().text(text))
        };
        let octet = |octet: Option<u8>| octet.map(|octet| Arguments::new().octet(octet));
        let in_order = [
            text(&p.content_type),
            text(&p.content_encoding),
            p.headers.as_ref().map(|it| Arguments::new().table(it)),
            octet(p.delivery_mode),
            octet(p.priority),
            text(&p.correlation_id),
            text(&p.reply_to),
            text(&p.expiration),
            text(&p.message_id),
            p.timestamp.map(|it| Arguments::new().longlong(it)),
            text(&p.message_type),
            text(&p.user_id),
            text(&p.app_id),
            text(&p.cluster_id),
        ];
        let bits = in_order.iter().zip((2..16).rev());
        let flags = bits.map(|(it, bit)| u16::from(it.is_some()) << bit).sum();
        let values = in_order.into_iter().flatten();
        values.fold(self.short(flags), |all, value| all.octets(&value.0))
    }
}

impl Fields<'_> {
    pub fn table(&mut self) -> FieldTable {
        let mut contents = Fields(self.long_string());
        let mut table = FieldTable::new();
        while !contents.0.is_empty() {
            let name = contents.text();
            table.insert(name, contents.value());
        }
        table
    }

    fn value(&mut self) -> FieldValue {
        match self.octet() {
            b'V' => FieldValue::Void,
            b't' => FieldValue::Bool(self.octet() != 0),
            b'b' => FieldValue::Octet(self.octet() as i8),
            b'B' => FieldValue::UnsignedOctet(self.octet()),
            b's' => FieldValue::Short(self.short() as i16),
            b'u' => FieldValue::UnsignedShort(self.short()),
            b'I' => FieldValue::Int(self.long() as i32),
            b'i' => FieldValue::UnsignedInt(self.long()),
            b'l' => FieldValue::Long(self.longlong() as i64),
            b'f' => FieldValue::Float(f32::from_bits(self.long())),
            b'd' => FieldValue::Double(f64::from_bits(self.longlong())),
            b'D' => FieldValue::Decimal {
                scale: self.octet(),
                value: self.long() as i32,
            },
            b'S' => {
                let text = octets::to_text(self.long_string());
                FieldValue::LongString(text.into_owned())
            }
            b'x' => FieldValue::Bytes(self.long_string().to_vec()),
            b'T' => FieldValue::Timestamp(self.longlong()),
            b'A' => {
                let mut contents = Fields(self.long_string());
                let mut values = Vec::new();
                while !contents.0.is_empty() {
                    values.push(contents.value());
                }
                FieldValue::Array(values)
            }
            b'F' => FieldValue::Table(self.table()),
            other => panic!("the unknown type {other}"),
        }
    }

    pub fn properties(&mut self) -> Properties {
        let flags = self.short();
        let has = |bit: u16| flags >> bit & 1 == 1;
        let mut properties = Properties::new();
        let p = &mut *properties;
        p.content_type = has(15).then(|| self.text());
        p.content_encoding = has(14).then(|| self.text());
        p.headers = has(13).then(|| self.table());
        p.delivery_mode = has(12).then(|| self.octet());
        p.priority = has(11).then(|| self.octet());
        p.correlation_id = has(10).then(|| self.text());
        p.reply_to = has(9).then(|| self.text());
        p.expiration = has(8).then(|| self.text());
        p.message_id = has(7).then(|| self.text());
        p.timestamp = has(6).then(|| self.longlong());
        p.message_type = has(5).then(|| self.text());
        p.user_id = has(4).then(|| self.text());
        p.app_id = has(3).then(|| self.text());
        p.cluster_id = has(2).then(|| self.text());
        properties
    }
}
