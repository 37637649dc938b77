//! Definitions in a broker that keeps its data in a folder.

use std::fs;

use leveret::Broker;

use super::file;

struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir();
        Folder(folder.join(format!("leveret-definitions-{name}-{}", std::process::id())))
    }

    fn broker(&self) -> Broker {
        Broker::builder().data_dir(&self.0).build().unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Without the queues that are not durable, and their bindings.
fn durable(text: &str) -> String {
    let lines = text.lines().filter(|line| {
        let is_transient = line.contains("\"durable\":false") && !line.contains("\"type\"");
        !is_transient && !line.contains("\"destination\":\"q-transient")
    });
    let kept: Vec<&str> = lines.map(|line| line.trim_end_matches(',')).collect();
    kept.join("\n")
}

#[test]
fn everything_imported_survives_a_restart() {
    for name in ["3.10.8/medium-ctl.json", "4.3.6/medium-http-all.json"] {
        let folder = Folder::new("restart");
        let before = {
            let broker = folder.broker();
            broker.import_definitions(file(name)).unwrap();
            broker.export_definitions().unwrap()
        };
        let after = folder.broker().export_definitions().unwrap();
        assert_eq!(durable(&after), durable(&before), "{name}");
        assert!(
            after.contains("my-param") && after.contains("q-stream"),
            "{name}"
        );
    }
}

#[test]
fn what_is_cleared_or_deleted_does_not_come_back() {
    let folder = Folder::new("cleared");
    {
        let broker = folder.broker();
        broker
            .import_definitions(file("4.3.6/medium-ctl.json"))
            .unwrap();
        assert!(broker.clear_kept_definitions("shop").unwrap() > 0);
        assert!(broker.clear_global_parameter("my-param").unwrap());
        broker.delete_vhost("qq").unwrap();
    }
    let after = folder.broker().export_definitions().unwrap();
    for gone in ["\"name\":\"q-stream\"", "my-param", "\"qq\""] {
        assert!(!after.contains(gone), "{gone}");
    }
    assert!(after.contains("a-string"));
}

#[test]
fn a_refused_import_writes_nothing() {
    let folder = Folder::new("refused");
    let before = {
        let broker = folder.broker();
        let before = broker.export_definitions().unwrap();
        let wrong = file("4.3.6/medium-ctl.json")
            .replace("\"x-max-priority\": 5", "\"x-max-priority\": -5");
        broker.import_definitions(wrong).unwrap_err();
        before
    };
    assert_eq!(folder.broker().export_definitions().unwrap(), before);
}
