//! The handles to an origin of deliveries that its thread keeps for the next deliveries.

use std::{cell::Cell, mem, sync::Arc};

use super::unacked::DeliveryOrigin;
use crate::runtime::sync::thread_local;

thread_local! {
    /// A handle to the origin of the delivery that this thread settled last. The next delivery from
    /// there uses it: to decrement one reference count and increment another costs as much as an
    /// acknowledgement.
    static SPARE_HANDLE: Cell<Option<Arc<DeliveryOrigin>>> = const { Cell::new(None) };

    /// Handles to the origin of the batch that this thread settled last, for its next batch.
    static SPARE_HANDLES: Cell<Vec<Arc<DeliveryOrigin>>> = const { Cell::new(Vec::new()) };
}

/// The most handles that a thread keeps of a batch.
const KEPT: usize = 64;

/// Handles to one origin, for a batch.
///
/// # If dropped
/// The thread keeps them.
pub(crate) struct SpareHandles(Vec<Arc<DeliveryOrigin>>);

impl SpareHandles {
    /// The handles to this origin that the thread keeps. It drops those to another one, so that the
    /// caller may hold no lock.
    pub(crate) fn of(origin: &Arc<DeliveryOrigin>) -> SpareHandles {
        let mut handles = SPARE_HANDLES.try_with(Cell::take).unwrap_or_default();
        let is_other = |handle: &Arc<DeliveryOrigin>| !Arc::ptr_eq(handle, origin);
        if handles.first().is_some_and(is_other) {
            handles.clear();
        }
        SpareHandles(handles)
    }

    /// A handle to the origin, for one more delivery.
    #[inline]
    pub(crate) fn next(&mut self, origin: &Arc<DeliveryOrigin>) -> Arc<DeliveryOrigin> {
        self.0.pop().unwrap_or_else(|| Arc::clone(origin))
    }

    /// Keeps the handle of a settled delivery of the origin.
    #[inline]
    pub(super) fn keep(&mut self, handle: Arc<DeliveryOrigin>) {
        if self.0.len() < KEPT {
            self.0.push(handle);
        }
    }

    /// Drops the handles to an origin that delivers nothing more.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

impl Drop for SpareHandles {
    fn drop(&mut self) {
        let handles = mem::take(&mut self.0);
        // A thread whose locals are destroyed already keeps nothing.
        let _ = SPARE_HANDLES.try_with(|kept| kept.set(handles));
    }
}

impl DeliveryOrigin {
    /// Makes a handle for one more delivery, which the current thread receives. `not_shown` is as
    /// for [`note_receiver`](Self::note_receiver).
    #[inline]
    pub(crate) fn handle(self: &Arc<Self>, not_shown: impl FnOnce() -> u64) -> Arc<DeliveryOrigin> {
        self.note_receiver(not_shown);
        match SPARE_HANDLE.try_with(Cell::take) {
            Ok(Some(spare)) if Arc::ptr_eq(&spare, self) => spare,
            _ => Arc::clone(self),
        }
    }

    /// Keeps the handle of a settled delivery for the next one.
    #[inline]
    pub(super) fn spare(origin: Arc<DeliveryOrigin>) {
        // A thread whose locals are destroyed already keeps nothing.
        let _ = SPARE_HANDLE.try_with(|spare| spare.set(Some(origin)));
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::{sync::Weak, thread, time::Duration};

    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::{
        handles::{broker::Broker, consumer::Consumer},
        model::descriptions::Queue,
        session::batch::Batch,
    };

    fn full_queue(broker: &Broker, name: &str) -> Consumer<u64> {
        let queue = Queue::new(name);
        let _ = broker.producer(&queue).unwrap().publish_batch(0..200_u64);
        broker.consumer(&queue).unwrap()
    }

    fn origin(consumer: &Consumer<u64>) -> &Arc<DeliveryOrigin> {
        consumer.queues()[0].subscriber.origin()
    }

    fn receive(consumer: &Consumer<u64>) -> Batch<u64> {
        let batch = consumer.recv_batch(100, Duration::ZERO).unwrap();
        assert_eq!(batch.len(), 100);
        batch
    }

    #[test]
    fn a_batch_takes_the_handles_of_the_last_one_from_there_and_drops_those_from_elsewhere() {
        let broker = Broker::new();
        let consumers = ["a", "b"].map(|name| full_queue(&broker, name));
        let unused = consumers
            .each_ref()
            .map(|consumer| Arc::strong_count(origin(consumer)));
        let extra = |number: usize| Arc::strong_count(origin(&consumers[number])) - unused[number];
        let receive_and_ack = |number: usize| {
            let batch = receive(&consumers[number]);
            // The thread may keep one besides.
            assert!((100..=101).contains(&extra(number)));
            batch.ack_all().unwrap();
            // And the one of the delivery that was acknowledged last.
            assert_eq!(extra(number), KEPT + 1);
        };
        receive_and_ack(0);
        receive_and_ack(1);
        assert_eq!(extra(0), 0);
        receive_and_ack(0);
        assert_eq!(extra(1), 0);
        receive_and_ack(1);
    }

    #[test]
    fn a_thread_keeps_no_handle_to_a_broker_that_was_down() {
        let broker = Broker::new();
        let consumer = full_queue(&broker, "q");
        let kept: Weak<DeliveryOrigin> = Arc::downgrade(origin(&consumer));
        let batch = receive(&consumer);
        broker.shutdown(Duration::ZERO).unwrap();
        assert!(batch.ack_all().is_err());
        drop((consumer, broker));
        assert_eq!(kept.strong_count(), 0);
    }

    #[test]
    fn a_thread_keeps_the_handles_of_a_batch_of_another_thread_until_it_ends() {
        let broker = Broker::new();
        let consumer = full_queue(&broker, "q");
        let unused = Arc::strong_count(origin(&consumer));
        let batch = receive(&consumer);
        thread::spawn(move || batch.ack_all())
            .join()
            .unwrap()
            .unwrap();
        assert_eq!(Arc::strong_count(origin(&consumer)), unused);
        receive(&consumer).ack_all().unwrap();
    }

    /// Receives a batch when it is dropped.
    #[derive(Serialize, Deserialize)]
    struct Receives {
        #[serde(skip)]
        from: Option<Arc<Consumer<u64>>>,
    }

    impl Drop for Receives {
        fn drop(&mut self) {
            if let Some(consumer) = &self.from {
                receive(consumer).ack_all().unwrap();
            }
        }
    }

    #[test]
    fn the_drop_of_a_payload_of_a_batch_may_receive_a_batch() {
        let broker = Broker::new();
        let numbers = Arc::new(full_queue(&broker, "numbers"));
        let queue = Queue::new("receivers");
        let receivers = broker.consumer::<Receives>(&queue).unwrap();
        let payloads = [(); 2].map(|()| Receives {
            from: Some(Arc::clone(&numbers)),
        });
        let _ = broker.producer(&queue).unwrap().publish_batch(payloads);
        let batch = receivers.recv_batch(2, Duration::ZERO).unwrap();
        assert_eq!(batch.len(), 2);
        batch.ack_all().unwrap();
        let snapshot = broker.snapshot().unwrap();
        let acked = |name| snapshot.queue(name).unwrap().acked.messages;
        assert_eq!((acked("receivers"), acked("numbers")), (2, 200));
    }
}
