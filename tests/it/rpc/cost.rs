//! What a client and a call cost: no thread, no queue, and few bytes.

use std::{
    fs,
    sync::{Mutex, mpsc},
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use leveret::{
    Broker,
    rpc::{Client, Endpoint},
};
use stats_alloc::Region;

use super::{client, serve};
use crate::{
    alone::{ALLOCATOR, alone},
    common::{Alarm, block_on},
};

/// The threads of this process. Other systems than Linux do not tell.
fn threads() -> usize {
    fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

fn queues(broker: &Broker) -> usize {
    broker.snapshot().unwrap().vhosts[0].queues.len()
}

#[test]
fn an_idle_client_allocates_only_itself_and_has_no_thread_and_no_queue() {
    const NAME: &str = concat!(
        module_path!(),
        "::an_idle_client_allocates_only_itself_and_has_no_thread_and_no_queue"
    );
    alone(NAME, || {
        const CLIENTS: usize = 1_000;
        let broker = Broker::new();
        drop(client(&broker));
        let before = threads();
        let region = Region::new(&ALLOCATOR);
        let clients: Vec<Client> = (0..CLIENTS).map(|_| client(&broker)).collect();
        let change = region.change();
        let names = "rpc".len() + "test".len();
        // The thread that runs the tests allocates a few bytes as well.
        let each = (change.bytes_allocated - change.bytes_deallocated) / CLIENTS;
        assert_eq!(each, size_of::<Client>() + names);
        assert!(size_of::<Client>() <= 512, "{}", size_of::<Client>());
        assert_eq!((threads(), queues(&broker)), (before, 0));
        drop(clients);
        let change = region.change();
        assert!(change.bytes_allocated < change.bytes_deallocated + CLIENTS);
    });
}

#[test]
fn ten_thousand_calls_that_wait_have_no_thread_and_no_queue_each() {
    const NAME: &str = concat!(
        module_path!(),
        "::ten_thousand_calls_that_wait_have_no_thread_and_no_queue_each"
    );
    alone(NAME, || {
        const CALLS: u64 = 10_000;
        let broker = Broker::new();
        let (go_on, may_go_on) = mpsc::channel::<()>();
        let may_go_on = Mutex::new(may_go_on);
        let endpoint = Endpoint::new().method("double", move |number: u64, _| {
            let _ = may_go_on.lock().unwrap().recv(); // until all of them wait
            number * 2
        });
        let server = serve(&broker, endpoint);
        let client = client(&broker);
        let alarm = Alarm::new();
        // One call, so that everything is there that calls share: the timers of the broker, say.
        let mut first = Box::pin(client.call_async::<u64>("double", 0_u64));
        assert!(alarm.poll(first.as_mut()).is_pending());
        let before = (threads(), queues(&broker));
        let region = Region::new(&ALLOCATOR);
        let calls = (0..CALLS).map(|number| client.call_async::<u64>("double", number));
        let mut calls: FuturesUnordered<_> = calls.collect();
        assert!(alarm.poll(std::pin::pin!(calls.next())).is_pending());
        assert_eq!((threads(), queues(&broker)), before);
        let change = region.change();
        let each = (change.bytes_allocated - change.bytes_deallocated) as u64 / CALLS;
        assert!(each < 4_096, "{each} bytes");
        drop(go_on);
        let replies = block_on(calls.map(Result::unwrap).collect::<Vec<_>>());
        assert_eq!(replies.iter().sum::<u64>(), CALLS * (CALLS - 1));
        assert_eq!(block_on(first), Ok(0));
        assert_eq!((threads(), queues(&broker)), before);
        drop(server);
    });
}
