//! Runs every example as a new user does, and compares its output with its header.
//!
//! Cargo puts the examples next to the folder of this test's executable. A full `cargo test` builds
//! them. If only this test runs, it builds them itself.

use std::{
    collections::BTreeSet,
    env, fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Once,
};

/// The target folder of this test.
fn target() -> PathBuf {
    let mut target: PathBuf = env::current_exe().unwrap();
    // Steps up from `<target>/<profile>/deps/<this program>`.
    for _ in 0..3 {
        target.pop();
    }
    target
}

/// Cargo without what cargo tells this test about its package. Otherwise a build script that looks
/// at it would run again, here and in the next call of cargo, and much would be built again.
fn cargo() -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&name);
        }
    }
    cargo
}

/// Builds what this manifest tells, in the target folder of this test, where much of it is built
/// already. Prints nothing if all is.
fn build(manifest: &str, what: &[&str]) {
    let mut cargo = cargo();
    cargo.args(["build", "--quiet", "--manifest-path"]);
    cargo.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(manifest));
    cargo.arg("--target-dir").arg(target()).args(what);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    assert!(cargo.status().unwrap().success());
}

/// A program that is built in the target folder of this test.
fn built(path: &str) -> Command {
    let mut program: PathBuf = env::current_exe().unwrap();
    program.pop(); // leaves the path of `deps`
    program.pop();
    program.push(format!("{path}{}", env::consts::EXE_SUFFIX));
    assert!(
        program.exists(),
        "`cargo test --test it` builds {program:?}"
    );
    Command::new(program)
}

/// The program of an example.
fn program(example: &str) -> Command {
    static BUILT: Once = Once::new();
    // The features of this test, or the library is built once more.
    let features: &[&str] = match cfg!(feature = "testing") {
        true => &["--all-features"],
        false => &[],
    };
    BUILT.call_once(|| build("Cargo.toml", &[&["--examples"], features].concat()));
    built(&format!("examples/{example}"))
}

/// The output of an example with these arguments. The example must end by itself, and its own
/// checks must pass.
fn output(example: &str, arguments: &[&str]) -> String {
    output_of(example, program(example).args(arguments))
}

fn output_of(example: &str, program: &mut Command) -> String {
    let run = program.output().unwrap();
    assert!(
        run.status.success(),
        "{example}: {}\n{}",
        run.status,
        String::from_utf8_lossy(&run.stderr)
    );
    assert_eq!(
        String::from_utf8_lossy(&run.stderr),
        "",
        "{example} complains"
    );
    String::from_utf8(run.stdout).unwrap()
}

/// The output of an example that is a package of its own, in the folder of examples.
fn package_output(package: &str) -> String {
    package_output_with(package, &[])
}

/// As [`package_output`], with variables of the environment.
fn package_output_with(package: &str, variables: &[(&str, &str)]) -> String {
    static BUILT: Once = Once::new();
    BUILT.call_once(|| build("examples/Cargo.toml", &["--workspace"]));
    output_of(package, built(package).envs(variables.iter().copied()))
}

/// The folder of the examples.
fn examples() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/examples"))
}

/// The output that the header of an example promises.
fn promised(source: &str) -> String {
    let (_, rest) = source.split_once("//! ```text\n").unwrap();
    let (block, _) = rest.split_once("//! ```\n").unwrap();
    let lines = block
        .lines()
        .map(|line| line.strip_prefix("//! ").unwrap_or(""));
    lines.map(|line| line.to_owned() + "\n").collect()
}

macro_rules! prints_what_it_promises {
    ($($test:ident: $example:literal),* $(,)?) => {$(
        #[test]
        fn $test() {
            let source = include_str!(concat!("../../examples/", $example, ".rs"));
            assert_eq!(output($example, &[]), promised(source));
        }
    )*};
}

