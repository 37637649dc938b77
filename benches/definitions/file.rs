//! The definitions of many queues, as RabbitMQ writes them.

/// A file with this number of durable queues. Each has one binding to a topic exchange. Every third
/// has a time to live and a dead-letter exchange.
pub fn definitions(count: usize) -> String {
    let queues = (0..count).map(|number| {
        let arguments = match number % 3 {
            0 => r#"{"x-message-ttl":60000,"x-dead-letter-exchange":"x"}"#,
            _ => "{}",
        };
        format!(
            r#"{{"name":"queue-{number}","vhost":"leveret-bench","durable":true,"auto_delete":false,"arguments":{arguments}}}"#
        )
    });
    let queues: Vec<_> = queues.collect();
    let bindings = (0..count).map(|number| {
        format!(
            r#"{{"source":"x","vhost":"leveret-bench","destination":"queue-{number}","destination_type":"queue","routing_key":"orders.{number}.#","arguments":{{}}}}"#
        )
    });
    let bindings: Vec<_> = bindings.collect();
    format!(
        r#"{{"rabbit_version":"3.10.8","vhosts":[{{"name":"leveret-bench"}}],"exchanges":[{{"name":"x","vhost":"leveret-bench","type":"topic","durable":true,"auto_delete":false,"internal":false,"arguments":{{}}}}],"queues":[{}],"bindings":[{}]}}"#,
        queues.join(","),
        bindings.join(",")
    )
}
