//! The layers of the crate, checked: a module imports only from rows below its own, and no source file is over 500 lines.
//!
//! `ROWS` is the table; a new module is entered there before it builds here. What is read: every `use` and every path
//! that begins with `crate`, `self` or `super`, followed through the re-exports of `lib.rs` and of other modules. What is
//! not read: comments (doc tests among them), string literals, and items under `#[cfg(test)]`. A path that a macro puts
//! together, or a method of a type that another module adds to, is out of sight.

#[path = "layering/map.rs"]
mod map;
#[path = "layering/source.rs"]
mod source;
#[path = "layering/tokens.rs"]
mod tokens;

use std::{fs, path::Path};

use map::Map;
use source::Source;

/// May the modules of one row import one another?
#[derive(Clone, Copy, PartialEq, Debug)]
enum Siblings {
    May,
    Never,
}

struct Row {
    layer: u8,
    siblings: Siblings,
    modules: &'static [&'static str],
}

const fn row(layer: u8, siblings: Siblings, modules: &'static [&'static str]) -> Row {
    Row {
        layer,
        siblings,
        modules,
    }
}

/// From the bottom up: a module may import everything in the rows before its own. `lib.rs` is above them all.
///
/// The modules inside `session` have rows of their own; `session` itself (its `mod.rs`) only names them.
const ROWS: &[Row] = &[
    row(
        0,
        Siblings::May,
        &[
            "arguments",
            "bytes",
            "clock",
            "codec",
            "counters",
            "dead_letter",
            "descriptions",
            "envelope",
            "error",
            "field_value",
            "message",
            "name",
            "payload",
            "properties",
            "sender_selected",
            "sync",
            "timers",
            "user_code",
            "waiter",
            "x_delay",
        ],
    ),
    row(
        1,
        Siblings::Never,
        &["access", "exchange", "policy", "queue", "store"],
    ),
    row(2, Siblings::May, &["vhost"]),
    row(
        3,
        Siblings::May,
        &[
            "session/delivery",
            "session/held",
            "session/pace",
            "session/receive",
            "session/subscription",
        ],
    ),
    row(3, Siblings::May, &["session/channel"]),
    row(3, Siblings::May, &["session/connection"]),
    row(3, Siblings::May, &["session"]),
    row(3, Siblings::May, &["broker"]),
    row(4, Siblings::May, &["declare"]),
    row(
        4,
        Siblings::May,
        &["consumer", "producer", "redrive", "select", "simple_queue"],
    ),
    row(4, Siblings::May, &["delayed"]),
    row(4, Siblings::May, &["handles"]),
    row(4, Siblings::May, &["worker"]),
    row(4, Siblings::May, &["notify", "rpc"]),
    row(5, Siblings::May, &["bridge", "definitions", "snapshot"]),
];

/// Imports upwards that are let through, each with its reason; one that is no longer needed fails the check.
const TIES: &[(&str, &str)] = &[
    // A channel is closed with its connection and takes itself off the connection's list when it is closed alone.
    ("session/channel", "session/connection"),
];

const MOST_LINES: usize = 500;

#[test]
fn every_module_imports_downwards_only_and_no_file_is_too_long() {
    let report = check(&real_sources());
    assert!(
        report.violations.is_empty(),
        "{} violation(s) of the layers:\n{}\n",
        report.violations.len(),
        report.violations.join("\n"),
    );
    assert!(
        report.imports > 100,
        "only {} imports were found: is the reader broken?",
        report.imports
    );
}

/// A file of the crate: its path below `src`, with `/`, and its text.
type File = (String, String);

struct Report {
    violations: Vec<String>,
    /// How many paths into the crate were looked at.
    imports: usize,
}

fn real_sources() -> Vec<File> {
    fn collect(folder: &Path, below: &str, files: &mut Vec<File>) {
        let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        for entry in entries.map(Result::unwrap) {
            let name = format!("{below}{}", entry.file_name().to_string_lossy());
            if entry.file_type().unwrap().is_dir() {
                collect(&entry.path(), &format!("{name}/"), files);
            } else if name.ends_with(".rs") {
                files.push((name, fs::read_to_string(entry.path()).unwrap()));
            }
        }
    }
    let mut files = Vec::new();
    collect(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        "",
        &mut files,
    );
    files.sort();
    files
}

