//! Definitions: imports of RabbitMQ's files and of our own, and exports.

mod bad_input;
mod cases;
mod cost;
#[cfg(feature = "durable")]
mod durable;
mod exchange_types;
mod exports;
mod files;
mod queue_kinds;
#[cfg(unix)]
mod rabbitmq;
mod random;
mod schema;

use std::{fs, path::PathBuf};

use leveret::{Broker, DefinitionsError, Error, ImportReport, Remark, RemarkKind, Result};
use serde_json::Value;

/// A file of `tests/definitions`.
fn file(name: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/definitions");
    let path = folder.join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The export in leveret's own form.
fn exported(broker: &Broker) -> Value {
    json(&broker.export_definitions().unwrap())
}

fn refusal(result: Result<ImportReport>) -> DefinitionsError {
    match result.unwrap_err() {
        Error::InvalidDefinitions(error) => *error,
        other => panic!("{other}"),
    }
}

/// The remarks as `path kind`.
fn remarks(remarks: &[Remark]) -> Vec<String> {
    let remarks = remarks.iter();
    remarks
        .map(|Remark { path, kind, .. }| format!("{path} {kind}"))
        .collect()
}

fn of_kind(report: &ImportReport, kind: RemarkKind) -> Vec<&Remark> {
    let remarks = report.remarks.iter();
    remarks.filter(|remark| remark.kind == kind).collect()
}
