//! AMQP field values.
/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldValue {
    /// Nothing.
    Void,
}
/// A table.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct FieldTable(Vec<(String, FieldValue)>);
