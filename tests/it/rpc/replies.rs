//! Replies of several servers, and streams.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
        mpsc,
    },
    task::Poll,
    thread,
};

use leveret::{
    Broker, Local,
    rpc::{CallerGone, Client, Endpoint, RpcError, ServerHandle},
};

use super::{client, serve, server};
use crate::common::{Alarm, PATIENCE, block_on};

fn numbers(
    broker: &Broker,
    method: impl Fn(u32) -> u32 + Clone + Send + Sync + 'static,
) -> Vec<ServerHandle> {
    let servers = (0..3).map(|number| {
        let method = method.clone();
        serve(
            broker,
            Endpoint::new().method("number", move |(): (), _| method(number)),
        )
    });
    servers.collect()
}

#[test]
fn a_scatter_gathers_the_reply_of_each_server() {
    let broker = Broker::new();
    let servers = numbers(&broker, |number| number);
    let client = client(&broker);
    let mut replies: Vec<u32> = client
        .scatter::<u32>("number", ())
        .unwrap()
        .map(Result::unwrap)
        .collect();
    replies.sort_unstable();
    assert_eq!(replies, [0, 1, 2]);
    let first = client.scatter::<u32>("number", ()).unwrap().take(2);
    assert_eq!(first.filter(Result::is_ok).count(), 2);
    let mut replies = client.scatter::<String>("number", ()).unwrap();
    for _ in 0..3 {
        assert!(matches!(replies.next(), Some(Err(RpcError::BadReply(_)))));
    }
    assert_eq!((replies.next(), replies.next()), (None, None));
    let error = client.scatter::<u32>("number", Local(())).unwrap_err();
    assert!(matches!(error, RpcError::BadArguments(_)));
    drop(servers);
}

#[test]
fn a_server_that_panics_or_dies_is_among_the_replies_of_a_scatter() {
    let broker = Broker::new();
    let servers = numbers(&broker, |number| match number {
        1 => panic!("one"),
        number => number,
    });
    let endpoint = Endpoint::new().method_async("number", |(): (), _| pending::<u32>());
    let alarm = Alarm::new();
    let mut dies = Box::pin(server(&broker, endpoint).run_async());
    assert!(alarm.poll(dies.as_mut()).is_pending());
    let replies = client(&broker).scatter::<u32>("number", ()).unwrap();
    assert!(alarm.poll(dies.as_mut()).is_pending());
    drop(dies);
    let (replies, errors): (Vec<_>, Vec<_>) = replies.partition(Result::is_ok);
    assert_eq!(replies.into_iter().map(Result::unwrap).sum::<u32>(), 2);
    let errors: Vec<RpcError> = errors.into_iter().map(Result::unwrap_err).collect();
    assert_eq!(errors.len(), 2);
    assert!(errors.contains(&RpcError::Panicked("one".into())));
    assert!(errors.contains(&RpcError::ServerGone));
    drop(servers);
}

#[test]
fn a_server_that_ends_before_it_begins_is_missing_in_a_scatter() {
    let broker = Broker::new();
    let endpoint = || Endpoint::new().method("number", |(): (), _| 7_u32);
    let idle = server(&broker, endpoint()).run_async(); // it is not polled
    let busy = serve(&broker, endpoint());
    let mut replies = client(&broker).scatter::<u32>("number", ()).unwrap();
    assert_eq!(replies.next(), Some(Ok(7)));
    drop(idle);
    assert_eq!(replies.next(), Some(Err(RpcError::ServerGone)));
    assert_eq!(replies.next(), None);
    drop(busy);
}

fn count_to() -> Endpoint {
    Endpoint::new()
        .stream("count", |to: u32, _, replies| {
            (0..to).try_for_each(|number: u32| replies.send(number))
        })
        .stream_async("count_async", |to: u32, _, replies| async move {
            for number in 0..to {
                replies.send_async(number).await?;
            }
            Ok::<(), CallerGone>(())
        })
}

#[test]
fn a_stream_arrives_in_its_order_however_long_it_is() {
    let broker = Broker::new();
    let server = serve(&broker, count_to());
    let client = client(&broker);
    for method in ["count", "count_async"] {
        let replies = client.call_stream::<u32>(method, 5_000_u32).unwrap();
        assert!(replies.map(Result::unwrap).eq(0..5_000), "{method}");
        let mut replies = client.call_stream::<u32>(method, 1_000_u32).unwrap();
        let sum = block_on(async {
            let mut sum = 0;
            while let Some(number) = replies.next_async().await {
                sum += number.unwrap();
            }
            sum
        });
        assert_eq!(sum, 999 * 1_000 / 2, "{method}");
        assert_eq!(client.call_stream::<u32>(method, 0_u32).unwrap().count(), 0);
    }
    assert_eq!(server.stop_and_drain(PATIENCE).requests.late, 0);
}