prints_what_it_promises! {
    work_queue_shares_its_tasks_fairly_and_loses_none: "work_queue",
    publish_subscribe_reaches_those_who_listen: "publish_subscribe",
    routing_gives_each_listener_its_severities: "routing",
    topics_match_words: "topics",
    definitions_are_imported_and_exported: "definitions",
    users_do_what_their_permissions_say: "users_and_permissions",
    rpc_brings_every_reply_to_its_caller: "rpc",
    rpc_endpoints_serve_calls_casts_and_scatters: "rpc_endpoints",
    async_workers_finish_their_jobs_in_a_shutdown: "async_worker",
    publisher_confirms_tell_the_outcome_of_each_publish: "publisher_confirms",
    payments_are_tried_again_put_aside_and_moved_back: "retry_and_dead_letter",
    notifications_are_filtered_shared_and_requeued: "notifications",
    a_failed_payment_releases_the_stock: "order_processing",
    a_burst_waits_in_a_bounded_queue: "peak_shaving",
    logs_go_to_a_worker_for_each_level_and_to_an_archive: "log_pipeline",
    two_stages_finish_their_photos_in_a_shutdown: "graceful_shutdown",
    the_keys_of_a_partition_stay_there: "partitions",
    a_group_shares_streams_and_reads_each_in_order: "stream_group",
    every_kind_of_queue_has_its_part: "queue_kinds",
    a_table_of_queues_refreshes: "top",
}

/// These build much, so the gate asks for them.
macro_rules! package_prints_what_it_promises {
    ($($test:ident: $package:literal),* $(,)?) => {$(
        #[test]
        #[ignore = "it builds a runtime"]
        fn $test() {
            let source = examples().join($package).join("src/main.rs");
            let source = fs::read_to_string(source).unwrap();
            assert_eq!(package_output($package), promised(&source));
        }
    )*};
}

package_prints_what_it_promises! {
    workers_on_tokio_finish_their_messages_in_a_shutdown: "tokio_workers",
    jobs_of_an_http_service_wait_in_a_bounded_queue: "axum_jobs",
    a_web_server_serves_the_dashboard_and_the_metrics: "dashboard",
}

#[test]
fn hello_world_receives_what_it_sent_and_finds_the_queue_empty() {
    let output = output("hello_world", &[]);
    let lines: Vec<&str> = output.lines().collect();
    let [sent, received, left, empty] = lines[..] else {
        panic!("{output}");
    };
    // The time differs in each run. The rest is as promised.
    let text = sent.strip_prefix("Sent: ").unwrap();
    assert_eq!(received.strip_prefix("Received: "), Some(text));
    let time = text.strip_prefix("helloworld, sent at ").unwrap();
    assert!(time.parse::<f64>().unwrap() > 1_700_000_000.0, "{time}");
    let promised = promised(include_str!("../../examples/hello_world.rs"));
    assert!(promised.ends_with(&format!("\n{left}\n{empty}\n")));
}

#[test]
fn routing_listens_to_the_severities_it_is_told() {
    let output = output("routing", &["WARNING", "INFO"]);
    assert!(output.starts_with("A listens to WARNING, INFO, and got\n  WARNING: message 2\n"));
    assert_eq!(output.matches("\n  WARNING: ").count(), 6);
    assert_eq!(output.matches("\n  INFO: ").count(), 6);
    assert!(!output.contains("  ERROR"));
}

#[test]
fn topics_listen_to_the_binding_keys_they_are_told() {
    let output = output("topics", &["stock.#", "*.vmw", "nothing"]);
    let caught = "stock.# caught stock.usd.nyse\n*.vmw caught nyse.vmw\nnothing caught \n";
    assert!(output.starts_with(caught), "{output}");
}

