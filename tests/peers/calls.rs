//! Python programs call a service in Rust, and serve a client in Rust.
//!
//! They come to a broker in the process of the Rust program, and meet it at a RabbitMQ.

use leveret::{
    Broker,
    rpc::{self, Endpoint, RpcError, Server, Target},
};
use serde::{Deserialize, Serialize};

#[cfg(feature = "rabbitmq")]
use super::{RabbitMq, clean};
use super::{listener::listen, process::Process, python::Python};

/// The arguments, as `kombu/rpc_client.py` sends them.
#[derive(Serialize, Deserialize)]
struct Asked {
    number: u32,
}

/// The reply, as `kombu/rpc_server.py` sends it.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Answer {
    result: u64,
}

fn fibonacci(number: u32) -> u64 {
    let (mut last, mut next) = (0, 1);
    for _ in 0..number {
        (last, next) = (next, last + next);
    }
    last
}

fn prints(python: &Python, url: &str, program: &str, arguments: &[&str]) -> Vec<String> {
    Process::start(program, &mut python.program(program, arguments, url)).finish()
}

/// Runs a test with a broker of this process, and with one that is the client of a RabbitMQ. The
/// test gets the URL for the programs in Python.
fn with_both(test: impl Fn(&Python, &Broker, &str)) {
    let Some(python) = Python::install() else {
        println!("SKIPPED: no Python 3 with the packages of tests/peers/requirements.txt");
        return;
    };
    let broker = Broker::new();
    let url = listen(&broker).unwrap();
    test(&python, &broker, &url);
    #[cfg(feature = "rabbitmq")]
    match RabbitMq::find() {
        Some(RabbitMq { url, _alone }) => {
            clean(&python, &url);
            let broker = Broker::open(url.trim_end_matches('/')).unwrap();
            test(&python, &broker, &url);
            clean(&python, &url);
        }
        None => println!("SKIPPED with RabbitMQ: none answers"),
    }
    #[cfg(not(feature = "rabbitmq"))]
    println!("SKIPPED with RabbitMQ: the feature `rabbitmq` is off");
}

#[test]
#[ignore = "needs Python and its package index"]
fn programs_in_python_call_a_service_in_rust() {
    with_both(|python, broker, url| {
        let answer = |asked: Asked| match asked.number {
            ..94 => Ok(Answer {
                result: fibonacci(asked.number),
            }),
            large => Err(format!("{large} is too large")),
        };
        // The method of kombu's program has no name, and pika's program names it.
        let endpoint = Endpoint::new()
            .try_method("", move |asked: Asked, _| answer(asked))
            .try_method("fib", move |asked: Asked, _| answer(asked));
        let server = Server::new(broker, Target::queue("rpc_queue")).endpoint(endpoint);
        let server = server.spawn().unwrap();
        let printed = prints(python, url, "kombu/rpc_client.py", &["0", "30", "90"]);
        let expected = [
            "[x] Requesting fib(0)",
            "[.] Got {'result': 0}",
            "[x] Requesting fib(30)",
            "[.] Got {'result': 832040}",
            "[x] Requesting fib(90)",
            "[.] Got {'result': 2880067194370816120}",
        ];
        assert_eq!(printed, expected);
        let printed = prints(python, url, "pika/rpc_client.py", &["30", "94", "-1"]);
        let expected = [
            "[.] fib(30) = 832040",
            "[!] Remote: 94 is too large",
            "[!] BadArguments",
        ];
        assert_eq!(printed, expected);
        server.stop();
        server.join();
    });
}

#[test]
#[ignore = "needs Python and its package index"]
fn a_client_in_rust_calls_services_in_python() {
    for (program, is_strict) in [("kombu/rpc_server.py", false), ("pika/rpc_server.py", true)] {
        with_both(|python, broker, url| {
            let mut server = Process::start(program, &mut python.program(program, &[], url));
            let ready = server.next_line();
            assert!(ready.starts_with("[*]"), "{program}: {ready}");
            let client = rpc::client::<Asked, Answer>(broker, "rpc_queue");
            for number in [0, 30, 90] {
                let result = fibonacci(number);
                assert_eq!(client.call(Asked { number }), Ok(Answer { result }));
            }
            if is_strict {
                let Err(RpcError::Remote(error)) = client.call(Asked { number: 94 }) else {
                    panic!("94 is too large");
                };
                assert_eq!(error.type_name(), "OverflowError");
                assert_eq!(error.message(), "94 is too large");
            }
            let printed = server.interrupt();
            let mut expected = vec!["[.] fib(0)", "[.] fib(30)", "[.] fib(90)"];
            expected.extend(is_strict.then_some("[.] fib(94)"));
            assert_eq!(printed, expected);
        });
    }
}
