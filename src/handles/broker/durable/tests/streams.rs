//! Streams of a broker with small files, so that most messages are in files of their own and only
//! there.

use std::time::SystemTime;

use super::*;
use crate::{
    handles::reader::Reader,
    model::{descriptions::Offset, error::CancelReason, field_value::FieldValue},
    session::{
        channel::{Channel, ConsumeOptions, QosScope},
        events::{ChannelDelivery, Event},
    },
};

/// A stream with segments of some ten messages.
pub(super) fn log() -> Queue {
    Queue::stream("log").max_segment_bytes(1_500)
}

/// Publishes this number of messages. The text of each tells its offset.
pub(super) fn fill(
    broker: &Broker,
    stream: &Queue,
    messages: u64,
    confirmed: &mut Vec<String>,
) -> Result {
    let producer = broker.producer::<String>(stream)?;
    for _ in 0..messages {
        let text = text(confirmed.len());
        producer.publish(text.clone())?;
        confirmed.push(text);
    }
    Ok(())
}

fn text(offset: usize) -> String {
    format!("message {offset} {}", "-".repeat(offset % 40))
}

fn reader(broker: &Broker, from: Offset) -> Reader<String> {
    let log = Queue::existing("log");
    broker.reader(&log).from(from).build().unwrap()
}

/// The offsets and texts of all messages, which have no gap. The first ones may be gone.
fn read(broker: &Broker) -> Vec<(u64, String)> {
    let reader = reader(broker, Offset::First);
    let read = reader.try_iter().map(|entry| entry.unwrap());
    let read: Vec<_> = read
        .map(|entry| (entry.offset(), entry.to_string()))
        .collect();
    assert!(read.windows(2).all(|pair| pair[0].0 + 1 == pair[1].0));
    read
}

/// The stream has all these messages that retention keeps, in their order, and at most one more: a
/// message of a publish that has failed.
pub(super) fn check(broker: &Broker, stream: &Queue, confirmed: &[String]) {
    broker.declare(stream).unwrap();
    let read = read(broker);
    let end = read.last().map_or(0, |(offset, _)| offset + 1) as usize;
    assert!(
        (confirmed.len()..=confirmed.len() + 1).contains(&end),
        "{end} after {}",
        confirmed.len()
    );
    for (offset, found) in read {
        assert_eq!(found, text(offset as usize));
    }
}

fn memory(broker: &Broker) -> u64 {
    let snapshot = broker.snapshot().unwrap();
    let stream = snapshot.vhosts[0].queues[0].stream.clone();
    stream.unwrap().memory_bytes
}

/// A channel with a consumer that begins at this offset.
fn consume(broker: &Broker, prefetch: u16, from: impl Into<FieldValue>) -> Channel {
    let connection = broker.connect("/", Credentials::guest()).unwrap();
    let channel = connection.open_channel().unwrap();
    channel.basic_qos(0, prefetch, QosScope::Consumer).unwrap();
    let options = ConsumeOptions::new().argument("x-stream-offset", from);
    channel.basic_consume("log", options).unwrap();
    channel
}

/// The next delivery of the channel. The error is the reason why its consumer has ended.
fn delivery(channel: &Channel) -> std::result::Result<ChannelDelivery, Option<CancelReason>> {
    match channel.events().try_recv() {
        Ok(Event::Delivery(delivery)) => Ok(delivery),
        Ok(Event::Cancelled { reason, .. }) => Err(Some(reason)),
        _ => Err(None),
    }
}

fn body(delivery: &ChannelDelivery) -> String {
    String::from_utf8(delivery.body().unwrap().to_vec()).unwrap()
}

/// The files of streams.
fn files(disk: &FakeDisk) -> Vec<String> {
    let files = disk.files().into_keys();
    files.filter(|name| name.ends_with(".stream")).collect()
}

/// A broker with this number of messages, of which only the last ones are in memory.
fn filled(messages: u64) -> (FakeDisk, Broker) {
    let disk = FakeDisk::new(u64::MAX);
    let broker = open(&disk).unwrap();
    fill(&broker, &log(), messages, &mut Vec::new()).unwrap();
    assert!(files(&disk).len() > 5, "{:?}", files(&disk));
    (disk, broker)
}