#[cfg(feature = "durable")]
#[test]
fn a_durable_work_queue_that_is_killed_goes_on_and_finishes() {
    let name = format!("leveret-example-{}", std::process::id());
    let folder = env::temp_dir().join(name);
    let folder_argument = folder.to_str().unwrap();
    let mut first = program("durable_work_queue");
    let mut first = first
        .arg(folder_argument)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(first.stdout.take().unwrap()).lines();
    let lines: Vec<String> = lines.take(8).map(Result::unwrap).collect();
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(lines[0], "30 jobs are on disk");
    let second = output("durable_work_queue", &[folder_argument]);
    assert!(second.contains(" jobs are left\n"), "{second}");
    assert!(second.ends_with("\nnothing is left to do\n"), "{second}");
    let third = output("durable_work_queue", &[folder_argument]);
    assert_eq!(third, "0 jobs are left\nnothing is left to do\n");
    fs::remove_dir_all(folder).unwrap();
    let done = lines.iter().map(String::as_str).chain(second.lines());
    let done = done.filter_map(|line| line.strip_prefix("job ")?.strip_suffix(" is done"));
    let done: BTreeSet<u32> = done.map(|job| job.parse().unwrap()).collect();
    assert_eq!(done, (1..=30).collect());
}

/// The text without the numbers of ports, which differ in each run.
fn without_ports(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let (before, port) = line.rsplit_once("127.0.0.1:").unwrap();
        let after = port.trim_start_matches(|digit: char| digit.is_ascii_digit());
        format!("{before}{after}\n")
    });
    lines.collect()
}

#[cfg(feature = "amqp")]
#[test]
fn an_amqp_listener_serves_a_client_that_comes_and_goes() {
    let output = output("amqp_listener", &[]);
    let promised = promised(include_str!("../../examples/amqp_listener/main.rs"));
    assert_eq!(without_ports(&output), without_ports(&promised));
}

#[test]
#[ignore = "it builds a runtime"]
fn an_amqp_listener_on_tokio_serves_a_client_that_comes_and_goes() {
    let output = package_output("amqp_listener_tokio");
    let source = include_str!("../../examples/amqp_listener_tokio/src/main.rs");
    assert_eq!(without_ports(&output), without_ports(&promised(source)));
}

/// A row of the table of examples: the path, and the lines that the output begins with.
fn row(line: &str) -> Option<(&str, Vec<String>)> {
    let cells: Vec<&str> = line.split(" | ").collect();
    let [_, link, output] = cells[..] else {
        return None;
    };
    let (_, path) = link.split_once("](")?;
    let lines = output.strip_suffix(" |")?.split("<br>");
    let lines = lines.map(|line| line.trim_matches('`').replace("\\|", "|"));
    Some((path.strip_suffix(')')?, lines.collect()))
}

#[test]
fn the_table_lists_every_example_with_the_beginning_of_its_output() {
    let folder = examples();
    let page = fs::read_to_string(folder.join("README.md")).unwrap();
    let mut listed = BTreeSet::new();
    for (path, lines) in page.lines().filter_map(row) {
        let source = fs::read_to_string(folder.join(path)).unwrap();
        let output = promised(&source);
        let beginning: Vec<&str> = output.lines().take(lines.len()).collect();
        assert_eq!(beginning, lines, "{path}");
        assert!(source.lines().count() <= 120, "{path} is long");
        listed.insert(path.to_owned());
    }
    let names = fs::read_dir(folder).unwrap().map(|entry| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        // An example is a file, a folder or a package.
        let package = format!("{name}/src/main.rs");
        let paths = [format!("{name}/main.rs"), package, name];
        let is_example = |path: &String| path.ends_with(".rs") && folder.join(path).is_file();
        paths.into_iter().find(is_example)
    });
    let examples: BTreeSet<String> = names.flatten().collect();
    assert_eq!(listed, examples);
}

