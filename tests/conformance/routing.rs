//! Replays a routing table: one exchange, its bindings, and cases. Each case names the queues that
//! get exactly one copy.

use std::collections::BTreeMap;

use leveret::{
    Channel, Credentials, Error, Exchange, FieldTable, ManualClock, Properties, Queue,
    channel::{AckMode, PublishOptions},
};
use serde_json::Value;

use crate::{
    Outcome, expectation::describe, fields::Fields, home::Home, scenario::RoutingTable, values,
};

/// Replays all cases. The error names the failed case and its reason.
pub fn run(table: &RoutingTable, home: &Home) -> Outcome {
    let broker = home.open(&ManualClock::new())?;
    let connection = broker
        .connect("/", Credentials::guest())
        .map_err(|error| describe(&error))?;
    let channel = connection
        .open_channel()
        .map_err(|error| describe(&error))?;
    channel
        .exchange_declare(&Exchange::new("x", &table.exchange_type))
        .map_err(|error| describe(&error))?;

    // Every queue that the table names, with the number of its copies.
    let mut copies: BTreeMap<String, usize> = BTreeMap::new();
    for (index, binding) in table.bindings.iter().enumerate() {
        let queue = bind(&channel, binding)
            .map_err(|problem| format!("binding {} {binding}: {problem}", index + 1))?;
        copies.insert(queue, 0);
    }
    for (index, case) in table.cases.iter().enumerate() {
        check(&channel, case, &mut copies)
            .map_err(|problem| format!("case {} {case}: {problem}", index + 1))?;
    }
    Ok(())
}

fn bind(channel: &Channel, binding: &Value) -> Outcome<String> {
    let mut fields = Fields::new(binding)?;
    let (queue, key) = (fields.text("queue")?, fields.text("routing_key")?);
    let arguments = values::table(fields.table("arguments")?)?;
    fields.finish()?;
    let bound = channel
        .queue_declare(&Queue::new(&queue))
        .and_then(|_| channel.queue_bind(&queue, "x", &key, arguments));
    bound.map(|()| queue).map_err(|error| describe(&error))
}

fn check(channel: &Channel, case: &Value, copies: &mut BTreeMap<String, usize>) -> Outcome {
    let mut fields = Fields::new(case)?;
    let key = fields.text("routing_key")?;
    let headers = fields
        .take("headers")
        .map(values::parse::<FieldTable>)
        .transpose()?;
    let mut expected: Vec<String> = Vec::new();
    for queue in fields.list("queues")? {
        expected.push(queue.as_str().ok_or("a queue's name is a text")?.to_owned());
    }
    fields.finish()?;
    if let Some(unbound) = expected.iter().find(|queue| !copies.contains_key(*queue)) {
        return Err(format!("'{unbound}' has no binding"));
    }

    publish(channel, &key, headers).map_err(|error| describe(&error))?;
    for (queue, count) in copies.iter_mut() {
        *count = drain(channel, queue).map_err(|error| describe(&error))?;
    }
    let wrong =
        |(queue, count): &(&String, &usize)| **count != usize::from(expected.contains(queue));
    if copies.iter().any(|entry| wrong(&entry)) {
        let came: Vec<_> = copies.iter().filter(|(_, count)| **count > 0).collect();
        return Err(format!("copies came to {came:?}"));
    }
    Ok(())
}

fn publish(channel: &Channel, key: &str, headers: Option<FieldTable>) -> Result<(), Error> {
    let properties = headers.map_or_else(Properties::new, |headers| {
        Properties::new().headers(headers)
    });
    let published = channel.basic_publish("x", key, "m", properties, PublishOptions::new());
    published.map(drop)
}

/// Takes all messages from a queue and returns their number.
fn drain(channel: &Channel, queue: &str) -> Result<usize, Error> {
    let mut count = 0;
    while channel.basic_get(queue, AckMode::Auto)?.is_some() {
        count += 1;
    }
    Ok(count)
}
