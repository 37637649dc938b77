//! Calls from and to programs that do not keep to the rules of streams.

use std::{sync::mpsc, thread, time::Duration};

use leveret::{
    Broker, Clock, Delivery, Error, Exchange, ManualClock, Message, Queue,
    rpc::{CallerGone, Client, Endpoint, RpcError, Server, ServerHandle, Target},
};

use crate::engine::{LONG, rabbitmq};

const SECOND: Duration = Duration::from_secs(1);

/// Serves streams without an end, for as long as each may take. Tells when one has ended.
fn endless(
    broker: &Broker,
    limit: Option<Duration>,
) -> (ServerHandle, mpsc::Receiver<Result<(), CallerGone>>) {
    let (tell, told) = mpsc::channel();
    let tell_async = tell.clone();
    let mut endpoint = Endpoint::new()
        .stream("thread", move |(): (), _, replies| {
            let end = (0..).try_for_each(|number: u64| replies.send(number));
            tell.send(end).unwrap();
            end
        })
        .stream_async("task", move |(): (), _, replies| {
            let tell = tell_async.clone();
            async move {
                for number in 0_u64.. {
                    if let Err(gone) = replies.send_async(number).await {
                        tell.send(Err(gone)).unwrap();
                        break;
                    }
                }
                Ok::<(), CallerGone>(())
            }
        });
    if let Some(limit) = limit {
        endpoint = endpoint.timeout(limit);
    }
    let server = Server::new(broker, Target::queue("q")).endpoint(endpoint);
    (server.spawn().unwrap(), told)
}

/// Calls for a stream, waits until it has begun, and says nothing any more.
fn call_and_be_silent(broker: &Broker, method: &str) -> Queue {
    let replies = broker.declare(&Queue::new("replies")).unwrap();
    let request = Message::new(())
        .message_type(method)
        .reply_to(replies.name())
        .header("x-rpc-replies", "many");
    let producer = broker.producer::<()>("q").unwrap();
    producer.publish_message(request).unwrap();
    // It is dropped, and so it returns to its queue.
    let first = broker.consumer::<u64>(&replies).unwrap().recv().unwrap();
    assert_eq!(*first, 0);
    replies
}

/// Advances the clock until a stream has ended, and returns how long that took.
fn end_of(told: &mpsc::Receiver<Result<(), CallerGone>>, clock: &ManualClock) -> Duration {
    let began = clock.now();
    loop {
        match told.try_recv() {
            Ok(end) => {
                assert_eq!(end, Err(CallerGone));
                return clock.now() - began;
            }
            Err(_) => clock.advance(SECOND),
        }
        thread::yield_now();
    }
}

#[test]
fn a_stream_to_a_caller_who_gives_no_credit_and_has_no_time_limit_ends_after_minutes() {
    for method in ["thread", "task"] {
        let clock = ManualClock::new();
        let broker = Broker::builder().clock(clock.clone()).build();
        let (server, told) = endless(&broker, None);
        call_and_be_silent(&broker, method);
        assert!(end_of(&told, &clock) >= 300 * SECOND, "{method}");
        server.stop_and_drain(LONG);
        // The rest of the credit was used.
        assert!(broker.purge("replies").unwrap() >= 256, "{method}");
    }
}

#[test]
fn a_stream_to_a_silent_caller_ends_with_the_time_of_its_method() {
    for method in ["thread", "task"] {
        let clock = ManualClock::new();
        let broker = Broker::builder().clock(clock.clone()).build();
        let (server, told) = endless(&broker, Some(5 * SECOND));
        call_and_be_silent(&broker, method);
        match method {
            "thread" => assert!(end_of(&told, &clock) >= 5 * SECOND),
            // The task is cut off, and its sender is told nothing.
            _ => {
                let is_cut = |server: &ServerHandle| {
                    clock.advance(SECOND);
                    server.report().worker.counts.handled + server.report().worker.counts.failed
                };
                while is_cut(&server) == 0 {
                    thread::yield_now();
                }
            }
        }
        server.stop_and_drain(LONG);
    }
}

#[test]
fn a_stream_to_a_silent_caller_ends_with_its_server() {
    let broker = Broker::new();
    let (server, told) = endless(&broker, None);
    let replies = call_and_be_silent(&broker, "thread");
    let replies = broker.consumer::<u64>(replies).unwrap();
    for number in 0..256 {
        let reply = replies.recv_timeout(LONG).unwrap();
        assert_eq!(reply.ack_into(), Ok(number));
    }
    server.stop();
    assert_eq!(told.recv_timeout(LONG), Ok(Err(CallerGone)));
}

