//! Tutorial 6, "RPC": requests go through one queue, and each reply goes to its caller.
//! Mirrors <https://www.rabbitmq.com/tutorials/tutorial-six-python>.
//! `cargo run --example rpc` prints
//! ```text
//!  [x] Requesting fib(30) of nobody: no server listens at 'rpc_queue'
//!  [x] Requesting fib(30)
//!  [.] fib(30)
//!  [✔️] Got 832040
//!  [✔️] Four clients at once got [55, 89, 144, 233]
//!  [!] fib(-1) failed: n must be from 0 to 90
//!  [!] fib("many") failed: bad arguments: text/plain: invalid type: string "many", expected i64
//!  [!] A slow call failed: no reply came in time
//!  [✔️] The server lived on and answered 7 requests; 1 reply came too late
//! ```

use leveret::{Broker, rpc};
use std::{thread, time::Duration};

/// The reply of the server: a number, or the reason why there is none.
type Fib = Result<u64, String>;

/// The number that keeps the server busy for longer than its caller waits.
const SLOW: i64 = 90;

fn main() -> Result<(), rpc::RpcError> {
    let broker = Broker::open(&std::env::var("LEVERET_URL").unwrap_or_default())?;
    let client = rpc::client::<i64, Fib>(&broker, "rpc_queue");
    let error = client.call(30).unwrap_err();
    println!(" [x] Requesting fib(30) of nobody: {error}");

    let server = rpc::serve::<i64, Fib>(&broker, "rpc_queue", |n, context| match n {
        SLOW => {
            context.stop_signal().wait(); // until the caller gives up
            Ok(fib(n))
        }
        0..SLOW => {
            if n == 30 {
                println!(" [.] fib({n})");
            }
            Ok(fib(n))
        }
        _ => Err("n must be from 0 to 90".to_owned()),
    })?;

    println!(" [x] Requesting fib(30)");
    println!(" [✔️] Got {}", client.call(30)?.unwrap());
    let four = [10, 11, 12, 13].map(|n| {
        let client = client.clone();
        thread::spawn(move || client.call(n))
    });
    let got = four.map(|client| client.join().unwrap().unwrap().unwrap());
    println!(" [✔️] Four clients at once got {got:?}");
    assert_eq!(got, [55, 89, 144, 233]);

    println!(" [!] fib(-1) failed: {}", client.call(-1)?.unwrap_err());
    let words = rpc::client::<String, Fib>(&broker, "rpc_queue");
    let error = words.call("many".to_owned()).unwrap_err();
    println!(" [!] fib(\"many\") failed: {error}");
    // The server may be slow to begin: then it does not begin with an expired request.
    let error = client
        .call_timeout(SLOW, Duration::from_millis(200))
        .unwrap_err();
    println!(" [!] A slow call failed: {error}");

    let report = server.stop_and_drain(Duration::from_secs(60));
    let late = report.requests.late + report.requests.expired;
    let answered = report.worker.counts.handled - late;
    println!(
        " [✔️] The server lived on and answered {answered} requests; {late} reply came too late"
    );
    assert_eq!((answered, late), (7, 1));
    Ok(())
}

fn fib(n: i64) -> u64 {
    (0..n).fold((0, 1), |(a, b), _| (b, a + b)).0
}