#[cfg(unix)]
#[test]
fn ctrl_c_lets_two_stages_finish_what_they_have() {
    let mut example = program("graceful_shutdown");
    let mut running = example
        .arg("1000000000")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(running.stdout.take().unwrap()).lines();
    let mut line = || lines.next().unwrap().unwrap();
    assert_eq!(line(), "publishing 1000000000 photos, until Ctrl-C");
    let interrupt = ["-INT", &running.id().to_string()];
    assert!(
        Command::new("kill")
            .args(interrupt)
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(line(), "stopping, since there was Ctrl-C");
    let (scaled, stored) = (line(), line());
    assert_eq!(scaled.replace("scale", "store"), stored);
    assert_eq!(line(), "nothing is left");
    assert!(running.wait().unwrap().success());
}

/// The examples that run on a RabbitMQ as well, with what each leaves there.
#[cfg(feature = "rabbitmq")]
const ON_RABBITMQ: &[(&str, &[&str], &[&str])] = &[
    ("hello_world", &["hello"], &[]),
    ("work_queue", &["tasks"], &[]),
    ("publish_subscribe", &[], &["logs"]),
    ("routing", &[], &["direct_logs"]),
    ("topics", &[], &["topics"]),
    ("rpc", &["rpc_queue"], &[]),
    ("rpc_endpoints", &[], &["rpc", "rpc.test.fanout"]),
    ("notifications", &[], &["notifications"]),
    (
        "retry_and_dead_letter",
        &["dead", "payments", "payments.retry.1", "payments.retry.2"],
        &[],
    ),
    (
        "order_processing",
        &[
            "orders",
            "payments",
            "payments.retry.1",
            "payments.retry.2",
            "failed payments",
            "mails",
        ],
        &["events", "rpc", "rpc.stock.fanout"],
    ),
    (
        "log_pipeline",
        &["alerts", "warnings", "archive", "history"],
        &["logs"],
    ),
];

/// Runs examples on the RabbitMQ, one after the other, since they share names. It says so if no
/// RabbitMQ answers.
#[cfg(feature = "rabbitmq")]
fn on_rabbitmq(
    examples: &[(&str, &[&str], &[&str])],
    run: impl Fn(&str, &str) -> (String, String),
) {
    use leveret::{Broker, Exchange, Queue};
    let url = env::var("LEVERET_RABBITMQ");
    let url = url.unwrap_or_else(|_| "amqp://guest:guest@127.0.0.1:5672".to_owned());
    let broker = match Broker::open(&url) {
        Ok(broker) => broker,
        Err(error) => return println!("SKIPPED: no RabbitMQ: {error}"),
    };
    for (example, queues, exchanges) in examples {
        let clean = || {
            for queue in *queues {
                broker.delete(&Queue::existing(*queue)).unwrap();
            }
            for exchange in *exchanges {
                broker.delete(&Exchange::existing(*exchange)).unwrap();
            }
        };
        clean();
        let (output, promised) = run(example, &url);
        clean();
        // The time differs in each run.
        let without_time = |text: &str| -> Vec<String> {
            let lines = text.lines();
            lines
                .map(|line| line.split(", sent at").next().unwrap_or(line).to_owned())
                .collect()
        };
        assert_eq!(without_time(&output), without_time(&promised), "{example}");
    }
}

#[cfg(feature = "rabbitmq")]
#[test]
fn examples_print_the_same_on_a_rabbitmq() {
    on_rabbitmq(ON_RABBITMQ, |example, url| {
        let mut program = program(example);
        let output = output_of(example, program.env("LEVERET_URL", url));
        let source = examples().join(format!("{example}.rs"));
        (output, promised(&fs::read_to_string(source).unwrap()))
    });
}

#[cfg(feature = "rabbitmq")]
#[test]
#[ignore = "it builds a runtime"]
fn workers_on_tokio_print_the_same_on_a_rabbitmq() {
    let queues: &[&str] = &["fetch", "count"];
    on_rabbitmq(&[("tokio_workers", queues, &[])], |package, url| {
        let source = examples().join(package).join("src/main.rs");
        let promised = promised(&fs::read_to_string(source).unwrap());
        (
            package_output_with(package, &[("LEVERET_URL", url)]),
            promised,
        )
    });
}
