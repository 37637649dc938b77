//! A group of consumers: three programs share the streams of one topic, each stream in order.
//!
//! A consistent-hash exchange spreads the measurements of the sensors over four streams. Each
//! stream has one reader at a time. The readers of the group have one name, so a member that takes
//! over a stream goes on behind the offset that the last one has stored.
//! `cargo run --example stream_group` prints
//!
//! ```text
//! 400 measurements in 4 streams
//! ada and bob have read 200, each sensor in order
//! bob has gone, and ada and eve read the rest
//! all 400 are read once, each sensor in order
//! a replay of stream 0 reads the same again
//! ```

use std::collections::BTreeMap;

use leveret::{Binding, Broker, Exchange, Offset, Queue, Reader, Result};

/// The measurements that the group has read, by their sensor.
type Seen = BTreeMap<u32, Vec<u32>>;

#[derive(serde::Serialize, serde::Deserialize)]
struct Measurement {
    sensor: u32,
    number: u32,
}

const STREAMS: usize = 4;

fn stream(number: usize) -> Queue {
    Queue::stream(format!("measurements {number}"))
}

/// The streams of one member: every stream has one member of the group.
fn join(broker: &Broker, member: usize, of: usize) -> Result<Vec<Reader<Measurement>>> {
    let own = (0..STREAMS).filter(|number| number % of == member);
    own.map(|number| {
        let reader = broker.reader(stream(number)).name("group");
        reader.from(Offset::First).build()
    })
    .collect()
}

/// Reads up to `most` measurements of each stream, and stores how far it is.
fn read(readers: &[Reader<Measurement>], most: usize, seen: &mut Seen) -> Result<usize> {
    let mut read = 0;
    for reader in readers {
        let mut last = None;
        for entry in reader.try_iter().take(most) {
            let entry = entry?;
            seen.entry(entry.sensor).or_default().push(entry.number);
            last = Some(entry.offset());
            read += 1;
        }
        if let Some(last) = last {
            reader.store_offset(last)?;
        }
    }
    Ok(read)
}

fn main() -> Result {
    let broker = Broker::new();
    let topic = Exchange::consistent_hash("measurements");
    for number in 0..STREAMS {
        broker.declare(&stream(number).binding(Binding::weighted(&topic, 1)))?;
    }
    let producer = broker.producer::<Measurement>(&topic)?;
    for number in 0..10 {
        for sensor in 0..40 {
            let measurement = Measurement { sensor, number };
            producer.publish_to(&format!("sensor {sensor}"), measurement)?;
        }
    }
    println!("400 measurements in {STREAMS} streams");

    let mut seen = Seen::new();
    let (ada, bob) = (join(&broker, 0, 2)?, join(&broker, 1, 2)?);
    let mut first = 0;
    while first < 200 {
        let most = 1.min(200 - first);
        for member in [&ada, &bob] {
            for reader in member.iter().take(200 - first) {
                first += read(std::slice::from_ref(reader), most, &mut seen)?;
            }
        }
    }
    let in_order = |seen: &Seen| seen.values().all(|numbers| numbers.is_sorted());
    assert!(first == 200 && in_order(&seen));
    println!("ada and bob have read {first}, each sensor in order");

    drop((ada, bob));
    let (ada, eve) = (join(&broker, 0, 2)?, join(&broker, 1, 2)?);
    println!("bob has gone, and ada and eve read the rest");
    let rest = read(&ada, usize::MAX, &mut seen)? + read(&eve, usize::MAX, &mut seen)?;
    let expected: Vec<u32> = (0..10).collect();
    assert!(seen.len() == 40 && seen.values().all(|numbers| *numbers == expected));
    println!("all {} are read once, each sensor in order", first + rest);

    // A replay: a reader without the name of the group begins where it wants.
    let replay = broker
        .reader::<Measurement>(stream(0))
        .from(Offset::First)
        .build()?;
    let mut again = Seen::new();
    for entry in replay.try_iter() {
        let entry = entry?;
        again.entry(entry.sensor).or_default().push(entry.number);
    }
    assert!(
        again
            .iter()
            .all(|(sensor, numbers)| seen[sensor] == *numbers)
    );
    println!("a replay of stream 0 reads the same again");
    Ok(())
}
