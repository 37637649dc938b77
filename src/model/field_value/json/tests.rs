use super::*;

fn read(json: &str) -> FieldValue {
    serde_json::from_str(json).unwrap()
}

fn write(value: &FieldValue) -> String {
    serde_json::to_string(value).unwrap()
}

#[test]
fn plain_json_becomes_the_field_types_that_a_client_would_send() {
    assert_eq!(read("5"), FieldValue::Int(5));
    assert_eq!(read("2147483648"), FieldValue::Long(2_147_483_648));
    assert_eq!(read("-2147483649"), FieldValue::Long(-2_147_483_649));
    assert_eq!(read("1.0"), FieldValue::Double(1.0));
    assert_eq!(read("null"), FieldValue::Void);
    assert_eq!(read("true"), FieldValue::Bool(true));
    assert_eq!(read("\"a\""), FieldValue::from("a"));
    assert_eq!(
        read("[1, \"a\"]"),
        FieldValue::Array(vec![1.into(), "a".into()])
    );
    assert_eq!(
        read("{\"k\": 1}"),
        FieldValue::Table(FieldTable::from([("k", 1)]))
    );
    assert!(serde_json::from_str::<FieldValue>("18446744073709551615").is_err());
}

#[test]
fn every_type_is_written_so_that_it_reads_back() {
    let tagged = [
        (FieldValue::Octet(-1), r#"{"$type":"octet","value":-1}"#),
        (
            FieldValue::UnsignedOctet(1),
            r#"{"$type":"unsigned_octet","value":1}"#,
        ),
        (FieldValue::Short(-1), r#"{"$type":"short","value":-1}"#),
        (
            FieldValue::UnsignedShort(1),
            r#"{"$type":"unsigned_short","value":1}"#,
        ),
        (FieldValue::Int(1), "1"),
        (
            FieldValue::UnsignedInt(1),
            r#"{"$type":"unsigned_int","value":1}"#,
        ),
        (FieldValue::Long(1), r#"{"$type":"long","value":1}"#),
        (FieldValue::Long(i64::MIN), "-9223372036854775808"),
        (FieldValue::Float(1.5), r#"{"$type":"float","value":1.5}"#),
        (
            FieldValue::Float(f32::NAN),
            r#"{"$type":"float","value":"NaN"}"#,
        ),
        (FieldValue::Double(1.0), "1.0"),
        (
            FieldValue::Double(f64::NEG_INFINITY),
            r#"{"$type":"double","value":"-inf"}"#,
        ),
        (
            FieldValue::Decimal {
                scale: 1,
                value: 11,
            },
            r#"{"$type":"decimal","value":"1.1"}"#,
        ),
        (
            FieldValue::Decimal { scale: 2, value: 0 },
            r#"{"$type":"decimal","value":"0.00"}"#,
        ),
        (
            FieldValue::Bytes(vec![0, 255]),
            r#"{"$type":"bytes","value":"00ff"}"#,
        ),
        (
            FieldValue::Timestamp(u64::MAX),
            r#"{"$type":"timestamp","value":18446744073709551615}"#,
        ),
        (
            FieldValue::Table(FieldTable::new().with(TAG, "long").with(TAGGED, 5)),
            r#"{"$type":"table","value":{"$type":"long","value":5}}"#,
        ),
    ];
    for (value, json) in tagged {
        assert_eq!(write(&value), json);
        assert_eq!(read(json), value, "{json}");
    }
}

#[test]
fn the_other_tags_of_the_recordings_are_read_too() {
    assert_eq!(read(r#"{"$type":"int","value":1}"#), FieldValue::Int(1));
    assert_eq!(read(r#"{"$type":"void"}"#), FieldValue::Void);
    assert_eq!(read(r#"{"$type":"void","value":null}"#), FieldValue::Void);
    assert_eq!(
        read(r#"{"$type":"bool","value":true}"#),
        FieldValue::Bool(true)
    );
    assert_eq!(
        read(r#"{"$type":"longstr","value":"a"}"#),
        FieldValue::from("a")
    );
    assert_eq!(
        read(r#"{"$type":"double","value":1}"#),
        FieldValue::Double(1.0)
    );
    assert_eq!(
        read(r#"{"$type":"decimal","value":"1"}"#),
        FieldValue::Decimal { scale: 0, value: 1 }
    );
    assert_eq!(
        read(r#"{"$type":"array","value":[1]}"#),
        FieldValue::Array(vec![1.into()])
    );
}

#[test]
fn a_malformed_tagged_value_is_refused_with_a_reason() {
    for (json, reason) in [
        (r#"{"value":5,"$type":"long"}"#, "must come first"),
        (r#"{"$type":"long"}"#, "\"value\""),
        (r#"{"$type":"longish","value":5}"#, "unknown field type"),
        (r#"{"$type":"octet","value":128}"#, "128"),
        (r#"{"$type":"bytes","value":"0"}"#, "hexadecimal"),
        (r#"{"$type":"bytes","value":"+1"}"#, "hexadecimal"),
        (r#"{"$type":"decimal","value":"x"}"#, "decimal"),
        (r#"{"$type":"long","value":5,"more":1}"#, "more"),
    ] {
        let error = serde_json::from_str::<FieldValue>(json)
            .unwrap_err()
            .to_string();
        assert!(error.contains(reason), "{json}: {error}");
    }
}

/// A format without a limit of its own: arrays in arrays, or tables in tables, without end.
struct Endless {
    is_table: bool,
}

impl<'de> Deserializer<'de> for Endless {
    type Error = de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.is_table {
            true => visitor.visit_map(self),
            false => visitor.visit_seq(self),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        option unit unit_struct newtype_struct seq tuple tuple_struct map struct enum
        identifier ignored_any
    }
}

impl<'de> SeqAccess<'de> for Endless {
    type Error = de::value::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Self::Error> {
        seed.deserialize(Endless { ..*self }).map(Some)
    }
}

impl<'de> MapAccess<'de> for Endless {
    type Error = de::value::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Self::Error> {
        seed.deserialize(de::IntoDeserializer::into_deserializer("inner"))
            .map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, Self::Error> {
        seed.deserialize(Endless { ..*self })
    }
}

#[test]
fn reading_ends_where_a_value_is_nested_too_deep() {
    for is_table in [false, true] {
        let error = FieldValue::deserialize(Endless { is_table }).unwrap_err();
        assert_eq!(error.to_string(), TableTooDeep.to_string());
    }
    let error = FieldTable::deserialize(Endless { is_table: true }).unwrap_err();
    assert_eq!(error.to_string(), TableTooDeep.to_string());
    let tagged = |depth: usize| {
        let (open, close) = (r#"{"$type":"array","value":["#, "]}");
        let inner = format!("{}{}", open.repeat(depth), close.repeat(depth));
        serde_json::from_str::<FieldValue>(&inner)
    };
    assert!(tagged(60).is_ok() && tagged(130).is_err());
}

#[test]
fn a_table_keeps_its_order_and_its_own_type_key() {
    let json = r#"{"b":1,"a":{"$type":"short","value":2},"$type":"x"}"#;
    let table: FieldTable = serde_json::from_str(json).unwrap();
    assert_eq!(
        table.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        ["b", "a", "$type"]
    );
    assert_eq!(serde_json::to_string(&table).unwrap(), json);
}
