//! The `x-delay` header: the delay of a message in a delayed exchange.
//!
//! The valid values are those of RabbitMQ's plugin: milliseconds as an integer of any width, as a
//! number whose fraction is cut off, or as an integer in text. Every other value, and a value that
//! is not positive, means no delay. This module does not know which exchanges use the header.

use std::time::Duration;

use crate::{
    message::envelope::Envelope,
    model::field_value::{FieldTable, FieldValue},
};

/// The header's name.
pub(crate) const X_DELAY: &str = "x-delay";

/// The delay of a message with these headers; `None` if there is none.
pub(crate) fn wanted(headers: Option<&FieldTable>) -> Option<Duration> {
    let milliseconds = milliseconds(headers?.get(X_DELAY)?)?;
    let positive = u64::try_from(milliseconds).ok().filter(|delay| *delay > 0);
    positive.map(Duration::from_millis)
}

/// The same headers without a delay.
pub(crate) fn without(headers: &FieldTable) -> FieldTable {
    let mut headers = headers.clone();
    headers.remove(X_DELAY);
    headers
}

/// Negates the header. A consumer then sees that the message was delayed, and the next delayed
/// exchange does not delay it again.
pub(crate) fn mark_over(envelope: &mut Envelope) {
    let header = envelope.properties().header_value(X_DELAY);
    if let Some(delay) = header.and_then(milliseconds) {
        envelope.add_header(X_DELAY, value(delay.saturating_neg()));
    }
}

/// The value of the header for a delay: a `signedint`, as the plugin writes it, if that is wide
/// enough.
pub(crate) fn value(milliseconds: i64) -> FieldValue {
    i32::try_from(milliseconds).map_or(FieldValue::Long(milliseconds), FieldValue::Int)
}

fn milliseconds(value: &FieldValue) -> Option<i64> {
    // A number that no integer can hold becomes the nearest integer; not-a-number becomes 0.
    let number = || value.as_f64().map(|number| number as i64);
    let text = || std::str::from_utf8(&value.as_bytes()?).ok()?.parse().ok();
    value.as_i64().or_else(number).or_else(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delay(value: impl Into<FieldValue>) -> Option<u128> {
        wanted(Some(&FieldTable::from([(X_DELAY, value)]))).map(|delay| delay.as_millis())
    }

    #[test]
    fn an_integer_of_any_width_is_a_delay() {
        assert_eq!(delay(FieldValue::Octet(7)), Some(7));
        assert_eq!(delay(FieldValue::UnsignedOctet(200)), Some(200));
        assert_eq!(delay(FieldValue::Short(7)), Some(7));
        assert_eq!(delay(FieldValue::UnsignedShort(60_000)), Some(60_000));
        assert_eq!(delay(FieldValue::Int(7)), Some(7));
        assert_eq!(
            delay(FieldValue::UnsignedInt(u32::MAX)),
            Some(4_294_967_295)
        );
        assert_eq!(delay(FieldValue::Long(i64::MAX)), Some(i64::MAX as u128));
    }

    #[test]
    fn what_the_plugin_converts_is_converted() {
        assert_eq!(delay(5.9), Some(5));
        assert_eq!(delay(FieldValue::Float(5.9)), Some(5));
        assert_eq!(delay(f64::INFINITY), Some(i64::MAX as u128));
        assert_eq!(delay("500"), Some(500));
        assert_eq!(delay(FieldValue::Bytes(b"500".to_vec())), Some(500));
    }

    #[test]
    fn everything_else_is_no_delay() {
        assert_eq!(wanted(None), None);
        assert_eq!(wanted(Some(&FieldTable::new())), None);
        assert_eq!(delay(0), None);
        assert_eq!(delay(-5), None);
        assert_eq!(delay(i64::MIN), None);
        assert_eq!(delay(0.9), None);
        assert_eq!(delay(f64::NAN), None);
        assert_eq!(delay("soon"), None);
        assert_eq!(delay(""), None);
        assert_eq!(delay(true), None);
        assert_eq!(delay(FieldValue::Timestamp(7)), None);
    }

    #[test]
    fn a_value_is_as_wide_as_it_must_be() {
        assert_eq!(value(-5), FieldValue::Int(-5));
        assert_eq!(value(1 << 31), FieldValue::Long(1 << 31));
    }
}
