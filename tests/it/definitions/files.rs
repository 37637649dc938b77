//! The exports of RabbitMQ load.

use leveret::{Broker, Credentials, ImportOptions, Queue, RemarkKind};

use super::{exported, file, of_kind, remarks};

const WHOLE: [&str; 9] = [
    "small.json",
    "3.10.8/small-after-import.json",
    "3.10.8/medium-ctl.json",
    "3.10.8/medium-http-all.json",
    "3.10.8/medium-importable.json",
    "4.3.6/small-after-import.json",
    "4.3.6/medium-ctl.json",
    "4.3.6/medium-http-all.json",
    "4.3.6/medium-importable.json",
];

#[test]
fn every_export_of_rabbitmq_loads_and_our_export_of_it_is_stable() {
    for name in WHOLE {
        let broker = Broker::new();
        let report = broker
            .import_definitions(file(name))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(report.queues > 0, "{name}: {report:?}");
        let first = broker.export_definitions().unwrap();
        let again =
            Broker::from_definitions(&first).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(again.export_definitions().unwrap(), first, "{name}");
        // On top of itself it changes nothing.
        broker.import_definitions(file(name)).unwrap();
        assert_eq!(broker.export_definitions().unwrap(), first, "{name}");
    }
}

#[test]
fn the_definitions_of_one_virtual_host_load_into_another() {
    for name in [
        "3.10.8/medium-http-one-vhost.json",
        "4.3.6/medium-http-one-vhost.json",
    ] {
        let broker = Broker::new();
        broker.create_vhost("copy").unwrap();
        let options = ImportOptions::new().into_vhost("copy");
        broker
            .import_definitions_with(file(name), &options)
            .unwrap();
        let copy = exported(&broker);
        let queues = copy["queues"].as_array().unwrap();
        assert!(
            queues.iter().all(|queue| queue["vhost"] == "copy"),
            "{name}"
        );
        assert!(queues.len() > 50, "{name}");
    }
}

#[test]
fn what_rabbitmq_drops_or_spoils_is_remarked_item_by_item() {
    let report = Broker::new()
        .import_definitions(file("3.10.8/medium-ctl.json"))
        .unwrap();
    let found = remarks(&report.remarks);
    for expected in [
        // The bindings of the internal exchange, which is not there.
        "$.bindings[1] dropped",
        "$.bindings[6] dropped",
        // That of the queue with a generated name.
        "$.bindings[5] dropped",
        // A void argument, a decimal, a control character.
        "$.bindings[14].arguments.v doubtful",
        "$.bindings[29].destination doubtful",
        "$.bindings[29].routing_key doubtful",
        // The operator policy and the object among the global parameters.
        "$.parameters[0].value.definition restored",
        "$.global_parameters[1].value restored",
        "$.global_parameters[1].value[1][1][3] doubtful",
        // The settings of mirrored queues.
        "$.policies[2].definition['ha-mode'] kept",
    ] {
        assert!(
            found.iter().any(|it| it == expected),
            "{expected} in {found:#?}"
        );
    }
    let generated = of_kind(&report, RemarkKind::Dropped);
    assert!(generated.iter().any(|it| it.path.starts_with("$.queues[")));
    let doubtful = of_kind(&report, RemarkKind::Doubtful);
    let is_on = |argument: &str| {
        let end = format!("['{argument}']");
        doubtful.iter().any(|it| it.path.ends_with(&end))
    };
    assert!(is_on("x-a-decimal") && is_on("x-a-void") && is_on("x-a-bytes") && is_on("x-a-quote"));
    assert!(!is_on("x-a-int") && !is_on("x-a-string") && !is_on("x-a-bool"));
}

#[test]
fn the_parts_of_features_that_are_not_here_come_out_again() {
    let broker = Broker::from_definitions(file("4.3.6/medium-ctl.json")).unwrap();
    let kept = exported(&broker);
    let stream = |section: &str, key: &str| {
        let items = kept[section].as_array().unwrap();
        items.iter().find(|item| item[key] == "q-stream").cloned()
    };
    assert_eq!(
        stream("queues", "name").unwrap()["arguments"]["x-max-age"],
        "7D"
    );
    assert_eq!(
        stream("bindings", "destination").unwrap()["source"],
        "x-topic"
    );
    let ha = Broker::from_definitions(file("3.10.8/medium-ctl.json")).unwrap();
    let ha = exported(&ha);
    let policies = ha["policies"].as_array().unwrap();
    let ha = policies
        .iter()
        .find(|policy| policy["name"] == "ha")
        .unwrap();
    assert_eq!(ha["definition"]["ha-mode"], "exactly");
}

#[test]
fn the_users_of_an_export_log_in() {
    let broker = Broker::from_definitions(file("3.10.8/medium-importable.json")).unwrap();
    for user in ["u-sha256", "u-sha512", "u-md5"] {
        assert!(broker.authenticate_user(user, "secret").is_ok(), "{user}");
        assert!(broker.authenticate_user(user, "wrong").is_err(), "{user}");
    }
    assert!(broker.authenticate_user("u-nopass", "").is_err());
    let user = Credentials::new("u-sha256", "secret");
    let shop = broker.connect("shop", user).unwrap();
    let error = shop.declare(&Queue::new("forbidden")).unwrap_err();
    assert_eq!(error.reply_code(), Some(403));
}
