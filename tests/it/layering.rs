//! Checks the layers of the crate. A module imports only from lower layers, and no source file has
//! more than 500 lines.
//!
//! `FOLDERS` is the table of layers, with one row for each folder. A module that is not in the
//! table fails the test.
//!
//! The test reads every `use` and every path that begins with `crate`, `self` or `super`, and
//! follows re-exports. It does not read comments (so no doc tests), string literals, or items under
//! `#[cfg(test)]`. It does not see a path that a macro builds, or a method that another module adds
//! to a type.

mod map;
mod source;
mod tokens;

use std::{fs, path::Path};

use map::Map;
use source::Source;

/// Whether the modules of one floor may import one another.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Siblings {
    May,
    Never,
}

/// Modules of a folder. The modules of a later floor may import those of an earlier floor.
struct Floor {
    siblings: Siblings,
    modules: &'static [&'static str],
}

struct Folder {
    name: &'static str,
    /// The description of the folder in the front page and the design page.
    holds: &'static str,
    floors: &'static [Floor],
}

const fn may(modules: &'static [&'static str]) -> Floor {
    Floor {
        siblings: Siblings::May,
        modules,
    }
}

const fn never(modules: &'static [&'static str]) -> Floor {
    Floor {
        siblings: Siblings::Never,
        modules,
    }
}

/// The folders from the lowest layer to the highest. A folder may import every folder before it.
/// `lib.rs` is above them all.
const FOLDERS: &[Folder] = &[
    Folder {
        name: "model",
        holds: "names, bytes, field values, errors, descriptions, arguments, users: plain values",
        floors: &[
            never(&[
                "backoff",
                "binary",
                "bytes",
                "death_counts",
                "message_totals",
                "octets",
                "slow_consumer",
                "version",
                "wildcards",
            ]),
            may(&["name"]),
            may(&["field_value"]),
            may(&["error"]),
            never(&[
                "access",
                "broker_event",
                "descriptions",
                "disk_alarm",
                "exchange_kind",
                "explanation",
            ]),
            may(&["arguments"]),
        ],
    },
    Folder {
        name: "runtime",
        holds: "locks, waiting, clocks, timers, panics of user code",
        floors: &[
            never(&["catch_panic", "keyed_list", "sync"]),
            may(&["contained", "regex", "spare", "user_drop"]),
            may(&["clock"]),
            may(&["waiter"]),
            may(&["block_on", "completion", "feed", "signal"]),
            may(&["timers"]),
            may(&["time_out"]),
        ],
    },
    Folder {
        name: "message",
        holds: "properties, headers, payloads, codecs, the envelope",
        floors: &[
            never(&["codec", "properties"]),
            may(&["payload"]),
            may(&["envelope"]),
            may(&["headers"]),
            may(&["outgoing"]),
        ],
    },
    Folder {
        name: "engine",
        holds: "exchanges, queues, logs of streams, policies, access; above them the virtual host",
        floors: &[
            never(&["events"]),
            never(&["phash2", "store", "stream"]),
            never(&["access", "exchange", "policy", "queue", "router"]),
            may(&["tap"]),
            may(&["vhost"]),
        ],
    },
    Folder {
        name: "session",
        holds: "the gate, publishers, subscribers, connections, channels, the broker's core",
        floors: &[
            may(&[
                "backend",
                "batch",
                "callers",
                "delay_queue",
                "delivery",
                "delivery_info",
                "events",
                "exported_queue",
                "feed",
                "forget",
                "gate",
                "getter",
                "gets",
                "holding",
                "overdue",
                "publisher",
                "receive",
                "recv_backoff",
                "remote_origin",
                "requeue",
                "spare_handle",
                "stream_reader",
                "subscriber",
                "tapped",
                "traced",
                "unacked",
                "undecoded",
            ]),
            may(&["connection"]),
            may(&["forward"]),
            may(&["channel", "remote_getter"]),
            may(&["broker_core"]),
        ],
    },
    Folder {
        name: "remote",
        holds: "engines outside of this process: a client of RabbitMQ",
        floors: &[never(&["rabbitmq"])],
    },
    Folder {
        name: "handles",
        holds: "broker, producer, consumer, reader, simple queue, select",
        floors: &[
            may(&["broker"]),
            may(&["declare"]),
            may(&["consumer", "producer", "reader", "select", "simple_queue"]),
            may(&["verbs"]),
        ],
    },
    Folder {
        name: "protocol",
        holds: "network protocols without a network: octets in, octets out",
        floors: &[never(&["amqp"])],
    },
    Folder {
        name: "patterns",
        holds: "workers and their middlewares, RPC, control, notifications, schedules",
        floors: &[
            may(&["schedule", "worker"]),
            never(&["middleware"]),
            never(&["notify", "rpc"]),
            may(&["control"]),
            may(&["verbs"]),
        ],
    },
    Folder {
        name: "management",
        holds: "definitions, snapshots, metrics, pictures, redrive, delayed messages, exports",
        floors: &[
            may(&[
                "definitions",
                "delayed_messages",
                "export",
                "messages",
                "moves",
                "pause",
                "queue_limits",
                "redrive",
                "selection",
            ]),
            may(&["snapshot"]),
            never(&["metrics", "picture", "snapshot_json"]),
            may(&["dashboard"]),
        ],
    },
    Folder {
        name: "testing",
        holds: "the test kit: a broker on a manual clock, captured publishes, faults, tasks",
        floors: &[
            never(&["not_settled", "publish_record", "random"]),
            never(&["executor", "fault", "report"]),
            never(&["published_messages", "recorder"]),
            may(&["test_broker"]),
        ],
    },
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

/// A file of the crate: its path below `src`, with `/` as separator, and its text.
type File = (String, String);

struct Report {
    violations: Vec<String>,
    /// The number of checked paths into the crate.
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
        let Some(own_floor) = floor_of(&own) else {
            violations.push(format!(
                "src/{name}:1: the module `{own}` is not in the table: enter it into FOLDERS of tests/it/layering.rs"
            ));
            continue;
        };
        for path in &source.paths {
            let place = format!("src/{name}:{}", path.line);
            if path.segments.first().is_some_and(|first| first == "crate")
                && path
                    .segments
                    .get(1)
                    .is_some_and(|second| !is_folder(second))
            {
                violations.push(format!(
                    "{place}: {own} names `{}` through the root: name the module it is defined in",
                    path.written()
                ));
                continue;
            }
            let Some(target) = map.resolve(path) else {
                continue;
            };
            imports += 1;
            let unit = unit_of(&target);
            if unit == own || own.starts_with(&format!("{unit}/")) {
                continue;
            }
            let written = path.written();
            let Some(floor) = floor_of(&unit) else {
                violations.push(if unit.is_empty() {
                    format!("{place}: {own} imports `{written}` from lib.rs, which is above every layer: name the module it is defined in")
                } else {
                    format!("{place}: {own} imports `{written}`, and the module `{unit}` is not in the table (FOLDERS of tests/it/layering.rs)")
                });
                continue;
            };
            let fault = if floor > own_floor {
                "is above it"
            } else if floor == own_floor && siblings_of(floor) == Siblings::Never {
                "is its sibling, and these never import each other"
            } else {
                continue;
            };
            violations.push(format!(
                "{place}: {own} (layer {}) imports `{written}` of {unit} (layer {}), which {fault}",
                own_floor.0, floor.0,
            ));
        }
    }
    Report {
        violations,
        imports,
    }
}

