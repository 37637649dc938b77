//! Two servers with endpoints, as in the RPC program of oslo.messaging: calls, casts, a fanout,
//! versions, errors with their type, and a caller that gives up.
//! `cargo run --example rpc_endpoints` prints
//! ```text
//! Start Server
//! result is 3
//! testing
//! 10
//! fib(10) = 55
//! both servers answer a scatter: ["server-1", "server-2"]
//! server-2 alone: server-2
//! a fanout reaches both servers, a call of one is refused
//! Ada calls whoami: Ada, by server-1
//! fib(-1): -1 is negative, and that is typed: true
//! _fib: the server has no method '_fib'
//! version 1.9: the server has no endpoint of version 1.9 for the method 'add'
//! sleep: no reply came in time
//! Stopping Server
//! server-3: no server listens at 'test.server-3'
//! ```

use leveret::{
    Broker, FieldTable,
    rpc::{Client, Context, Endpoint, RpcError, Server, ServerHandle, Target},
};
use std::time::Duration;

#[derive(Debug, thiserror::Error)]
#[error("{0} is negative")]
struct Negative(i64);

fn fib(n: i64) -> Result<i64, Negative> {
    match n {
        ..0 => Err(Negative(n)),
        _ => Ok((0..n).fold((0, 1), |(a, b), _| (b, a + b)).0),
    }
}

fn serve(broker: &Broker, name: &'static str) -> Result<ServerHandle, RpcError> {
    let test = Endpoint::new()
        .version((1, 2))
        .method("add", |(a, b): (i64, i64), _| a + b)
        .method("test", |n: i64, _| println!("testing\n{n}"))
        .try_method("fib", |n: i64, _| fib(n))
        .method("name", move |(): (), _| name.to_owned());
    let admin = Endpoint::new()
        .namespace("admin")
        .method("whoami", move |(): (), context: &Context<'_>| {
            let user = context
                .request_context()
                .and_then(|context| context.get("user"));
            let user = user.map(ToString::to_string).unwrap_or_default();
            format!("{user}, by {name}")
        })
        .method("sleep", |(): (), context| {
            context.stop_signal().wait(); // until the caller gives up
        });
    Server::new(broker, Target::topic("test").server(name))
        .endpoint(test)
        .endpoint(admin)
        .spawn()
}

fn main() -> Result<(), RpcError> {
    let broker = Broker::open(&std::env::var("LEVERET_URL").unwrap_or_default())?;
    println!("Start Server");
    let first = serve(&broker, "server-1")?;
    let client = Client::new(&broker, Target::topic("test"));
    println!("result is {}", client.call::<i64>("add", (1_i64, 2_i64))?);
    client.cast("test", 10_i64)?; // the next call comes after it
    println!("fib(10) = {}", client.call::<i64>("fib", 10_i64)?);

    let second = serve(&broker, "server-2")?;
    // A RabbitMQ does not tell how many replies come.
    let names = client.scatter::<String>("name", ())?.take(2);
    let mut names = names.collect::<Result<Vec<_>, _>>()?;
    names.sort();
    println!("both servers answer a scatter: {names:?}");
    let alone = client.prepare().server("server-2");
    println!("server-2 alone: {}", alone.call::<String>("name", ())?);
    let all = client.prepare().fanout();
    let (reached, refused) = (all.cast("name", ())?, all.call::<String>("name", ()));
    assert!(matches!(refused, Err(RpcError::InvalidTarget(_))));
    assert!(reached > 0);
    println!("a fanout reaches both servers, a call of one is refused");

    let admin = client.prepare().server("server-1").namespace("admin");
    let ada = admin.prepare().context(FieldTable::from([("user", "Ada")]));
    println!("Ada calls whoami: {}", ada.call::<String>("whoami", ())?);
    let Err(RpcError::Remote(error)) = client.call::<i64>("fib", -1_i64) else {
        panic!("-1 is negative");
    };
    let is_typed = error.type_name().ends_with("Negative");
    println!("fib(-1): {error}, and that is typed: {is_typed}");
    let error = client.call::<i64>("_fib", 10_i64).unwrap_err();
    println!("_fib: {error}");
    let newer = client.prepare().version((1, 9));
    let error = newer.call::<i64>("add", (1_i64, 2_i64)).unwrap_err();
    println!("version 1.9: {error}");
    let error = admin
        .call_timeout::<()>("sleep", (), Duration::from_millis(100))
        .unwrap_err();
    println!("sleep: {error}");

    println!("Stopping Server");
    let report = first.stop_and_drain(Duration::from_secs(60));
    assert_eq!(report.requests.late + report.requests.expired, 1);
    second.stop_and_drain(Duration::from_secs(60));
    let error = client.server("server-3").ping().unwrap_err();
    println!("server-3: {error}");
    Ok(())
}
