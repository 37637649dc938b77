//! Buffers: simple queues that need no acknowledgement and end with their last handle.

use std::thread;

use leveret::{Broker, Queue, RecvError, Result, SimpleQueue, TryRecvError};

use crate::common::{block_on, channel_of, connect};

fn exists(broker: &Broker, name: &str) -> bool {
    let snapshot = broker.snapshot().unwrap();
    let mut queues = snapshot.vhosts.into_iter().flat_map(|vhost| vhost.queues);
    queues.any(|queue| &*queue.name == name)
}

#[test]
fn a_message_of_a_buffer_is_acknowledged_when_it_is_got() -> Result {
    type Get = fn(&SimpleQueue<u32>) -> u32;
    let forms: [Get; 4] = [
        |buffer| *buffer.get().unwrap(),
        |buffer| *buffer.try_get().unwrap(),
        |buffer| *buffer.get_timeout(std::time::Duration::ZERO).unwrap(),
        |buffer| *block_on(buffer.get_async()).unwrap(),
    ];
    let broker = Broker::new();
    let buffer = broker.simple_buffer::<u32>("b")?;
    for get in forms {
        buffer.put(7)?;
        assert_eq!((buffer.len()?, get(&buffer), buffer.len()?), (1, 7, 0));
    }
    let snapshot = broker.snapshot()?;
    let counts = &snapshot.vhosts[0].queues[0];
    assert_eq!((counts.acked.messages, counts.unsettled.messages), (4, 0));
    buffer.put(8)?;
    buffer.get()?.reject()?; // no effect
    assert!(matches!(buffer.try_get(), Err(TryRecvError::Empty)));
    Ok(())
}

#[test]
fn a_message_of_a_buffer_that_does_not_decode_is_acknowledged_too() -> Result {
    let broker = Broker::new();
    let words = broker.simple_buffer::<String>("b")?;
    let numbers = broker.simple_buffer::<u32>("b")?;
    words.put("seven".to_owned())?;
    assert!(matches!(numbers.get(), Err(RecvError::Decode(_))));
    assert!(words.is_empty()?);
    Ok(())
}

#[test]
fn a_buffer_ends_with_its_last_handle() -> Result {
    let broker = Broker::new();
    let first = broker.simple_buffer::<u32>("b")?;
    let second = broker.simple_buffer::<u32>("b")?;
    let clone = second.clone();
    first.put(7)?;
    drop((first, second));
    assert_eq!(*clone.get()?, 7);
    clone.put(8)?;
    drop(clone);
    assert!(!exists(&broker, "b"));
    assert!(broker.simple_buffer::<u32>("b")?.is_empty()?);
    Ok(())
}

#[test]
fn a_buffer_belongs_to_its_connection() -> Result {
    let broker = Broker::new();
    let connection = connect(&broker)?;
    let buffer = connection.simple_buffer::<u32>("b")?;
    assert_eq!(
        broker.simple_buffer::<u32>("b").unwrap_err().reply_code(),
        Some(405)
    );
    let waiting = thread::spawn({
        let buffer = buffer.clone();
        move || buffer.get().map(drop)
    });
    connection.close()?;
    assert!(matches!(
        waiting.join().unwrap(),
        Err(RecvError::Cancelled(_))
    ));
    assert!(!exists(&broker, "b"));
    assert!(buffer.put(7).is_err());
    Ok(())
}

#[test]
fn a_buffer_is_no_other_queue() -> Result {
    let broker = Broker::new();
    broker.declare(&Queue::new("plain"))?;
    assert_eq!(
        broker
            .simple_buffer::<u32>("plain")
            .unwrap_err()
            .reply_code(),
        Some(405)
    );
    broker.declare(&Queue::new("kept").exclusive_flag())?;
    assert!(
        broker
            .simple_buffer::<u32>("kept")
            .unwrap_err()
            .is_inequivalent()
    );
    assert!(exists(&broker, "plain") && exists(&broker, "kept"));
    Ok(())
}

#[test]
fn a_buffer_without_a_name_gets_one() -> Result {
    let broker = Broker::new();
    let buffers = [
        broker.simple_buffer::<u32>("")?,
        channel_of(&broker)?.simple_buffer("")?,
    ];
    assert!(
        buffers
            .iter()
            .all(|buffer| buffer.name().starts_with("amq.gen-"))
    );
    assert_ne!(buffers[0].name(), buffers[1].name());
    Ok(())
}
