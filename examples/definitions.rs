//! Takes the definitions of a RabbitMQ over: imports them, works with them, and exports them again.
//!
//! `cargo run --example definitions` prints
//!
//! ```text
//! made: 1 virtual host, 1 exchange, 2 queues, 2 bindings
//! $.parameters[0] kept: the parameters of shovel have no effect here
//! order 7 is in queue 'paid'
//! left out for RabbitMQ 4.3: $.queues[?@.vhost=='orders' && @.name=='tries']
//! another broker has the same definitions
//! a wrong file: $.queues[1].durable
//! ```

use leveret::{Broker, Error, Exchange, ExportOptions, Queue, RabbitMqVersion};

/// As `rabbitmqctl export_definitions` writes it.
const EXPORTED: &str = r##"{
    "rabbit_version": "4.3.6",
    "vhosts": [{"name": "orders", "metadata": {"description": "of the shop", "tags": []}}],
    "parameters": [
        {"vhost": "orders", "component": "shovel", "name": "to-archive", "value": {"src-queue": "all"}}
    ],
    "policies": [
        {"vhost": "orders", "name": "short", "pattern": "^all$", "apply-to": "queues",
         "definition": {"max-length": 1000}, "priority": 0}
    ],
    "exchanges": [
        {"name": "events", "vhost": "orders", "type": "topic", "durable": true,
         "auto_delete": false, "arguments": {}}
    ],
    "queues": [
        {"name": "all", "vhost": "orders", "durable": true, "auto_delete": false,
         "arguments": {"x-queue-type": "classic"}, "type": "classic"},
        {"name": "paid", "vhost": "orders", "durable": true, "auto_delete": false,
         "arguments": {"x-queue-type": "quorum"}, "type": "quorum"}
    ],
    "bindings": [
        {"source": "events", "vhost": "orders", "destination": "all", "destination_type": "queue",
         "routing_key": "#", "arguments": {}},
        {"source": "events", "vhost": "orders", "destination": "paid", "destination_type": "queue",
         "routing_key": "*.paid", "arguments": {}}
    ]
}"##;

fn main() -> Result<(), Error> {
    let broker = Broker::new();
    let report = broker.import_definitions(EXPORTED)?;
    println!(
        "made: {} virtual host, {} exchange, {} queues, {} bindings",
        report.vhosts, report.exchanges, report.queues, report.bindings
    );
    for remark in &report.remarks {
        println!("{remark}");
    }

    let orders = broker.vhost("orders")?;
    let paid = orders.simple_queue::<u32>("paid")?;
    orders
        .producer::<u32>(Exchange::existing("events"))?
        .publish_to("shoes.paid", 7)?;
    println!("order {} is in queue 'paid'", *paid.get()?);

    // RabbitMQ has no delivery limit for classic queues.
    orders.declare(&Queue::new("tries").durable().classic_delivery_limit(3))?;
    let for_rabbitmq = ExportOptions::new()
        .for_rabbitmq(RabbitMqVersion::V4_3)
        .leave_out();
    for thing in broker.export_definitions_with(&for_rabbitmq)?.left_out {
        println!("left out for RabbitMQ 4.3: {}", thing.path);
    }

    let own = broker.export_definitions()?;
    let another = Broker::from_definitions(&own)?;
    assert_eq!(another.export_definitions()?, own);
    println!("another broker has the same definitions");

    // Nothing of a file is made if something does not fit.
    let wrong = EXPORTED.replace(
        "\"paid\", \"vhost\": \"orders\", \"durable\": true",
        "\"paid\", \"vhost\": \"orders\", \"durable\": 1",
    );
    match Broker::new().import_definitions(wrong) {
        Err(Error::InvalidDefinitions(error)) => println!("a wrong file: {}", error.path),
        other => panic!("{other:?}"),
    }
    Ok(())
}