/// The module of a file: `exchange/topic/edge.rs` is `exchange::topic::edge`, and `lib.rs` is the
/// root.
fn module_of(file: &str) -> Vec<String> {
    let stem = file.trim_end_matches(".rs");
    let mut module: Vec<String> = stem.split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|last| last == "mod") || stem == "lib" {
        module.pop();
    }
    module
}

/// The entry of the table for a path: a folder, or a folder and one of its modules.
fn unit_of(path: &[String]) -> String {
    path[..2.min(path.len())].join("/")
}

fn is_folder(module: &str) -> bool {
    FOLDERS.iter().any(|folder| folder.name == module)
}

/// The layer of a folder, and the floor of a module in it. The `mod.rs` of a folder is above all
/// its floors.
fn floor_of(unit: &str) -> Option<(usize, usize)> {
    let (folder, module) = unit.split_once('/').unwrap_or((unit, ""));
    let layer = FOLDERS.iter().position(|row| row.name == folder)?;
    if module.is_empty() {
        return Some((layer, FOLDERS[layer].floors.len()));
    }
    let mut floors = FOLDERS[layer].floors.iter();
    let floor = floors.position(|floor| floor.modules.contains(&module))?;
    Some((layer, floor))
}

fn siblings_of((layer, floor): (usize, usize)) -> Siblings {
    FOLDERS[layer].floors[floor].siblings
}

/// The table in the form of the front page and the design page, with the highest layer first.
fn picture() -> String {
    let line =
        |(layer, folder): (usize, &Folder)| format!("{layer}  {:<12}{}", folder.name, folder.holds);
    let lines: Vec<String> = FOLDERS.iter().enumerate().rev().map(line).collect();
    lines.join("\n")
}