/// The reply of a service of another program.
fn reply(request: &Delivery<u32>, number: u32) -> Message<u32> {
    let properties = request.info().properties();
    Message::new(number)
        .routing_key(properties.reply_to.clone().unwrap())
        .correlation_id(properties.correlation_id.clone().unwrap())
}

#[test]
fn a_service_that_replies_without_credit_does_not_fill_the_memory_of_its_caller() {
    let Some(engine) = rabbitmq() else { return };
    let queue = engine.queue("service");
    let requests = engine.broker.consumer::<u32>(&queue).unwrap();
    let replies = engine.broker.producer::<u32>(Exchange::existing(""));
    let replies = replies.unwrap();
    let client = Client::new(&engine.broker, Target::queue(queue)).timeout(LONG);
    let stream = client.call_stream::<u32>("count", 1_u32).unwrap();
    let request = requests.recv_timeout(LONG).unwrap();
    let properties = request.info().properties().clone();
    let many = engine
        .broker
        .producer_builder::<u32>(Exchange::existing(""))
        .routing_key(properties.reply_to.clone().unwrap())
        .properties(properties.header("x-rpc-reply", "more"))
        .build()
        .unwrap();
    for published in many.publish_batch(0..8_200) {
        published.unwrap();
    }
    request.ack().unwrap();
    // The reply to a later call comes after them.
    let later = client.call_stream::<u32>("count", 2_u32).unwrap();
    let request = requests.recv_timeout(LONG).unwrap();
    replies.publish_message(reply(&request, 2)).unwrap();
    request.ack().unwrap();
    assert_eq!(later.collect::<Result<Vec<_>, _>>(), Ok(vec![2]));
    let mut items: Vec<_> = stream.collect();
    let end = items.pop().unwrap();
    let is_told = matches!(end, Err(RpcError::Broker(Error::ResourceError(_))));
    assert!(is_told, "{end:?}");
    assert!(items.into_iter().eq((0..8_192).map(Ok)));
}

#[test]
fn credit_goes_to_no_queue_that_a_reply_names() {
    let Some(engine) = rabbitmq() else { return };
    let (queue, orders) = (engine.queue("service"), engine.queue("orders"));
    let requests = engine.broker.consumer::<u32>(&queue).unwrap();
    let replies = engine.broker.producer::<u32>(Exchange::existing(""));
    let (replies, order) = (replies.unwrap(), engine.broker.producer::<u32>(&orders));
    let client = Client::new(&engine.broker, Target::queue(queue)).timeout(LONG);
    let stream = client.call_stream::<u32>("count", 1_u32).unwrap();
    let request = requests.recv_timeout(LONG).unwrap();
    let wrong = reply(&request, 5)
        .reply_to(orders.name())
        .message_id("1")
        .header("x-rpc-credit", 1);
    replies.publish_message(wrong).unwrap();
    assert_eq!(stream.collect::<Result<Vec<_>, _>>(), Ok(vec![5]));
    // It would come behind the credit.
    order.unwrap().publish(7).unwrap();
    let orders = engine.broker.consumer::<u32>(&orders).unwrap();
    assert_eq!(orders.recv_timeout(LONG).unwrap().ack_into(), Ok(7));
}

#[test]
fn no_two_requests_have_an_id_that_could_be_guessed() {
    let (Some(engine), Some(other)) = (rabbitmq(), rabbitmq()) else {
        return;
    };
    let queue = engine.queue("service");
    let requests = engine.broker.consumer::<u32>(&queue).unwrap();
    let replies = engine.broker.producer::<u32>(Exchange::existing(""));
    let replies = replies.unwrap();
    let service = thread::spawn(move || {
        let serve = |()| {
            let request = requests.recv_timeout(LONG).unwrap();
            let id = request.info().properties().correlation_id.clone();
            // RabbitMQ 3.10 returns it, and delivers it.
            let answer = reply(&request, *request).mandatory();
            replies.publish_message(answer).unwrap();
            request.ack().unwrap();
            id.unwrap()
        };
        [(); 2].map(serve)
    });
    for engine in [&engine, &other] {
        let client = Client::new(&engine.broker, Target::queue(&queue)).timeout(LONG);
        assert_eq!(client.call("", 14_u32), Ok(14_u32));
    }
    // Both are the first of their connection.
    let [first, second] = service.join().unwrap();
    assert_ne!(first, second);
}
