//! The topology as Mermaid, for Graphviz and as SVG.

use leveret::{Broker, Exchange, Queue};
use proptest::prelude::*;

fn shop() -> Broker {
    let broker = Broker::new();
    let events = Exchange::topic("events").alternate("lost");
    let lost = Exchange::fanout("lost");
    broker.declare(&Queue::new("lost").bind(&lost, "")).unwrap();
    let mails = Queue::new("mails")
        .bind(&events, "order.paid")
        .bind(&events, "order.sent");
    let mails = mails
        .dead_letter_exchange("")
        .dead_letter_routing_key("failed");
    broker.declare(&Queue::new("failed")).unwrap();
    broker.declare(&mails).unwrap();
    let audit = Exchange::fanout("audit").bind(&events, "#");
    broker
        .declare(&Queue::stream("archive").bind(&audit, ""))
        .unwrap();
    broker
}

#[test]
fn a_picture_has_bindings_alternate_exchanges_dead_letters_and_consumers() {
    let broker = shop();
    let events = broker
        .producer::<u32>(&Exchange::existing("events"))
        .unwrap();
    events.publish_to("order.paid", 7).unwrap();
    let consumer = broker.consumer::<u32>("mails").unwrap();
    consumer.recv().unwrap().reject().unwrap();
    let chart = broker.snapshot().unwrap().to_mermaid();
    let place = |name: &str| {
        let line = chart
            .lines()
            .find(|line| line.contains(&format!("\"{name}<br/>")));
        let line = line.unwrap_or_else(|| panic!("{name} in {chart}"));
        line.trim()
            .split(['{', '[', '('])
            .next()
            .unwrap()
            .to_owned()
    };
    for (from, arrow, to) in [
        ("events", "-- \"order.paid, order.sent\" -->", "mails"),
        ("events", "-- \"#35;\" -->", "audit"),
        ("events", "-. \"unroutable\" .->", "lost"),
        ("audit", "-->", "archive"),
        ("mails", "-. \"1 dead letters\" .->", "failed"),
        ("mails", "-->", "1 consumer"),
    ] {
        let edge = format!("{} {arrow} {}\n", place(from), place(to));
        assert!(chart.contains(&edge), "{edge} in {chart}");
    }
    assert!(chart.contains("events<br/>topic · 1 in · 2 out"), "{chart}");
    assert!(!chart.contains("amq."), "{chart}");
    let graph = broker.snapshot().unwrap().to_dot();
    assert_eq!(graph.matches(" -> ").count(), chart.matches("->").count());
}

#[test]
fn several_virtual_hosts_are_apart() {
    let broker = shop();
    broker.create_vhost("second").unwrap();
    broker
        .vhost("second")
        .unwrap()
        .declare(&Queue::new("q"))
        .unwrap();
    let snapshot = broker.snapshot().unwrap();
    assert!(
        snapshot
            .to_mermaid()
            .contains("subgraph v1[\"virtual host second\"]")
    );
    assert!(snapshot.to_dot().contains("subgraph cluster_1 {"));
    assert!(snapshot.to_svg().contains(">virtual host second</text>"));
    let alone = snapshot.vhost("second").unwrap().to_svg();
    assert!(!alone.contains("virtual host"));
}

#[test]
fn exchanges_that_are_bound_in_a_circle_have_a_picture() {
    let broker = Broker::new();
    let exchanges: Vec<Exchange> = (0..30)
        .map(|it| Exchange::fanout(format!("x{it}")))
        .collect();
    for exchange in &exchanges {
        broker.declare(exchange).unwrap();
    }
    for (place, exchange) in exchanges.iter().enumerate() {
        let next = &exchanges[(place + 1) % exchanges.len()];
        broker.declare(&next.clone().bind(exchange, "")).unwrap();
    }
    let picture = broker.snapshot().unwrap().to_svg();
    assert_eq!(picture.matches("class=\"lv-exchange\"").count(), 30);
    assert_eq!(picture.matches("<path class=\"lv-way\"").count(), 30);
}

/// Whether each tag of the XML is closed, and text and attributes are escaped.
fn is_well_formed(xml: &str) -> bool {
    let mut open = Vec::new();
    let mut rest = xml;
    while let Some((text, tag)) = rest.split_once('<') {
        let Some((tag, after)) = tag.split_once('>') else {
            return false;
        };
        rest = after;
        if text.contains('&') && !text.split('&').skip(1).all(|it| it.contains(';')) {
            return false;
        }
        let name = tag
            .trim_start_matches('/')
            .split([' ', '/'])
            .next()
            .unwrap_or_default();
        match (tag.starts_with('/'), tag.ends_with('/')) {
            (true, _) if open.pop() != Some(name) => return false,
            (true, _) | (_, true) => {}
            (false, false) => open.push(name),
        }
        if tag.matches('"').count() % 2 != 0 {
            return false;
        }
    }
    open.is_empty()
}

/// Visible text, and what XML and the other languages might take for their own.
const NAMES: &str = "\\PC{0,40}|[<>&\"'\\\\#\\x00-\\x1f]{1,9}";

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_name_leaves_its_place(names in proptest::collection::vec(NAMES, 1..5)) {
        let broker = Broker::new();
        let exchange = Exchange::topic("x");
        for (number, name) in names.iter().enumerate() {
            let name = format!("{number}{name}");
            let queue = Queue::new(name.as_str()).bind(&exchange, name.as_str());
            // Names are limited in bytes.
            if name.len() < 250 {
                prop_assert!(broker.declare(&queue).is_ok());
            }
        }
        let snapshot = broker.snapshot().unwrap();
        let picture = snapshot.to_svg();
        prop_assert!(is_well_formed(&picture), "{}", picture);
        let queues = snapshot.vhosts[0].queues.len();
        prop_assert_eq!(picture.matches("class=\"lv-queue\"").count(), queues);
        for chart in [snapshot.to_mermaid(), snapshot.to_dot()] {
            for line in chart.lines() {
                let plain = line.replace("\\\\", "").replace("\\\"", "");
                prop_assert_eq!(plain.matches('"').count() % 2, 0, "{}", line);
            }
        }
        let json: serde_json::Value = serde_json::from_str(&snapshot.to_json(None)).unwrap();
        prop_assert_eq!(json["queues"].as_array().unwrap().len(), queues);
    }
}
