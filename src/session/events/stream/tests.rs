//! Tests of streams of events.

use super::*;
use crate::{runtime::clock::ManualClock, session::events::ConfirmOutcome};

fn event(number: u64) -> Event {
    Event::Confirm(Confirm {
        delivery_tag: number,
        multiple: false,
        outcome: ConfirmOutcome::Ack,
    })
}

/// The numbers of events. The others have none.
fn number(event: &Event) -> u64 {
    match event {
        Event::Confirm(confirm) => confirm.delivery_tag,
        _ => 0,
    }
}

fn empty() -> EventStream {
    EventStream::new(&Time::new(ManualClock::new()))
}

fn send(stream: &EventStream, channel: u16, numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        assert!(stream.send(channel, event(number)).is_none());
    }
}

fn next(stream: &EventStream) -> Option<(u16, u64)> {
    match stream.attempt(None) {
        Poll::Ready(Ok((channel, event))) => Some((channel, number(&event))),
        _ => None,
    }
}

/// The last unread event.
fn last(stream: &EventStream) -> Option<(u16, Event)> {
    let mut all = Vec::new();
    stream.drain_into(&mut all, usize::MAX, |_| {});
    all.pop()
}

fn rest(stream: &EventStream) -> Vec<(u16, u64)> {
    std::iter::from_fn(|| next(stream)).collect()
}

/// Events that were taken out.
fn unread(taken: &Unread) -> Vec<(u16, u64)> {
    let sent = taken.sent.iter().map(|(channel, sent)| match sent {
        Sent::Event(event) => (channel, event),
        Sent::Deliveries(..) => panic!("no channel has sent deliveries"),
    });
    let taken_over = taken.events.iter().map(|(channel, event)| (channel, event));
    let all = taken_over.chain(sent);
    all.map(|(channel, event)| (*channel, number(event)))
        .collect()
}

/// A stream with four events. The readers have taken over the first two.
fn in_two_halves() -> EventStream {
    let stream = empty();
    send(&stream, 1, [0]);
    send(&stream, 2, [1]);
    send(&stream, 1, [2]);
    assert_eq!(next(&stream), Some((1, 0)));
    send(&stream, 1, [3]);
    send(&stream, 2, [4]);
    let halves = (
        stream.front.lock().events.len(),
        stream.state.lock().sent.len(),
    );
    assert_eq!((halves, stream.len()), ((2, 2), 4));
    stream
}

#[test]
fn events_of_both_halves_come_in_their_order() {
    assert_eq!(rest(&in_two_halves()), [(2, 1), (1, 2), (1, 3), (2, 4)]);
    for most in 0..=5 {
        let (stream, mut drained) = (in_two_halves(), Vec::<(u16, Event)>::new());
        let count = stream.drain_into(&mut drained, most, |_| {});
        assert_eq!((count, stream.len()), (most.min(4), 4 - most.min(4)));
        let drained = drained.iter().map(|(_, event)| number(event));
        let others = rest(&stream).into_iter().map(|(_, number)| number);
        assert!(drained.chain(others).eq(1..=4), "{most}");
    }
}

#[test]
#[cfg(feature = "amqp")]
fn the_events_that_are_taken_as_a_run_are_those_of_one_half() {
    let stream = in_two_halves();
    for expected in [&[1, 2][..], &[3, 4], &[]] {
        let mut run = Events::new();
        stream.take_run(&mut run);
        let run: Vec<_> = run.iter().map(|(_, event)| number(event)).collect();
        assert_eq!(run, expected);
    }
}

#[test]
fn a_channel_that_closes_takes_its_events_out_of_both_halves() {
    let stream = in_two_halves();
    assert_eq!(unread(&stream.take_of(1)), [(1, 2), (1, 3)]);
    assert_eq!(rest(&stream), [(2, 1), (2, 4)]);
    assert_eq!(unread(&in_two_halves().take_all()).len(), 4);
}

