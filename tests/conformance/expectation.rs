//! The broker's answer that a synchronous step expects.

use leveret::Scope;
use serde_json::{Map, Value};

use crate::{
    Outcome,
    fields::Fields,
    message::{Received, Saved},
    peer::Error,
};

/// The answer of a successful synchronous method.
pub enum Reply {
    /// The fields of the reply. Most replies have none.
    Fields(Map<String, Value>),
    /// A get from an empty queue.
    Empty,
    /// A get with a message.
    Message(Received),
}

impl Reply {
    /// A reply without fields.
    pub fn done() -> Reply {
        Reply::Fields(Map::new())
    }
}

/// The `expect` of a step.
pub enum Expectation {
    /// No expectation is written, so the step must succeed.
    Success,
    /// The step succeeds with these fields.
    Fields(Map<String, Value>),
    /// The step fails in this way.
    Failure(Failure),
    /// The get finds the queue empty.
    Empty,
    /// The get returns a message like this one.
    Message(Value),
    /// The policy is refused for this reason, and nothing is set.
    Invalid(String),
}

/// A failure in AMQP's terms.
pub struct Failure {
    reply_code: u16,
    /// Whether it is a connection error. If not, it is a channel error.
    of_connection: bool,
    /// The recorded text, if there is one. Ours may say more behind it.
    text: Option<String>,
}

impl Failure {
    /// Reads the fields of a failure. `code` is the name of the field with its reply code.
    pub fn take(fields: &mut Fields, code: &str) -> Outcome<Failure> {
        let reply_code = fields.number(code)?;
        let of_connection = match fields.optional_text("level")?.as_deref() {
            None | Some("channel") => false,
            Some("connection") => true,
            Some(other) => return Err(format!("not a level: {other}")),
        };
        Ok(Failure {
            reply_code,
            of_connection,
            text: None,
        })
    }

    /// Compares the broker's error with this expected failure.
    pub fn check(&self, error: &Error) -> Outcome {
        if error.reply_code() != Some(self.reply_code) {
            return Err(format!("expected {self}, not {}", describe(error)));
        }
        if matches!(error.scope(), Scope::Connection) != self.of_connection {
            return Err(format!(
                "expected {self}, but its scope is {:?}",
                error.scope()
            ));
        }
        check_text(self.text.as_deref(), &error.to_string())
    }
}

impl Failure {
    /// The end of a connection by the broker.
    pub fn of_the_connection(reply_code: u16, text: Option<&str>) -> Failure {
        Failure {
            reply_code,
            of_connection: true,
            text: text.map(str::to_owned),
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "error {} of the {}",
            self.reply_code,
            if self.of_connection {
                "connection"
            } else {
                "channel"
            }
        )
    }
}

/// The text of an error in a report.
pub fn describe<E: Clone + Into<Error>>(error: &E) -> String {
    let error: Error = error.clone().into();
    match error.reply_code() {
        Some(code) => format!("error {code} ({error})"),
        None => format!("an error without a code ({error})"),
    }
}

impl Expectation {
    /// Reads the `expect` of a step, whose note may hold the recorded text of a failure.
    pub fn of(expect: Option<Value>, text: Option<String>) -> Outcome<Expectation> {
        let Some(value) = expect else {
            return Ok(Expectation::Success);
        };
        let mut fields = Fields::new(&value)?;
        let expectation = if value.get("ok").is_some() {
            Expectation::Fields(fields.table("ok")?)
        } else if value.get("error").is_some() {
            let failure = Failure::take(&mut fields, "error")?;
            // It was read before.
            fields.take("text");
            fields.take("text_4_3");
            Expectation::Failure(Failure { text, ..failure })
        } else if fields.flag("invalid")? {
            let text = text.unwrap_or_default();
            let reason = text.strip_prefix("Validation failed ").unwrap_or(&text);
            Expectation::Invalid(reason.trim().to_owned())
        } else if fields.flag("empty")? {
            Expectation::Empty
        } else {
            Expectation::Message(fields.required("message")?)
        };
        fields.finish()?;
        Ok(expectation)
    }

    /// Compares the broker's answer with the expectation.
    pub fn check(&self, result: Result<Reply, Error>, saved: &mut Saved) -> Outcome {
        match (self, result) {
            (Expectation::Failure(failure), Err(error)) => failure.check(&error),
            (Expectation::Failure(failure), Ok(_)) => {
                Err(format!("expected {failure}, but it succeeded"))
            }
            (Expectation::Invalid(reason), Err(error)) => match error.reply_code() {
                Some(406) if error.to_string().contains(reason) => Ok(()),
                _ => Err(format!("expected '{reason}', not {}", describe(&error))),
            },
            (Expectation::Invalid(_), Ok(_)) => {
                Err("expected a refusal, but it was set".to_owned())
            }
            (_, Err(error)) => Err(format!("expected success, not {}", describe(&error))),
            (Expectation::Success, Ok(_)) => Ok(()),
            (Expectation::Fields(expected), Ok(Reply::Fields(actual))) => {
                check_fields(expected, &actual)
            }
            (Expectation::Fields(_), Ok(_)) => Err("a get has no reply fields".to_owned()),
            (Expectation::Empty, Ok(Reply::Empty)) => Ok(()),
            (Expectation::Empty, Ok(Reply::Message(message))) => {
                Err(format!("expected nothing, not {message}"))
            }
            (Expectation::Message(expected), Ok(Reply::Message(message))) => message
                .check(expected, saved)
                .map_err(|problem| format!("{problem}; it was {message}")),
            (Expectation::Message(expected), Ok(Reply::Empty)) => {
                Err(format!("expected {expected}, not an empty queue"))
            }
            (Expectation::Empty | Expectation::Message(_), Ok(Reply::Fields(_))) => {
                Err("only a get fetches messages".to_owned())
            }
        }
    }
}

fn check_text(expected: Option<&str>, actual: &str) -> Outcome {
    match expected {
        Some(expected) if !is_beginning(expected, actual) => Err(format!(
            "expected the text \"{expected}\", not \"{actual}\""
        )),
        _ => Ok(()),
    }
}

/// Whether a text begins with the expected one. `amq.gen-*` stands for any generated name.
fn is_beginning(expected: &str, actual: &str) -> bool {
    let Some((before, after)) = expected.split_once("amq.gen-*") else {
        return actual.starts_with(expected);
    };
    let Some(generated) = actual.strip_prefix(before) else {
        return false;
    };
    let rest = generated.strip_prefix("amq.gen-");
    let rest = rest.map(|rest| rest.trim_start_matches(|it: char| it.is_ascii_alphanumeric()));
    rest.is_some_and(|rest| rest.starts_with(after))
}

fn check_fields(expected: &Map<String, Value>, actual: &Map<String, Value>) -> Outcome {
    for (name, expected) in expected {
        let actual = actual
            .get(name)
            .ok_or_else(|| format!("the reply has no field '{name}'"))?;
        if expected != actual {
            return Err(format!("{name}: expected {expected}, not {actual}"));
        }
    }
    Ok(())
}
