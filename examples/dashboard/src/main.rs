//! A shop whose queues, rates and topology can be watched in a browser, and by Prometheus.
//!
//! With `-- --port 8080` it serves http://127.0.0.1:8080 until Ctrl-C. Without a port it asks its
//! own server once, and ends.
//! `cargo run --manifest-path examples/dashboard/Cargo.toml` prints
//!
//! ```text
//! GET /: 200 text/html; charset=utf-8
//! GET /data.json: 200 application/json
//! GET /metrics: 200 text/plain; version=0.0.4
//! GET /nowhere: 404
//! ```

use std::{env, error::Error, net::SocketAddr, time::Duration};

use axum::{
    Router,
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::get,
};
use leveret::{Broker, Dashboard, Exchange, Producer, Queue};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::sleep,
};

fn answer(content_type: &'static str, body: leveret::Result<String>) -> impl IntoResponse {
    let headers = [(CONTENT_TYPE, content_type)];
    body.map(|body| (headers, body))
        .map_err(|_| StatusCode::SERVICE_UNAVAILABLE)
}

fn router(broker: &Broker) -> Router {
    let dashboard = Dashboard::new(broker).title("The shop");
    let (page, data, broker) = (dashboard.page(), dashboard, broker.clone());
    let page = move || async move { answer("text/html; charset=utf-8", Ok(page)) };
    let data = move || async move { answer("application/json", data.data()) };
    let metrics = move || async move {
        let text = broker.snapshot().map(|snapshot| snapshot.to_prometheus());
        answer("text/plain; version=0.0.4", text)
    };
    Router::new()
        .route("/", get(page))
        .route("/data.json", get(data))
        .route("/metrics", get(metrics))
}

/// Workers for orders, mails and an archive. One mail in ten fails, and is put aside.
fn open_shop(broker: &Broker) -> leveret::Result<Producer<u64>> {
    let events = Exchange::topic("events");
    let [mails, orders, audit] = ["mails", "orders", "audit"].map(Queue::new);
    let mails = mails.bind(&events, "order.paid");
    let mails = mails.bind(&events, "order.sent");
    let mails = mails
        .dead_letter_exchange("")
        .dead_letter_routing_key("failed");
    let orders = orders.bind(&events, "order.#");
    let archive = Queue::stream("archive").max_length_bytes(1_000_000);
    broker.declare(&Queue::new("failed").max_length(50))?;
    broker.declare(&archive.bind(&events, "#"))?;
    broker.declare(&audit.bind(&events, "order.paid").max_length(500))?;
    for (queue, pause) in [(&orders, 4), (&mails, 9)] {
        let worker = broker.worker::<u64>(queue).concurrency(2);
        let worker = worker.handler_async(move |order, _| {
            let is_bad = pause == 9 && *order % 10 == 0;
            async move {
                sleep(Duration::from_millis(pause)).await;
                (!is_bad).then_some(()).ok_or("no such address")
            }
        });
        tokio::spawn(worker.run_async());
    }
    broker.producer(&events)
}

/// Orders come in waves.
async fn sell(events: Producer<u64>) -> leveret::Result {
    for order in 0.. {
        let state = ["order.new", "order.paid", "order.sent"][order as usize % 3];
        events.publish_to(state, order)?;
        let wave = (order as f64 / 400.0).sin();
        sleep(Duration::from_micros(2_500 + (wave * 1_500.0) as u64)).await;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let port: Option<u16> = env::args().nth(2).map(|port| port.parse()).transpose()?;
    let broker = Broker::new();
    let selling = tokio::spawn(sell(open_shop(&broker)?));
    let listener = TcpListener::bind(("127.0.0.1", port.unwrap_or(0))).await?;
    let address = listener.local_addr()?;
    let server = axum::serve(listener, router(&broker));
    if port.is_some() {
        println!("http://{address}");
        return Ok(server.await?);
    }
    tokio::spawn(async { server.await });
    for path in ["/", "/data.json", "/metrics", "/nowhere"] {
        println!("GET {path}: {}", ask(address, path).await?);
    }
    selling.abort();
    Ok(())
}

/// The status of an answer, and its content type.
async fn ask(address: SocketAddr, path: &str) -> Result<String, Box<dyn Error>> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let status = answer.split(' ').nth(1).unwrap_or_default();
    let content_type = (answer.lines()).find_map(|line| line.strip_prefix("content-type: "));
    let text = format!("{status} {}", content_type.unwrap_or_default());
    Ok(text.trim_end().to_owned())
}