#[test]
fn a_stream_waits_for_its_caller_and_ends_with_it() {
    let broker = Broker::new();
    let sent = Arc::new(AtomicU32::new(0));
    let (ends, ended) = mpsc::channel();
    let count = Arc::clone(&sent);
    let endpoint = Endpoint::new().stream("endless", move |(): (), context, replies| {
        let end = (0_u32..).try_for_each(|number| {
            count.store(number, SeqCst);
            replies.send(number)
        });
        ends.send((end, context.is_cancelled())).unwrap();
        end
    });
    let server = serve(&broker, endpoint);
    let mut replies = client(&broker).call_stream::<u32>("endless", ()).unwrap();
    for number in 0..1_000 {
        assert_eq!(replies.next(), Some(Ok(number)));
    }
    while sent.load(SeqCst) < 1_000 + 256 {
        thread::yield_now();
    }
    assert!(sent.load(SeqCst) <= 1_000 + 257 + 1);
    drop(replies);
    assert_eq!(ended.recv(), Ok((Err(CallerGone), true)));
    assert_eq!(server.stop_and_drain(PATIENCE).requests.late, 1);
}

#[test]
fn a_stream_that_fails_ends_with_its_error() {
    let broker = Broker::new();
    let endpoint = Endpoint::new()
        .stream("fail", |(): (), _, replies| {
            replies.send(1_u32).map_err(|error| error.to_string())?;
            Err("no more".to_owned())
        })
        .stream("panic", |(): (), _, replies| {
            replies.send(1_u32)?;
            assert!(replies.send(2_u32).is_err(), "oh");
            Ok::<(), CallerGone>(())
        });
    let server = serve(&broker, endpoint);
    let client = client(&broker);
    let collect = |method| {
        let replies = client.call_stream::<u32>(method, ()).unwrap();
        replies.collect::<Vec<_>>()
    };
    let failed = collect("fail");
    assert_eq!(failed[0], Ok(1));
    assert!(matches!(&failed[1..], [Err(RpcError::Remote(error))] if error.message() == "no more"));
    let panicked = collect("panic");
    assert_eq!(
        panicked,
        [Ok(1), Ok(2), Err(RpcError::Panicked("oh".into()))]
    );
    assert!(matches!(
        &collect("none")[..],
        [Err(RpcError::NoSuchMethod { .. })]
    ));
    drop(server);
}

#[test]
fn a_stream_whose_server_dies_ends_with_that() {
    let broker = Broker::new();
    let endpoint = Endpoint::new().stream_async("one", |(): (), _, replies| async move {
        replies.send_async(1_u32).await?;
        pending::<()>().await;
        Ok::<(), CallerGone>(())
    });
    let alarm = Alarm::new();
    let mut serving = Box::pin(server(&broker, endpoint).run_async());
    assert!(alarm.poll(serving.as_mut()).is_pending());
    let mut replies = client(&broker).call_stream::<u32>("one", ()).unwrap();
    assert!(alarm.poll(serving.as_mut()).is_pending());
    assert_eq!(replies.next(), Some(Ok(1)));
    let mut next = Box::pin(replies.next_async());
    assert!(alarm.poll(next.as_mut()).is_pending());
    drop(serving);
    let Poll::Ready(reply) = alarm.poll(next.as_mut()) else {
        panic!("the server is gone");
    };
    assert_eq!(reply, Some(Err(RpcError::ServerGone)));
    drop(next);
    assert_eq!(replies.next(), None);

    let idle = server(&broker, count_to()).run_async(); // it is not polled
    let mut replies = client(&broker).call_stream::<u32>("count", 1_u32).unwrap();
    drop(idle);
    assert_eq!(replies.next(), Some(Err(RpcError::ServerGone)));
    assert_eq!(replies.next(), None);
}

#[test]
fn a_call_gets_the_first_reply_of_a_stream_and_a_stream_the_reply_of_a_call() {
    let broker = Broker::new();
    let endpoint = count_to()
        .method("seven", |(): (), _| 7_u32)
        .stream("endless", |(): (), _, replies| {
            (0_u32..).try_for_each(|number| replies.send(number))
        });
    let server = serve(&broker, endpoint);
    let client: Client = client(&broker);
    for method in ["count", "count_async"] {
        assert_eq!(client.call::<u32>(method, 3_u32), Ok(0));
        let none = client.call::<u32>(method, 0_u32);
        assert!(matches!(none, Err(RpcError::BadReply(_))), "{none:?}");
        assert_eq!(client.cast(method, 300_u32), Ok(1));
    }
    assert_eq!(client.call::<u32>("endless", ()), Ok(0));
    let seven = client.call_stream::<u32>("seven", ()).unwrap();
    assert_eq!(seven.collect::<Vec<_>>(), [Ok(7)]);
    assert_eq!(server.stop_and_drain(PATIENCE).worker.counts.handled, 8);
}
