//! Our exports load into a real RabbitMQ, and those of it load here.
//!
//! `LEVERET_RABBITMQCTL` is the command of `rabbitmqctl` with its arguments, such as
//! `rabbitmqctl -n rabbit@localhost`. Without it the test does nothing. `LEVERET_RABBITMQ_ROOT` is
//! the root folder of that command, if it runs in another one. The RabbitMQ is a 3.10 or a 4.3. All
//! names begin with a prefix, and are deleted at the end.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, Stdio},
};

use leveret::{
    Binding, Broker, Exchange, ExportOptions, Permissions, Policy, Queue, RabbitMqVersion,
    TopicPermissions, User, UserLimits, VhostLimits, VhostMetadata,
};
use serde_json::{Value, json};

use super::json;

/// The RabbitMQ.
struct Control {
    command: Vec<String>,
    root: PathBuf,
    /// It is deleted at the end, and so is the user.
    vhost: String,
    user: String,
}

impl Control {
    fn new() -> Option<Control> {
        let command = env::var("LEVERET_RABBITMQCTL").ok()?;
        let name = format!("leveret-definitions-{}", std::process::id());
        Some(Control {
            root: env::var_os("LEVERET_RABBITMQ_ROOT").map_or("/".into(), PathBuf::from),
            command: command.split_whitespace().map(str::to_owned).collect(),
            vhost: name.clone(),
            user: name,
        })
    }

    fn run(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).arg("-q").args(arguments);
        let output = command.stdin(Stdio::null()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match output.status.success() {
            true => Ok(text(&output.stdout)),
            false => Err(text(&output.stdout) + &text(&output.stderr)),
        }
    }

    /// A file for both: its path here, and its path there.
    fn file(&self) -> (PathBuf, String) {
        let name = format!("tmp/{}.json", self.vhost);
        (self.root.join(&name), format!("/{name}"))
    }

    fn import(&self, definitions: &Value) {
        let (here, there) = self.file();
        fs::write(&here, definitions.to_string()).unwrap();
        fs::set_permissions(&here, PermissionsExt::from_mode(0o644)).unwrap();
        let imported = self.run(&["import_definitions", &there]);
        fs::remove_file(here).unwrap();
        imported.unwrap();
    }

    fn version(&self) -> RabbitMqVersion {
        let version = self.run(&["version"]).unwrap();
        version.trim().parse().unwrap()
    }

    fn export(&self) -> Value {
        let (here, there) = self.file();
        self.run(&["export_definitions", &there]).unwrap();
        let exported = fs::read_to_string(&here).unwrap();
        fs::remove_file(here).unwrap();
        json(&exported)
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = self.run(&["delete_vhost", &self.vhost]);
        let _ = self.run(&["delete_user", &self.user]);
    }
}

/// A broker with a thing of each kind.
fn rich(vhost: &str, user: &str) -> Broker {
    let broker = Broker::new();
    broker.create_vhost(vhost).unwrap();
    let metadata = VhostMetadata::new().description("the shop").tag("prod");
    broker.set_vhost_metadata(vhost, metadata).unwrap();
    broker
        .set_vhost_limits(vhost, VhostLimits::new().max_queues(500))
        .unwrap();
    let limits = UserLimits::new().max_connections(3);
    let user_with_all = User::new(user)
        .password("secret")
        .tag("monitoring")
        .limits(limits);
    broker.add_user(user_with_all).unwrap();
    broker
        .set_permissions(vhost, user, &Permissions::new("^a", "", ".*"))
        .unwrap();
    let connection = broker.vhost(vhost).unwrap();
    let topic = Exchange::topic("x-topic").durable().alternate("dead");
    let inner = Exchange::headers("inner")
        .durable()
        .internal()
        .bind(&topic, "all.#");
    connection.declare(&Exchange::fanout("dead")).unwrap();
    connection.declare(&inner).unwrap();
    let by_header = Binding::new("inner", "")
        .argument("x-match", "any")
        .argument("n", 1);
    let queues = [
        Queue::new("classic")
            .durable()
            .max_length(5)
            .bind(&topic, "k.*"),
        Queue::new("ünï-✓-😀 'q'")
            .durable()
            .argument("x-a", 1.5)
            .argument("x-b", 1_i64 << 40),
        Queue::quorum("quorum")
            .bind(&topic, "q.#")
            .binding(by_header),
        Queue::new("priority")
            .durable()
            .max_priority(5)
            .dead_letter_exchange("dead"),
    ];
    for queue in queues {
        connection.declare(&queue).unwrap();
    }
    let topics = TopicPermissions::new("x-topic", r"^{username}\.", ".*");
    broker.set_topic_permissions(vhost, user, &topics).unwrap();
    let policy = Policy::new("short", "^none")
        .setting("max-length", 5)
        .priority(-3);
    connection.set_policy(policy).unwrap();
    let policy = Policy::new("op", "^none").setting("message-ttl", 5_000);
    connection.set_operator_policy(policy).unwrap();
    // Things that no RabbitMQ takes.
    connection
        .declare(&Exchange::topic("later").delayed())
        .unwrap();
    connection
        .declare(&Queue::new("limited").classic_delivery_limit(3))
        .unwrap();
    broker
}