fn check(files: &[File]) -> Report {
    let sources: Vec<(&File, Vec<String>, Source)> = files
        .iter()
        .map(|file| {
            let module = module_of(&file.0);
            let source = Source::read(&module, &file.1);
            (file, module, source)
        })
        .collect();
    let map = Map::of(sources.iter().map(|(_, module, source)| (module, source)));
    let mut violations = Vec::new();
    let mut imports = 0;
    let mut ties_used = Vec::new();
    for ((name, text), module, source) in &sources {
        let lines = text.lines().count();
        if lines > MOST_LINES {
            violations.push(format!(
                "src/{name}: {lines} lines; at most {MOST_LINES} are allowed: split it by noun"
            ));
        }
        if module.is_empty() || map.is_test(module) {
            continue;
        }
        let own = unit_of(module);
        let Some(own_row) = row_of(&own) else {
            violations.push(format!(
                "src/{name}:1: the module `{own}` is not in the table: enter it into ROWS of tests/layering.rs"
            ));
            continue;
        };
        for path in &source.paths {
            let Some(target) = map.resolve(path) else {
                continue;
            };
            imports += 1;
            let unit = unit_of(&target);
            if unit == own {
                continue;
            }
            let written = path.written();
            let place = format!("src/{name}:{}", path.line);
            let Some(row) = row_of(&unit) else {
                violations.push(if unit.is_empty() {
                    format!("{place}: {own} imports `{written}` from lib.rs, which is above every layer: name the module it is defined in")
                } else {
                    format!("{place}: {own} imports `{written}`, and the module `{unit}` is not in the table (ROWS of tests/layering.rs)")
                });
                continue;
            };
            let fault = if row > own_row {
                "is above it"
            } else if row == own_row && ROWS[row].siblings == Siblings::Never {
                "is its sibling, and these never import each other"
            } else {
                continue;
            };
            if let Some(tie) = TIES.iter().find(|tie| **tie == (&*own, &*unit)) {
                ties_used.push(*tie);
                continue;
            }
            violations.push(format!(
                "{place}: {own} (layer {}) imports `{written}` of {unit} (layer {}), which {fault}; only {} may",
                ROWS[own_row].layer,
                ROWS[row].layer,
                who_may_import(row),
            ));
        }
    }
    for tie in TIES.iter().filter(|tie| !ties_used.contains(tie)) {
        violations.push(format!(
            "{} no longer imports {}: take the pair out of TIES of tests/layering.rs",
            tie.0, tie.1
        ));
    }
    Report {
        violations,
        imports,
    }
}

/// `exchange/topic/edge.rs` is `exchange::topic::edge`, `lib.rs` is the root.
fn module_of(file: &str) -> Vec<String> {
    let stem = file.trim_end_matches(".rs");
    let mut module: Vec<String> = stem.split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|last| last == "mod") || stem == "lib" {
        module.pop();
    }
    module
}

/// What the table calls the place of a path: its first module, or the first two inside `session`.
fn unit_of(path: &[String]) -> String {
    let depth = if path.first().is_some_and(|first| first == "session") {
        2
    } else {
        1
    };
    path[..depth.min(path.len())].join("/")
}

fn row_of(unit: &str) -> Option<usize> {
    ROWS.iter().position(|row| row.modules.contains(&unit))
}

fn who_may_import(row: usize) -> String {
    let above: Vec<&str> = ROWS[row + 1..]
        .iter()
        .flat_map(|row| row.modules)
        .copied()
        .collect();
    match (&*above, &ROWS[row]) {
        ([], _) => "lib.rs".to_owned(),
        (_, r) if ROWS[row + 1].layer > r.layer => {
            format!("layers {} and above", ROWS[row + 1].layer)
        }
        (_, r) => {
            let rest: Vec<&str> = ROWS[row + 1..]
                .iter()
                .filter(|above| above.layer == r.layer)
                .flat_map(|above| above.modules)
                .copied()
                .collect();
            format!("{} and the layers above {}", rest.join(", "), r.layer)
        }
    }
}

// What follows shows that the check can fail.

#[test]
fn a_planted_import_upwards_is_found_in_the_real_sources() {
    let before = check(&real_sources()).violations;
    for (file, import, of, fault) in [
        (
            "queue/mod.rs",
            "use crate::session::channel::Channel;",
            "queue",
            "session/channel (layer 3), which is above it",
        ),
        (
            "name.rs",
            "fn planted() -> crate::vhost::VirtualHost { todo!() }",
            "name",
            "vhost (layer 2), which is above it",
        ),
        (
            "exchange/mod.rs",
            "use crate::{error::{self, Result}, queue::{self, Queue as Planted}};",
            "exchange",
            "queue (layer 1), which is its sibling",
        ),
        (
            "session/held.rs",
            "use super::connection::Connection;",
            "session/held",
            "session/connection (layer 3), which is above it",
        ),
        (
            "vhost/mod.rs",
            "use crate::Consumer;",
            "vhost",
            "consumer (layer 4), which is above it",
        ),
    ] {
        let mut files = real_sources();
        let (_, text) = files
            .iter_mut()
            .find(|(name, _)| name == file)
            .unwrap_or_else(|| panic!("src/{file} is gone: plant elsewhere"));
        // In front of the first import, so outside of any test module.
        let line = 1 + text
            .lines()
            .position(|l| l.starts_with("use ") || l.starts_with("pub use "))
            .unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        lines.insert(line - 1, import);
        *text = lines.join("\n");
        let after = check(&files).violations;
        let place = format!("src/{file}:{line}: {of} (layer ");
        assert!(
            after
                .iter()
                .any(|v| v.starts_with(&place) && v.contains(fault)),
            "{import} in {file} at {line}: {after:#?}"
        );
        assert!(after.len() > before.len(), "{import} in {file}: {after:#?}");
    }
}