#[test]
fn the_front_page_and_the_design_page_show_this_table() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for page in ["guide/front_page.md", "guide/design.md"] {
        let text = fs::read_to_string(root.join(page)).unwrap();
        assert!(
            text.contains(&picture()),
            "src/{page} should show this:\n{}",
            picture()
        );
    }
}

#[test]
fn the_root_of_the_crate_holds_these_folders_and_nothing_else() {
    let beside = ["guide", "interleavings", "lib.rs"];
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for entry in fs::read_dir(root).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        assert!(
            is_folder(&name) || beside.contains(&&*name),
            "src/{name} is in no layer"
        );
    }
    for (name, _) in real_sources() {
        let folder = name.trim_end_matches(".rs");
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        assert!(
            !root.join(folder).is_dir(),
            "src/{name} is {folder}/mod.rs everywhere else"
        );
    }
}

// The tests below show that the check can fail.

/// The types behind which a queue and the topology are locked. The session layer alone reaches
/// them.
const BEHIND_THE_GATE: &[&str] = &["VirtualHost", "QueueCore", "QueueState", "Effects"];

/// The places above the session layer that name a type behind the gate.
fn past_the_gate(files: &[File]) -> Vec<String> {
    let above = [
        "handles/",
        "protocol/",
        "patterns/",
        "management/",
        "testing/",
    ];
    let mut found = Vec::new();
    for (name, text) in files {
        let module = module_of(name);
        let is_test = name.ends_with("tests.rs") || name.contains("over_backend");
        if is_test || !above.iter().any(|folder| name.starts_with(folder)) {
            continue;
        }
        // The patterns know the handles alone.
        let is_pattern = name.starts_with("patterns/");
        for path in Source::read(&module, text).paths {
            let last = path.segments.last();
            let is_behind = last.is_some_and(|last| BEHIND_THE_GATE.contains(&last.as_str()));
            if is_behind || is_pattern && path.segments.iter().any(|name| name == "engine") {
                found.push(format!("src/{name}:{}: {}", path.line, path.written()));
            }
        }
    }
    found
}

#[test]
fn nothing_above_the_session_layer_reaches_past_the_gate() {
    assert_eq!(past_the_gate(&real_sources()), [""; 0]);
    let planted = (
        "handles/planted.rs".to_owned(),
        "use crate::engine::{queue::QueueCore, vhost::Published};".to_owned(),
    );
    assert_eq!(
        past_the_gate(&[planted]),
        ["src/handles/planted.rs:1: crate::engine::queue::QueueCore"]
    );
    let planted = (
        "patterns/planted.rs".to_owned(),
        "use crate::engine::vhost::Published;".to_owned(),
    );
    assert_eq!(
        past_the_gate(&[planted]),
        ["src/patterns/planted.rs:1: crate::engine::vhost::Published"]
    );
}

