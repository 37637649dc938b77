//! An HTTP service on axum whose requests publish jobs, with the workers in the same process.
//!
//! A full queue answers 503, so that a burst cannot fill the memory. The example sends its requests
//! to the router itself, without a socket.
//! `cargo run --manifest-path examples/axum_jobs/Cargo.toml` prints
//!
//! ```text
//! POST /jobs "first": 202 Accepted
//! POST /jobs "second": 202 Accepted
//! POST /jobs "third": 503 Service Unavailable
//! GET /jobs: 200 OK, []
//! worker: 2 jobs done
//! GET /jobs: 200 OK, ["FIRST","SECOND"]
//! ```

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Json, Router,
    body::{Body, to_bytes},
    extract::State,
    http::{Request, StatusCode},
    routing::post,
};
use leveret::{Broker, Overflow, Producer, Queue, Result};
use tower::ServiceExt;

/// The jobs that are done.
type Done = Arc<Mutex<Vec<String>>>;

fn router(jobs: Producer<String>, done: Done) -> Router {
    Router::new()
        .route("/jobs", post(publish).get(list))
        .with_state((jobs, done))
}

/// Publishes a job. The request does not wait for the worker, nor for room in the queue.
async fn publish(State((jobs, _)): State<(Producer<String>, Done)>, job: String) -> StatusCode {
    match jobs.try_publish(job) {
        Ok(_) => StatusCode::ACCEPTED,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

async fn list(State((_, done)): State<(Producer<String>, Done)>) -> Json<Vec<String>> {
    Json(done.lock().unwrap_or_else(PoisonError::into_inner).clone())
}

#[tokio::main]
async fn main() -> Result {
    let broker = Broker::new();
    let jobs = Queue::new("jobs").max_length(2).overflow(Overflow::Block);
    let done = Done::default();
    let app = router(broker.producer(&jobs)?, Arc::clone(&done));

    // A real program serves: `axum::serve(listener, app).with_graceful_shutdown(..)`.
    for job in ["first", "second", "third"] {
        let (status, _) = send(&app, "POST", job).await;
        println!("POST /jobs {job:?}: {status}");
    }
    let (status, body) = send(&app, "GET", "").await;
    println!("GET /jobs: {status}, {body}");

    let worker = broker.worker::<String>(&jobs);
    let worker = worker.handler_async(move |job, _| {
        let done = Arc::clone(&done);
        async move {
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            done.push(job.to_uppercase());
        }
    });
    let worker = tokio::spawn(worker.run_async());
    broker.shutdown_async(Duration::from_secs(10)).await?;
    let report = worker.await.expect("the worker does not panic")?;
    println!("worker: {} jobs done", report.counts.acked);

    let (status, body) = send(&app, "GET", "").await;
    println!("GET /jobs: {status}, {body}");
    assert_eq!(body, r#"["FIRST","SECOND"]"#);
    Ok(())
}

/// Sends a request to `/jobs`, and reads the response.
async fn send(app: &Router, method: &str, body: &'static str) -> (StatusCode, String) {
    let request = Request::builder().method(method).uri("/jobs");
    let request = request.body(Body::from(body)).expect("a valid request");
    let response = app.clone().oneshot(request).await;
    let response = response.unwrap_or_else(|never| match never {});
    let status = response.status();
    let body = to_bytes(response.into_body(), 1 << 20).await;
    let body = body.expect("a body in memory").to_vec();
    (status, String::from_utf8(body).expect("text"))
}
