//! Receiving from a queue that is deleted.

use leveret::{CancelReason, Error, Queue, Result};

use super::Ways;
use crate::common::{block_on, queue};

#[test]
fn a_deleted_queue_ends_every_receiver_with_the_same_reason() {
    let mut ways = Ways::after(|stage| stage.broker.declare(&queue()).map(drop));
    macro_rules! receive {
        ($($way:literal: $kind:ident, |$receiver:ident| $call:expr),+ $(,)?) => {$(
            ways.by($way, |stage| {
                let $receiver = stage.connection.$kind::<u32>("q").unwrap();
                stage.other.delete(&queue()).unwrap();
                $call.map(drop).map_err(Error::from)
            });
        )+};
    }
    receive!(
        "recv": consumer, |consumer| consumer.recv(),
        "try_recv": consumer, |consumer| consumer.try_recv(),
        "recv_timeout": consumer, |consumer| consumer.recv_timeout(crate::common::SECOND),
        "recv_async": consumer, |consumer| block_on(consumer.recv_async()),
        "recv_batch": consumer, |consumer| consumer.recv_batch(1, crate::common::SECOND),
        "get": simple_queue, |simple| simple.get(),
        "try_get": simple_queue, |simple| simple.try_get(),
        "get_timeout": simple_queue, |simple| simple.get_timeout(crate::common::SECOND),
        "get_async": simple_queue, |simple| block_on(simple.get_async()),
    );
    ways.all_fail_with(None, "the consumer was cancelled: its queue was deleted");
}

#[test]
fn a_queue_of_the_same_name_is_another_queue() -> Result {
    let broker = leveret::Broker::new();
    let simple = broker.simple_queue::<u32>("q")?;
    broker.delete(&queue())?;
    broker.declare(&Queue::new("q"))?;
    let reason = Error::from(simple.try_get().unwrap_err());
    assert_eq!(reason, Error::Cancelled(CancelReason::QueueDeleted));
    assert_eq!(simple.put(1)?.routed, 1);
    Ok(())
}