#[test]
fn a_planted_import_upwards_is_found_in_the_real_sources() {
    let before = check(&real_sources()).violations;
    for (file, import, of, fault) in [
        (
            "engine/queue/mod.rs",
            "use crate::session::channel::Channel;",
            "engine/queue",
            "session/channel (layer 4), which is above it",
        ),
        (
            "model/name.rs",
            "fn planted() -> crate::engine::vhost::VirtualHost { todo!() }",
            "model/name",
            "engine/vhost (layer 3), which is above it",
        ),
        (
            "engine/exchange/mod.rs",
            "use crate::{model::error::{self, Result}, engine::queue::{self, Queue as Planted}};",
            "engine/exchange",
            "engine/queue (layer 3), which is its sibling",
        ),
        (
            "session/unacked.rs",
            "use super::connection::Connection;",
            "session/unacked",
            "session/connection (layer 4), which is above it",
        ),
        (
            "engine/vhost/mod.rs",
            "use crate::handles::consumer::Consumer;",
            "engine/vhost",
            "handles/consumer (layer 6), which is above it",
        ),
    ] {
        let mut files = real_sources();
        let (_, text) = files
            .iter_mut()
            .find(|(name, _)| name == file)
            .unwrap_or_else(|| panic!("src/{file} is gone: plant elsewhere"));
        // The line goes in front of the first import, so it is outside of any test module.
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

/// The violations in a crate with these files.
fn violations(files: &[(&str, &str)]) -> Vec<String> {
    let files: Vec<File> = files
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect();
    check(&files).violations
}

#[test]
fn a_violation_says_where_and_what() {
    assert_eq!(
        violations(&[
            (
                "engine/queue/mod.rs",
                "\nuse crate::{\n    model::name::Name,\n    engine::exchange::{self, Kind},\n};"
            ),
            ("engine/exchange/mod.rs", "pub struct Kind;"),
            ("model/mod.rs", "pub mod name;"),
            (
                "model/name.rs",
                "fn f() { crate::engine::vhost::topology::g() }"
            ),
            (
                "engine/vhost/mod.rs",
                "mod topology; use crate::{engine::{queue, exchange}, model::name};"
            ),
            ("engine/vhost/topology.rs", ""),
            (
                "engine/mod.rs",
                "pub(crate) mod queue; pub use queue::Queue;"
            ),
            ("session/unacked.rs", "use super::connection;"),
            ("session/connection.rs", "use super::unacked::Unacked;"),
            ("session/channel/mod.rs", "use super::connection;"),
            (
                "session/mod.rs",
                "pub(crate) mod unacked; pub use unacked::Unacked;"
            ),
        ]),
        [
            "src/engine/queue/mod.rs:4: engine/queue (layer 3) imports `crate::engine::exchange` of engine/exchange (layer 3), which is its sibling, and these never import each other",
            "src/engine/queue/mod.rs:4: engine/queue (layer 3) imports `crate::engine::exchange::Kind` of engine/exchange (layer 3), which is its sibling, and these never import each other",
            "src/model/name.rs:1: model/name (layer 0) imports `crate::engine::vhost::topology::g` of engine/vhost (layer 3), which is above it",
            "src/session/unacked.rs:1: session/unacked (layer 4) imports `super::connection` of session/connection (layer 4), which is above it",
        ]
    );
}

#[test]
fn a_name_of_the_root_is_a_violation_even_if_it_stands_for_something_below() {
    let lib = "mod model; mod handles; pub use crate::{model::name::Name, handles::select::Select as Choosing}; struct Own;";
    let with = |import| {
        violations(&[
            ("lib.rs", lib),
            ("model/mod.rs", "pub mod name;"),
            ("model/name.rs", "pub struct Name;"),
            ("handles/mod.rs", "pub mod select;"),
            ("handles/select.rs", "use crate::model::name::Name;"),
            ("engine/mod.rs", "pub mod vhost;"),
            ("engine/vhost.rs", import),
        ])
    };
    assert_eq!(with("use crate::model::name::Name;"), [""; 0]);
    assert!(with("use crate::Name;")[0].contains("names `crate::Name` through the root"));
    assert!(with("use crate::*;")[0].contains("lib.rs, which is above every layer"));
    assert!(
        with("fn f() -> crate::Own { todo!() }")[0].contains("names `crate::Own` through the root")
    );
    assert!(
        with("use super::super::Choosing;")[0]
            .contains("of handles/select (layer 6), which is above it")
    );
}

#[test]
fn an_unknown_module_is_a_violation_of_its_own_and_of_the_file_that_imports_it() {
    let found = violations(&[
        ("helpers/mod.rs", ""),
        (
            "handles/broker.rs",
            "use crate::helpers::help; use super::gossip::talk;",
        ),
        ("handles/mod.rs", "mod gossip;"),
        ("handles/gossip.rs", ""),
    ]);
    assert_eq!(found.len(), 4, "{found:#?}");
    assert!(found[0].starts_with("src/helpers/mod.rs:1: the module `helpers` is not in the table"));
    let root =
        "src/handles/broker.rs:1: handles/broker names `crate::helpers::help` through the root";
    assert!(found[1].starts_with(root));
    assert!(found[2].contains("and the module `handles/gossip` is not in the table"));
    assert!(found[3].starts_with("src/handles/gossip.rs:1: the module `handles/gossip`"));
}

#[test]
fn a_file_of_501_lines_is_too_long_and_one_of_500_is_not() {
    assert_eq!(violations(&[("model/name.rs", &"\n".repeat(500))]), [""; 0]);
    assert_eq!(
        violations(&[("model/name/tests.rs", &"\n".repeat(501))]),
        ["src/model/name/tests.rs: 501 lines; at most 500 are allowed: split it by noun"]
    );
}

#[test]
fn every_module_stands_once_in_the_table() {
    for folder in FOLDERS {
        let mut all: Vec<&str> = folder
            .floors
            .iter()
            .flat_map(|floor| floor.modules)
            .copied()
            .collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count, "{}", folder.name);
    }
}

#[test]
fn files_of_test_modules_may_import_anything() {
    let name = "#[cfg(test)] mod tests;";
    let test = "use crate::engine::vhost::VirtualHost;";
    assert_eq!(
        violations(&[
            ("model/name/mod.rs", name),
            ("model/name/tests.rs", test),
            ("model/name/tests/more.rs", test)
        ]),
        [""; 0]
    );
    assert_eq!(
        violations(&[
            ("model/name/mod.rs", "mod tests;"),
            ("model/name/tests.rs", test),
            ("engine/vhost.rs", "")
        ])
        .len(),
        1
    );
}
