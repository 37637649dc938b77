//! Workers with batches, while messages come.

use super::*;
use crate::{patterns::worker::WorkerEnd, runtime::sync::Mutex};

#[test]
fn a_drain_with_batches_handles_every_message_once_and_in_order() {
    explore(|| {
        let broker = Broker::new();
        let producer = broker.producer::<u32>(&queue()).unwrap();
        let sizes = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&sizes);
        let worker = broker.worker::<u32>(&queue()).concurrency(2);
        let worker = worker.batch(2, Duration::MAX).handler(move |batch| {
            log.lock().push(batch.len());
        });
        let worker = worker.spawn().unwrap();
        for id in 0..3 {
            producer.publish(id).unwrap();
        }
        let report = worker.stop_and_drain(Duration::MAX);
        assert_eq!((report.end, report.counts.acked), (WorkerEnd::Drained, 3));
        let sizes = sizes.lock();
        assert!(sizes.iter().all(|size| *size <= 2) && sizes.iter().sum::<usize>() == 3);
    });
}

#[test]
fn a_stop_with_batches_loses_no_message_and_doubles_none() {
    explore(|| {
        let tracker = Tracker::default();
        {
            let broker = Broker::new();
            let producer = broker.producer::<Tracked>(&queue()).unwrap();
            let worker = broker.worker::<Tracked>(&queue()).concurrency(2);
            let worker = worker
                .batch(2, Duration::MAX)
                .handler(|_| ())
                .spawn()
                .unwrap();
            let payloads = (0..3).map(|id| tracker.payload(id)).collect::<Vec<_>>();
            let publishing = thread::spawn(move || {
                for payload in payloads {
                    producer.publish(payload).unwrap();
                }
            });
            worker.stop();
            publishing.join().unwrap();
            let report = worker.join();
            let left = broker.purge("q").unwrap();
            assert_eq!(report.counts.acked + left, 3);
        }
        tracker.assert_all_dropped();
    });
}
