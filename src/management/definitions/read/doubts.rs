//! Values that the RabbitMQ which has written the file may have spoiled.
//!
//! An export loses types. A void argument is the text `undefined`, bytes are a text about them, a
//! decimal is another number. `rabbitmqctl` of 3.10 writes a control character as U+1000 and a null
//! in a global parameter as `null`, and that of 4.3 writes some lists as text.

use super::{
    super::{json::Json, path::Path, report::RemarkKind},
    Context,
};

impl Context<'_> {
    /// Remarks on a name or a key.
    pub(super) fn check_text(&mut self, path: Path<'_>, text: &str) {
        if self.is_old_control() && text.contains('\u{1000}') {
            let reason = "U+1000 may have been a control character, such as U+0001";
            self.remark(path, RemarkKind::Doubtful, reason);
        }
    }

    /// Remarks on the values of arguments.
    pub(super) fn doubt_arguments(&mut self, path: Path<'_>, json: &Json<'_>) {
        if self.is_own() {
            return;
        }
        match json {
            Json::Text(text) if self.is_of_rabbitmq() => {
                self.check_text(path, text);
                if let Some(reason) = spoiled_text(text) {
                    self.remark(path, RemarkKind::Doubtful, reason);
                }
            }
            Json::Unsigned(_) => self.remark(path, RemarkKind::Doubtful, WIDE),
            Json::Real(value) if is_wide(*value) => {
                self.remark(path, RemarkKind::Doubtful, WIDE);
            }
            Json::Real(value) if self.is_of_rabbitmq() && may_be_decimal(*value) => {
                let reason = "it may have been a decimal, of which the scale and the digits were \
                              written as one number";
                self.remark(path, RemarkKind::Doubtful, reason);
            }
            Json::Array(values) => {
                for (index, value) in values.iter().enumerate() {
                    self.doubt_arguments(path.index(index), value);
                }
            }
            Json::Object(entries) => {
                for (key, value) in entries {
                    self.doubt_arguments(path.key(key), value);
                }
            }
            _ => {}
        }
    }

    /// Remarks on the value of a global parameter.
    pub(super) fn doubt_parameter(&mut self, path: Path<'_>, json: &Json<'_>) {
        if !self.is_old_control() {
            return;
        }
        match json {
            Json::Text(text) if text == "null" || text == "nil" => {
                self.remark(path, RemarkKind::Doubtful, "it may have been null");
            }
            Json::Text(text) => self.check_text(path, text),
            Json::Array(values) => {
                for (index, value) in values.iter().enumerate() {
                    self.doubt_parameter(path.index(index), value);
                }
            }
            Json::Object(entries) => {
                for (key, value) in entries {
                    self.doubt_parameter(path.key(key), value);
                }
            }
            _ => {}
        }
    }
}

fn spoiled_text(text: &str) -> Option<&'static str> {
    match text {
        "undefined" => Some("it may have been void"),
        _ if text.starts_with("Not UTF-8, base64 is: ") => Some("it was bytes"),
        _ if text.starts_with('\u{1}') => Some("it may have been a list"),
        _ => None,
    }
}

const WIDE: &str = "it is no integer of 64 bits, and was read as a float";

/// Whether an integer was written that is no `i64`. Larger numbers are written with an exponent.
fn is_wide(value: f64) -> bool {
    value.fract() == 0.0 && (i64::MAX as f64..1e22).contains(&value.abs())
}

/// Whether the number may be the scale of a decimal, a point, and its digits. A decimal has at
/// least as many digits as its scale says.
fn may_be_decimal(value: f64) -> bool {
    let text = value.to_string();
    let Some((scale, digits)) = text.split_once('.') else {
        return false;
    };
    let scale = scale.parse::<u8>().unwrap_or(0);
    scale > 0 && digits.len() <= 10 && digits.len() >= usize::from(scale)
}