#[test]
fn after_a_power_loss_at_any_moment_a_stream_has_every_confirmed_message_and_goes_on() {
    let stream = log().max_length_bytes(12_000);
    let whole = FakeDisk::new(u64::MAX);
    {
        let broker = open(&whole).unwrap();
        fill(&broker, &stream, 140, &mut Vec::new()).unwrap();
        assert!(read(&broker)[0].0 > 20);
    }
    assert!(files(&whole).len() > 1, "{:?}", files(&whole));
    let mut random = 3u64;
    let mut chance = |of: u32| {
        random = random.wrapping_mul(6_364_136_223_846_793_005) + 1;
        (random >> 33) as u32 % of
    };
    for operations in 0..whole.operations() {
        let disk = FakeDisk::new(operations);
        let Ok(broker) = open(&disk) else { continue };
        let mut confirmed = Vec::new();
        let _ = fill(&broker, &stream, 140, &mut confirmed);
        let after = match operations % 2 {
            0 => disk.after_end_of_process(),
            _ => disk.after_power_loss(&mut chance),
        };
        drop(broker);
        let broker = open(&after).unwrap();
        check(&broker, &stream, &confirmed);
        let snapshot = broker.snapshot().unwrap();
        let next = snapshot.vhosts[0].queues[0].stream.clone().unwrap();
        let mut numbered = vec![String::new(); next.next_offset as usize];
        fill(&broker, &stream, 30, &mut numbered).unwrap();
        drop(broker);
        check(&open(&after).unwrap(), &stream, &numbered);
    }
}

#[test]
fn old_messages_are_on_disk_only_and_every_reader_gets_them() {
    let (_, broker) = filled(300);
    assert!(memory(&broker) < 8_000, "{}", memory(&broker));
    let all: Vec<_> = (0..300).map(|at| (at as u64, text(at))).collect();
    assert_eq!(read(&broker), all);

    let channel = consume(&broker, 7, "first");
    for (offset, expected) in &all {
        let got = delivery(&channel).unwrap();
        let at = got.properties().header_value("x-stream-offset").cloned();
        assert_eq!(at.unwrap().as_i64(), Some(*offset as i64));
        assert_eq!(body(&got), *expected);
        channel.basic_ack(got.delivery_tag(), Multiple::No).unwrap();
    }
    let exported = broker.vhost("/").unwrap().export_messages("log").unwrap();
    let positions = exported.map(|message| (message.position(), message.body().is_ok()));
    assert!(positions.eq((0..300).map(|position| (position, true))));

    let reader = reader(&broker, Offset::At(40));
    assert_eq!(reader.recv().unwrap().offset(), 40);
    reader.seek(Offset::At(3));
    assert_eq!(*reader.recv().unwrap(), text(3));
    reader.seek(Offset::Last);
    assert_eq!(*reader.recv().unwrap(), text(299));
}

#[test]
fn a_slow_consumer_goes_on_from_the_disk() {
    let disk = FakeDisk::new(u64::MAX);
    let broker = open(&disk).unwrap();
    let consumer = broker.consumer_builder::<String>(log()).prefetch(7);
    let consumer = consumer.build().unwrap();
    fill(&broker, &log(), 300, &mut Vec::new()).unwrap();
    assert!(memory(&broker) < 8_000, "{}", memory(&broker));
    for offset in 0..300 {
        let delivery = consumer.recv().unwrap();
        assert_eq!(*delivery, text(offset));
        delivery.ack().unwrap();
    }
    assert!(consumer.try_recv().is_err());
}

#[test]
fn a_time_finds_its_message_on_disk_and_in_memory() {
    let disk = FakeDisk::new(u64::MAX);
    let broker = open(&disk).unwrap();
    let producer = broker.producer::<String>(log()).unwrap();
    let (mut times, mut at) = (Vec::new(), SystemTime::now());
    for offset in 0..300 {
        producer.publish(text(offset)).unwrap();
        if offset % 10 == 0 {
            // The clock is a real one: wait for its next millisecond.
            while at.elapsed().unwrap() < Duration::from_millis(1) {
                std::thread::yield_now();
            }
            at = SystemTime::now();
        }
    }
    for entry in reader(&broker, Offset::First).try_iter() {
        times.push(entry.unwrap().timestamp());
    }
    for (offset, time) in times.iter().enumerate() {
        let first = times.iter().position(|other| other == time).unwrap();
        let found = reader(&broker, Offset::Timestamp(*time)).recv().unwrap();
        assert_eq!(found.offset(), first as u64, "{offset}");
        if offset % 30 == 0 {
            let seconds = time
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap()
                .as_secs();
            let channel = consume(&broker, 1, FieldValue::Timestamp(seconds));
            let got = delivery(&channel).unwrap();
            let second = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            let first = times.iter().position(|other| *other >= second).unwrap();
            assert_eq!(body(&got), text(first));
        }
    }
}

#[test]
fn a_reader_on_disk_that_retention_overtakes_goes_on_and_counts_what_it_missed() {
    let (disk, broker) = filled(300);
    let reader = reader(&broker, Offset::First);
    assert_eq!(reader.recv().unwrap().offset(), 0);
    let policy = Policy::new("short", "^log$").setting("max-length-bytes", 9_000);
    broker.vhost("/").unwrap().set_policy(policy).unwrap();
    let mut numbered = vec![String::new(); 300];
    fill(&broker, &log(), 60, &mut numbered).unwrap();
    let first = read(&broker)[0].0;
    assert!(first > 200);
    // The block that the reader has is whole. Behind it, the messages are gone.
    let rest: Vec<u64> = reader
        .try_iter()
        .map(|entry| entry.unwrap().offset())
        .collect();
    let gap = rest.iter().position(|offset| *offset == first).unwrap() as u64;
    assert_eq!(reader.lagged(), first - gap - 1);
    assert!(rest[gap as usize..].iter().copied().eq(first..360));
    // The files of the messages that are gone are removed.
    let oldest = files(&disk)[0].clone();
    let oldest = oldest.trim_end_matches(".stream").split_once('-').unwrap();
    assert!(oldest.1.parse::<u64>().unwrap() >= first, "{oldest:?}");
}

