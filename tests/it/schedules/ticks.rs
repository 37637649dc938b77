//! Ticks for code of the user.

use std::{
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use leveret::{Broker, CancelReason, Clock, Error, MissedTickBehavior, Result};

use super::MINUTE;
use crate::common::{Alarm, HOUR, PATIENCE, SECOND, block_on, in_time, on_a_manual_clock};

#[test]
fn every_form_receives_the_time_at_which_the_tick_was_due() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let start = clock.now();
    let ticks = broker.every(MINUTE).ticks()?;
    assert_eq!(ticks.try_recv()?, None);
    assert_eq!(ticks.recv_timeout(Duration::ZERO), Err(Error::Timeout));
    assert_eq!(ticks.next_due(), Some(start + MINUTE));
    for minute in [1, 2, 3, 4] {
        clock.advance(MINUTE);
        let due = match minute {
            1 => ticks.recv()?,
            2 => ticks.try_recv()?.unwrap(),
            3 => ticks.recv_timeout(HOUR)?,
            _ => block_on(ticks.recv_async())?,
        };
        assert_eq!(due, start + minute * MINUTE);
        assert_eq!(ticks.try_recv()?, None);
    }
    // The tick is late.
    clock.advance(MINUTE + 10 * SECOND);
    assert_eq!(ticks.recv()?, start + 5 * MINUTE);
    assert_eq!(
        (ticks.missed(), ticks.next_due()),
        (0, Some(start + 6 * MINUTE))
    );
    Ok(())
}

#[test]
fn a_task_is_woken_when_the_tick_is_due_and_takes_none_if_it_is_dropped() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let ticks = broker.every(MINUTE).ticks()?;
    let alarm = Alarm::new();
    let mut dropped = Box::pin(ticks.recv_async());
    let mut kept = Box::pin(ticks.recv_async());
    assert!(alarm.poll(dropped.as_mut()).is_pending());
    assert!(alarm.poll(kept.as_mut()).is_pending());
    clock.advance(MINUTE);
    assert!(alarm.has_rung());
    drop(dropped);
    assert!(alarm.poll(kept.as_mut()).is_ready());
    // Without a receiver nothing waits.
    drop(kept);
    clock.advance(MINUTE);
    assert!(!alarm.has_rung());
    Ok(())
}

#[test]
fn threads_share_the_ticks_and_each_tick_goes_to_one() {
    let broker = Broker::new();
    let ticks = broker.every(Duration::from_micros(100)).max_runs(100);
    let ticks = Arc::new(
        ticks
            .missed_ticks(MissedTickBehavior::Burst)
            .ticks()
            .unwrap(),
    );
    let received = Arc::new(Mutex::new(Vec::new()));
    let threads: Vec<_> = (0..4)
        .map(|number| {
            let (ticks, received) = (Arc::clone(&ticks), Arc::clone(&received));
            thread::spawn(move || {
                loop {
                    let tick = match number % 2 {
                        0 => ticks.recv(),
                        _ => block_on(ticks.recv_async()),
                    };
                    match tick {
                        Ok(due) => received.lock().unwrap().push(due),
                        Err(error) => return error,
                    }
                }
            })
        })
        .collect();
    let ended = in_time(move || {
        let joined = threads.into_iter().map(|thread| thread.join().unwrap());
        joined.collect::<Vec<_>>()
    });
    assert!(
        ended
            .unwrap()
            .iter()
            .all(|error| *error == Error::ScheduleEnded)
    );
    let mut received = received.lock().unwrap().clone();
    received.sort();
    received.dedup();
    assert_eq!(received.len(), 100);
}

#[test]
fn the_end_wakes_all_that_wait_and_says_why() -> Result {
    type End = fn(&Broker, &leveret::Ticks);
    let ends: [(End, Error); 3] = [
        (|_, ticks| ticks.cancel(), Error::ScheduleEnded),
        (
            |broker, _| drop(broker.shutdown(Duration::ZERO).unwrap()),
            Error::ShutDown,
        ),
        (
            |broker, _| broker.delete_vhost("/").unwrap(),
            Error::VhostDeleted {
                vhost: "/".parse()?,
            },
        ),
    ];
    for (end, expected) in ends {
        let (broker, _clock) = on_a_manual_clock();
        let ticks = Arc::new(broker.every(MINUTE).ticks()?);
        let (waits, waiting) = mpsc::channel();
        let threads = [0, 1].map(|number| {
            let (ticks, waits) = (Arc::clone(&ticks), waits.clone());
            thread::spawn(move || {
                waits.send(()).unwrap();
                match number {
                    0 => ticks.recv(),
                    _ => ticks.recv_timeout(HOUR),
                }
            })
        });
        let alarm = Alarm::new();
        let mut task = Box::pin(ticks.recv_async());
        assert!(alarm.poll(task.as_mut()).is_pending());
        for _ in 0..2 {
            waiting.recv_timeout(PATIENCE).unwrap();
        }
        end(&broker, &ticks);
        for thread in threads {
            assert_eq!(thread.join().unwrap().as_ref(), Err(&expected));
        }
        assert_eq!(block_on(task).as_ref(), Err(&expected));
        assert_eq!(ticks.try_recv().as_ref(), Err(&expected));
        assert_eq!((ticks.iter().count(), ticks.next_due()), (0, None));
    }
    Ok(())
}

#[test]
fn ticks_keep_no_broker_alive() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let ticks = broker.every(MINUTE).ticks()?;
    let consumer = broker.consumer::<u32>("q")?;
    drop(broker);
    clock.advance(MINUTE);
    assert_eq!(ticks.try_recv(), Err(Error::BrokerDropped));
    assert_eq!(consumer.ended(), Some(CancelReason::BrokerDropped));
    Ok(())
}