/// The items of one virtual host and one user, by section and sorted, without the fields that a
/// version may leave out.
fn of(all: &Value, vhost: &str, user: &str) -> Value {
    let mut kept = serde_json::Map::new();
    for section in [
        "users",
        "permissions",
        "topic_permissions",
        "parameters",
        "policies",
        "queues",
        "exchanges",
        "bindings",
    ] {
        let items = all[section].as_array().unwrap().iter().filter(|item| {
            let is_own = item["vhost"] == vhost || section == "users" && item["name"] == user;
            let is_guest = item["user"] == "guest";
            is_own && !is_guest && !(section == "exchanges" && item["name"] == "inner")
        });
        let mut items: Vec<Value> = items.cloned().collect();
        for item in &mut items {
            let fields = item.as_object_mut().unwrap();
            fields.remove("internal");
            fields
                .remove("type")
                .filter(|_| section == "exchanges")
                .into_iter()
                .for_each(|kind| {
                    fields.insert("type".to_owned(), kind);
                });
            // rabbitmqctl of 3.10 writes a list of pairs.
            if let Some(Value::Array(pairs)) =
                fields.get("value").map(|it| it["definition"].clone())
            {
                let pairs = pairs
                    .iter()
                    .map(|pair| (pair[0].as_str().unwrap().to_owned(), pair[1].clone()));
                fields["value"]["definition"] = Value::Object(pairs.collect());
            }
        }
        items.sort_by_key(Value::to_string);
        kept.insert(section.to_owned(), items.into());
    }
    Value::Object(kept)
}

#[test]
fn our_export_loads_into_a_real_rabbitmq_and_comes_back() {
    let Some(control) = Control::new() else {
        println!("not run, LEVERET_RABBITMQCTL does not say where a RabbitMQ is");
        return;
    };
    let (vhost, user) = (control.vhost.as_str(), control.user.as_str());
    let broker = rich(vhost, user);
    let options = ExportOptions::new()
        .for_rabbitmq(control.version())
        .leave_out();
    let exported = broker.export_definitions_with(&options).unwrap();
    assert_eq!(exported.left_out.len(), 2, "{:?}", exported.left_out);
    // The RabbitMQ keeps the password of its own guest, and its own `/`.
    let mut file = json(&exported.json);
    for section in ["users", "vhosts", "permissions"] {
        let items = file[section].as_array_mut().unwrap();
        items.retain(|item| {
            item["name"] != "guest" && item["name"] != "/" && item["user"] != "guest"
        });
    }
    control.import(&file);
    let theirs = control.export();
    assert_eq!(
        of(&theirs, vhost, user),
        of(&json(&exported.json), vhost, user)
    );
    let vhosts = theirs["vhosts"].as_array().unwrap().iter();
    let mut metadata = vhosts
        .filter(|it| it["name"] == vhost)
        .map(|it| &it["metadata"]);
    assert_eq!(metadata.next().unwrap()["description"], "the shop");

    // Back into a broker of ours: the same, but for the internal exchange.
    let mut own = json!({"rabbit_version": theirs["rabbit_version"], "vhosts": [{"name": vhost}]});
    let of_theirs = of(&theirs, vhost, user);
    for (section, items) in of_theirs.as_object().unwrap() {
        own[section] = items.clone();
    }
    let copy = Broker::from_definitions(own.to_string()).unwrap();
    assert!(copy.authenticate_user(user, "secret").is_ok());
    let again = copy.export_definitions_with(&options).unwrap();
    let without_inner = |all: &Value| {
        let mut all = of(all, vhost, user);
        let bindings = all["bindings"].as_array_mut().unwrap();
        bindings.retain(|it| it["source"] != "inner" && it["destination"] != "inner");
        all
    };
    assert_eq!(without_inner(&json(&again.json)), without_inner(&theirs));
}
