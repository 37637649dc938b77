//! Methods of a channel whose connection closes meanwhile, on another thread.

use std::thread;

use leveret::channel::PublishOptions;
use leveret::{Broker, Connection, Exchange, Properties, Queue, Result};

use crate::common::{connect, share_of};

/// Runs `method` and the close of its connection at the same time.
fn against_the_close<R>(
    connection: &Connection,
    method: impl FnOnce() -> Result<R> + Send,
) -> Result<R>
where
    R: Send,
{
    thread::scope(|scope| {
        let method = scope.spawn(method);
        let _ = connection.close();
        method.join().unwrap()
    })
}

#[test]
fn a_commit_that_succeeds_has_published_all_its_messages() -> Result {
    const MESSAGES: u64 = 200;
    for _ in 0..share_of(200) {
        let broker = Broker::new();
        let connection = connect(&broker)?;
        let channel = connection.open_channel()?;
        channel.queue_declare(&Queue::new("q"))?;
        channel.tx_select()?;
        for _ in 0..MESSAGES {
            channel.basic_publish("", "q", "m", Properties::new(), PublishOptions::new())?;
        }
        let committed = against_the_close(&connection, || channel.tx_commit());
        let ready = broker.purge("q")?;
        match committed {
            Ok(()) => assert_eq!(ready, MESSAGES),
            Err(error) => assert!(error.is_closed() && ready == 0, "{error}: {ready}"),
        }
    }
    Ok(())
}

#[test]
fn a_declaration_that_fails_because_its_connection_closes_leaves_nothing() -> Result {
    let broker = Broker::new();
    let logs = Exchange::fanout("logs");
    for number in 0..share_of(400) {
        let connection = connect(&broker)?;
        let name = format!("q{number}");
        let queue = Queue::new(&name).bind(&logs, "");
        let declared = against_the_close(&connection, || connection.declare(&queue));
        let exists = broker.declare(&Queue::existing(&name)).is_ok();
        assert_eq!(declared.is_ok(), exists);

        let connection = connect(&broker)?;
        let own = Queue::new(format!("own{number}")).exclusive_flag();
        let _ = against_the_close(&connection, || connection.declare(&own));
        let gone = broker.declare(&Queue::existing(own.name())).unwrap_err();
        assert!(gone.is_not_found(), "{gone}");
    }
    Ok(())
}
