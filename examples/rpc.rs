//! Tutorial 6, "RPC": requests go through one queue, replies through each client's own queue.
//! Mirrors <https://www.rabbitmq.com/tutorials/tutorial-six-python>.
//! `cargo run --example rpc` prints
//! ```text
//!  [x] Requesting fib(10) of nobody: timed out
//!  [x] Requesting fib(30)
//!  [.] Ignoring a late reply
//!  [✔️] Got 832040
//!  [✔️] Four clients at once got [55, 89, 144, 233]
//!  [!] Rejecting text/plain: invalid type: string "many", expected i64
//!  [!] fib(-1) failed: n must be from 0 to 90
//!  [✔️] The server lived on and answered 7 requests
//! ```

use leveret::{Broker, Consumer, Error, Exchange, Message, Producer, Queue, Result};
use std::{thread, time::Duration};

type Reply = std::result::Result<u64, String>;

fn main() -> Result {
    let broker = Broker::new();
    let fib = broker.producer::<i64>(&Queue::new("rpc_queue"))?;
    let client = broker.consumer::<Reply>(&Queue::temporary())?;
    assert_eq!(call(&fib, &client, 10, 20), Err(Error::Timeout));
    println!(" [x] Requesting fib(10) of nobody: timed out");

    let requests = broker.consumer::<i64>(&Queue::new("rpc_queue"))?;
    let replies = broker.producer::<Reply>(&Exchange::existing(""))?;
    let stopper = requests.cancel_handle();
    let server = thread::spawn(move || serve(&requests, &replies));
    println!(" [x] Requesting fib(30)");
    println!(" [✔️] Got {}", call(&fib, &client, 30, 60_000)?.unwrap());
    let four = [10, 11, 12, 13].map(|n| {
        let (fib, client) = (fib.clone(), broker.consumer(Queue::temporary()));
        thread::spawn(move || call(&fib, &client?, n, 60_000))
    });
    let got = four.map(|client| client.join().unwrap().unwrap().unwrap());
    println!(" [✔️] Four clients at once got {got:?}");
    assert_eq!(got, [55, 89, 144, 233]);

    let words = broker.producer::<String>("rpc_queue")?;
    words.publish("many".to_owned())?;
    let bad = call(&fib, &client, -1, 60_000)?.unwrap_err();
    println!(" [!] fib(-1) failed: {bad}");
    stopper.cancel();
    assert_eq!(server.join().unwrap()?, 7);
    println!(" [✔️] The server lived on and answered 7 requests");
    Ok(())
}

/// Replies until it is stopped. A message that is no request is reported and rejected.
fn serve(requests: &Consumer<i64>, replies: &Producer<Reply>) -> Result<usize> {
    let mut answered = 0;
    for received in requests.iter() {
        let request = match received {
            Ok(request) => request,
            Err(undecoded) => {
                println!(" [!] Rejecting {}", undecoded.error());
                undecoded.reject()?;
                continue;
            }
        };
        let reply = match *request {
            n @ 0..=90 => Ok((0..n).fold((0, 1), |(a, b), _| (b, a + b)).0),
            _ => Err("n must be from 0 to 90".to_owned()),
        };
        let asked = request.info().properties();
        if let (Some(queue), Some(id)) = (&asked.reply_to, &asked.correlation_id) {
            let reply = Message::new(reply).routing_key(queue).correlation_id(id);
            answered += replies.publish_message(reply)?.routed; // 0 if the client has ended
        }
        request.ack()?;
    }
    Ok(answered)
}

/// Waits up to `millis` milliseconds for the reply with this call's correlation id.
fn call(fib: &Producer<i64>, replies: &Consumer<Reply>, n: i64, millis: u64) -> Result<Reply> {
    let id = n.to_string(); // distinguishes the calls of one client
    let request = Message::new(n).correlation_id(&id);
    let request = request.reply_to(replies.queue().to_string());
    assert_eq!(fib.publish_message(request)?.routed, 1);
    loop {
        let reply = replies.recv_timeout(Duration::from_millis(millis))?;
        if reply.info().properties().correlation_id == Some(id.clone()) {
            return Ok(reply.ack_into().unwrap());
        }
        println!(" [.] Ignoring a late reply");
        reply.ack()?;
    }
}