/// The violations of a crate of these files, but for ties that it does not use.
fn violations(files: &[(&str, &str)]) -> Vec<String> {
    let files: Vec<File> = files
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect();
    let mut violations = check(&files).violations;
    violations.retain(|v| !v.contains("TIES"));
    violations
}

#[test]
fn a_violation_says_where_what_and_who_may() {
    assert_eq!(
        violations(&[
            (
                "queue/mod.rs",
                "\nuse crate::{\n    name::Name,\n    exchange::{self, Kind},\n};"
            ),
            ("exchange/mod.rs", "pub struct Kind;"),
            ("name.rs", "fn f() { crate::vhost::topology::g() }"),
            (
                "vhost/mod.rs",
                "mod topology; use crate::{queue, exchange, name};"
            ),
            ("vhost/topology.rs", ""),
            ("session/held.rs", "use super::connection;"),
            ("session/connection.rs", "use super::{held::Held, channel};"),
            ("session/channel/mod.rs", "use super::connection;"),
            ("session/mod.rs", "pub(crate) mod held; pub use held::Held;"),
        ]),
        [
            "src/queue/mod.rs:4: queue (layer 1) imports `crate::exchange` of exchange (layer 1), which is its sibling, and these never import each other; only layers 2 and above may",
            "src/queue/mod.rs:4: queue (layer 1) imports `crate::exchange::Kind` of exchange (layer 1), which is its sibling, and these never import each other; only layers 2 and above may",
            "src/name.rs:1: name (layer 0) imports `crate::vhost::topology::g` of vhost (layer 2), which is above it; only layers 3 and above may",
            "src/session/held.rs:1: session/held (layer 3) imports `super::connection` of session/connection (layer 3), which is above it; only session, broker and the layers above 3 may",
        ]
    );
}

#[test]
fn names_of_the_crates_root_count_as_what_they_stand_for() {
    let lib = "mod name; mod rpc; pub use crate::{name::Name, rpc::{Client, Server as Answering}}; struct Own;";
    let with = |name| {
        violations(&[
            ("lib.rs", lib),
            ("name.rs", "pub struct Name;"),
            ("rpc.rs", "use crate::Name;"),
            ("worker.rs", name),
        ])
    };
    assert_eq!(with("use crate::Name;"), [""; 0]);
    assert!(with("use crate::Client;")[0].contains("of rpc (layer 4), which is above it"));
    assert!(with("use super::Answering;")[0].contains("of rpc (layer 4), which is above it"));
    assert!(with("use crate::Own;")[0].contains("from lib.rs, which is above every layer"));
    assert!(with("use crate::*;")[0].contains("from lib.rs, which is above every layer"));
}

#[test]
fn an_unknown_module_is_a_violation_of_its_own_and_of_who_imports_it() {
    let found = violations(&[
        ("helpers/mod.rs", ""),
        ("broker.rs", "use crate::helpers::help;"),
        ("session/gossip.rs", ""),
    ]);
    assert_eq!(found.len(), 3, "{found:#?}");
    assert!(found[0].starts_with("src/helpers/mod.rs:1: the module `helpers` is not in the table"));
    assert!(found[1].starts_with("src/broker.rs:1: broker imports `crate::helpers::help`"));
    assert!(found[2].starts_with("src/session/gossip.rs:1: the module `session/gossip`"));
}

#[test]
fn a_file_of_501_lines_is_too_long_and_one_of_500_is_not() {
    assert_eq!(violations(&[("name.rs", &"\n".repeat(500))]), [""; 0]);
    assert_eq!(
        violations(&[("name/tests.rs", &"\n".repeat(501))]),
        ["src/name/tests.rs: 501 lines; at most 500 are allowed: split it by noun"]
    );
}

#[test]
fn a_tie_that_nobody_needs_is_a_violation() {
    let found = check(&[("name.rs".to_owned(), String::new())]).violations;
    assert_eq!(found.len(), TIES.len());
    assert!(
        found[0].starts_with("session/channel no longer imports session/connection: take the pair")
    );
}

#[test]
fn every_module_stands_once_in_the_table_and_layers_rise() {
    let mut all: Vec<&str> = ROWS.iter().flat_map(|row| row.modules).copied().collect();
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), count);
    assert!(ROWS.is_sorted_by_key(|row| row.layer));
}

#[test]
fn files_of_test_modules_may_import_anything() {
    let name = "#[cfg(test)] mod tests;";
    let test = "use crate::vhost::VirtualHost;";
    assert_eq!(
        violations(&[
            ("name.rs", name),
            ("name/tests.rs", test),
            ("name/tests/more.rs", test)
        ]),
        [""; 0]
    );
    assert_eq!(
        violations(&[
            ("name.rs", "mod tests;"),
            ("name/tests.rs", test),
            ("vhost.rs", "")
        ])
        .len(),
        1
    );
}