#[test]
fn a_segment_comes_back_as_it_was_and_goes_as_a_whole() {
    let (disk, broker) = filled(300);
    let firsts = |broker: &Broker| -> Vec<u64> {
        // Each time that retention drops something, it is one segment.
        let mut firsts = vec![];
        let policy = |most: u64| {
            let policy = Policy::new("short", "^log$");
            let policy = policy.setting("max-length-bytes", most as i64);
            broker.vhost("/").unwrap().set_policy(policy).unwrap();
        };
        let bytes = broker.snapshot().unwrap().vhosts[0].queues[0].clone();
        policy(bytes.ready.bytes + 100 * bytes.ready.messages);
        let mut numbered = vec![String::new(); 300];
        for _ in 0..60 {
            fill(broker, &log(), 1, &mut numbered).unwrap();
            let first = read(broker)[0].0;
            if firsts.last() != Some(&first) {
                firsts.push(first);
            }
        }
        firsts
    };
    let copy = disk.after_end_of_process();
    let expected = firsts(&broker);
    assert!(expected.len() > 4, "{expected:?}");
    assert_eq!(firsts(&open(&copy).unwrap()), expected);
}

#[test]
fn a_damaged_file_ends_who_reads_it_and_nobody_else() {
    let (disk, broker) = filled(300);
    drop(broker);
    let name = files(&disk)[2].clone();
    let mut bytes = disk.files()[&name].clone();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let disk = disk.with_file(&name, bytes);
    let broker = open(&disk).unwrap();
    let reader = reader(&broker, Offset::First);
    let mut read = 0;
    let error = loop {
        match reader.try_recv() {
            Ok(entry) => assert_eq!(entry.offset(), read),
            Err(error) => break error,
        }
        read += 1;
    };
    let unreadable =
        |error: &TryRecvError| matches!(error, TryRecvError::Cancelled(CancelReason::Unreadable));
    assert!(unreadable(&error) && read > 10, "{error} at {read}");
    assert!(unreadable(&reader.try_recv().unwrap_err()));
    let ended = (reader.try_iter().count(), reader.ended());
    assert_eq!(ended, (0, Some(CancelReason::Unreadable)));
    reader.seek(Offset::At(200));
    assert_eq!(*reader.recv().unwrap(), text(200));
    assert_eq!(reader.ended(), None);

    let channel = consume(&broker, 300, "first");
    for _ in 0..read {
        delivery(&channel).unwrap();
    }
    assert_eq!(
        delivery(&channel).unwrap_err(),
        Some(CancelReason::Unreadable)
    );
    let exported = broker.vhost("/").unwrap().export_messages("log").unwrap();
    let unread = exported.filter(|message| message.body().is_err()).count();
    assert!((1..20).contains(&unread), "{unread}");
    let mut numbered = vec![String::new(); 300];
    fill(&broker, &log(), 1, &mut numbered).unwrap();
}

#[test]
fn a_stream_that_is_in_memory_now_comes_back_a_last_time() {
    let (disk, broker) = filled(300);
    drop(broker);
    let in_memory = Durability::Memory;
    let reopened = |disk: &FakeDisk| {
        let store = LogStore::open_on(Box::new(disk.clone()), Sizes::tiny(), Box::new(|_| {}));
        let core = BrokerCore::recover(
            Time::default(),
            Settings::default(),
            ExchangeTypes::default(),
            in_memory,
            Box::new(store.unwrap()),
            DiskSettings::none(),
        );
        Broker::start(core.unwrap())
    };
    let broker = reopened(&disk);
    assert_eq!(read(&broker).len(), 300);
    drop(broker);
    assert!(files(&disk).is_empty());
    assert!(read(&reopened(&disk)).is_empty());
}

#[test]
fn a_stream_that_is_deleted_has_no_files_and_a_new_one_begins_anew() {
    let (disk, broker) = filled(300);
    broker.delete(&log()).unwrap();
    let mut numbered = Vec::new();
    fill(&broker, &log(), 60, &mut numbered).unwrap();
    assert_eq!(read(&broker).len(), 60);
    drop(broker);
    let names = files(&disk);
    let stream = |name: &String| name.split('-').next().map(str::to_owned);
    assert!(
        names.iter().all(|name| stream(name) == stream(&names[0])),
        "{names:?}"
    );
    assert_eq!(read(&open(&disk).unwrap()).len(), 60);
}