#[test]
fn the_end_of_a_block_takes_it_back_from_either_half_if_it_is_the_last_event() {
    let (reason, stream) = (BlockedReason::Budget, in_two_halves());
    assert!(stream.block(reason).is_none());
    assert!(stream.is_blocked() && stream.len() == 5);
    assert!(stream.unblock().is_none());
    assert_eq!((stream.is_blocked(), stream.len()), (false, 4));
    // The readers have taken it over.
    for (follows, left) in [(false, 0), (true, 3)] {
        let stream = empty();
        send(&stream, 1, [1]);
        assert!(stream.block(reason).is_none());
        assert_eq!(next(&stream), Some((1, 1)));
        if follows {
            send(&stream, 1, [2]);
        }
        assert!(stream.unblock().is_none());
        assert_eq!(stream.len(), left);
        let last = last(&stream);
        let is_end = matches!(last, Some((0, Event::Unblocked)));
        assert_eq!(is_end, follows);
    }
}

#[test]
#[cfg(feature = "rabbitmq")]
fn a_loss_of_the_connection_replaces_those_of_both_halves() {
    use crate::model::error::Error;
    let lost = || Event::ConnectionLost {
        error: Error::ConnectionClosed,
    };
    let stream = empty();
    send(&stream, 1, [1]);
    assert!(stream.connection_changed(lost()).is_none());
    assert_eq!(next(&stream), Some((1, 1)));
    send(&stream, 1, [2]);
    let restored = Event::ConnectionRestored {
        address: "node".into(),
    };
    assert!(stream.connection_changed(restored).is_none());
    assert_eq!(stream.len(), 3);
    assert!(stream.connection_changed(lost()).is_none());
    assert_eq!(rest(&stream), [(1, 2), (0, 0)]);
}

#[test]
#[cfg(feature = "rabbitmq")]
fn a_block_takes_no_loss_or_return_of_the_connection_back() {
    let restored = || Event::ConnectionRestored {
        address: "node".into(),
    };
    for is_taken_over in [false, true] {
        let stream = empty();
        send(&stream, 1, [1]);
        assert!(stream.connection_changed(restored()).is_none());
        if is_taken_over {
            assert_eq!(next(&stream), Some((1, 1)));
        }
        let before = stream.len();
        assert!(stream.block(BlockedReason::LowMemory).is_none());
        assert_eq!(stream.len(), before + 1);
        // Its end takes the block back, and nothing else.
        assert!(stream.unblock().is_none());
        let last = last(&stream);
        let is_return = matches!(last, Some((0, Event::ConnectionRestored { .. })));
        assert!(is_return, "{is_taken_over}");
    }
}

#[test]
fn a_reader_that_drains_stops_though_more_is_sent() {
    let (stream, mut drained) = (in_two_halves(), Vec::<(u16, Event)>::new());
    let count = stream.drain_into(&mut drained, 1000, |_| send(&stream, 3, [9]));
    assert_eq!((count, drained.len()), (6, 6));
    assert_eq!(stream.len(), 4);
}

#[test]
fn a_backlog_that_is_read_leaves_no_memory_behind() {
    let mut run = Events::new();
    let one_by_one = |stream: &EventStream| drop(rest(stream));
    let at_once = |stream: &EventStream| {
        stream.drain_into(&mut Vec::<(u16, Event)>::new(), usize::MAX, |_| {});
    };
    #[cfg(feature = "amqp")]
    let by_runs = |stream: &EventStream| {
        while stream.len() > 0 {
            stream.take_run(&mut run);
            run.clear();
        }
    };
    #[cfg(not(feature = "amqp"))]
    let by_runs = |stream: &EventStream| {
        run.clear();
        drop(stream.take_all());
    };
    let ways: [&mut dyn FnMut(&EventStream); 3] =
        [&mut { one_by_one }, &mut { at_once }, &mut { by_runs }];
    for (number, read) in ways.into_iter().enumerate() {
        let stream = empty();
        // Readers have taken over a part of it.
        send(&stream, 1, 0..10_000);
        next(&stream);
        send(&stream, 1, 0..10_000);
        read(&stream);
        // Each has the buffer of the other.
        send(&stream, 1, [1]);
        read(&stream);
        let front = stream.front.lock();
        let kept = [
            front.events.capacity(),
            front.taken_over.capacity(),
            stream.state.lock().sent.capacity(),
        ];
        assert!(kept.iter().all(|kept| *kept <= IDLE), "{number}: {kept:?}");
    }
}
