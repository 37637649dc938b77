//! Reads scenario files, and the list of pending scenarios. This module knows the outer form of the
//! format, not its steps.

use std::{collections::BTreeSet, fs, io, path::Path};

use serde_json::{Map, Value};

use crate::{Outcome, distribution::Distribution, fields::Fields};

/// One scenario of a file.
pub struct Scenario {
    /// The area, which is the name of its file.
    pub area: String,
    /// The name, unique among all areas.
    pub id: String,
    /// The users that it begins with.
    pub users: Map<String, Value>,
    /// The steps or the routing table.
    pub kind: Kind,
    /// Whether it holds too if every restart is a kill.
    pub also_killed: bool,
}

impl Scenario {
    /// Whether the broker is started again.
    pub fn restarts(&self) -> bool {
        let is_restart = |step: &Value| step.get("op").is_some_and(|op| op == "restart");
        matches!(&self.kind, Kind::Steps(steps) if steps.iter().any(is_restart))
    }
}

/// The kinds of scenario.
pub enum Kind {
    /// Operations that run one after the other.
    Steps(Vec<Value>),
    /// The bindings of an exchange, and the queues that a publish reaches.
    Routing(RoutingTable),
    /// The queues that many messages reach.
    Distribution(Distribution),
}

/// A routing table of one exchange with the name `x`.
pub struct RoutingTable {
    /// The type of the exchange.
    pub exchange_type: String,
    /// The bindings, as JSON.
    pub bindings: Vec<Value>,
    /// The cases, as JSON.
    pub cases: Vec<Value>,
}

/// Reads every `*.json` file of a folder, in the order of the names.
pub fn load(folder: &Path) -> Outcome<Vec<Scenario>> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut paths: Vec<_> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .collect();
    paths.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "json")
    });
    paths.sort();

    let mut scenarios = Vec::new();
    let mut ids = BTreeSet::new();
    for path in paths {
        let file = read(&path).map_err(|problem| format!("{}: {problem}", path.display()))?;
        for scenario in &file {
            if !ids.insert(scenario.id.clone()) {
                return Err(format!(
                    "{}: there is another scenario '{}'",
                    path.display(),
                    scenario.id
                ));
            }
        }
        scenarios.extend(file);
    }
    if scenarios.is_empty() {
        return Err(format!("{}: no scenarios", folder.display()));
    }
    Ok(scenarios)
}

fn read(path: &Path) -> Outcome<Vec<Scenario>> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let value: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let mut fields = Fields::new(&value)?;
    let area = fields.text("area")?;
    fields.text("recorded_on")?;
    let scenarios = fields.list("scenarios")?;
    fields.finish()?;
    scenarios
        .iter()
        .map(|scenario| parse(&area, scenario))
        .collect()
}

fn parse(area: &str, value: &Value) -> Outcome<Scenario> {
    let mut fields = Fields::new(value)?;
    let id = fields.text("id")?;
    fields.text("title")?;
    // What an older version did, and which version this one is.
    for about in ["note", "on", "was", "only"] {
        fields.optional_text(about)?;
    }
    // Either `same`, or the difference that a kill makes.
    let also_killed = fields.optional_text("kill")?.as_deref() == Some("same");
    let users = fields.table("users")?;
    let kind = if value.get("steps").is_some() {
        Kind::Steps(fields.list("steps")?)
    } else if value.get("keys").is_some() {
        Kind::Distribution(Distribution::take(&mut fields)?)
    } else {
        Kind::Routing(RoutingTable {
            exchange_type: fields.text("type")?,
            bindings: fields.list("bindings")?,
            cases: fields.list("cases")?,
        })
    };
    fields
        .finish()
        .map_err(|problem| format!("{id}: {problem}"))?;
    Ok(Scenario {
        area: area.to_owned(),
        id,
        users,
        kind,
        also_killed,
    })
}

/// Reads the ids of pending scenarios, one on each line. `#` begins a comment.
pub fn pending(path: &Path) -> Outcome<BTreeSet<String>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        // Without the file no scenario is pending.
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    let ids = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim());
    Ok(ids.filter(|id| !id.is_empty()).map(str::to_owned).collect())
}
