#!/usr/bin/env bash
# lapin 4.12.3 (Rust, crates.io): with several publishes under way, the returned message in a confirm may be that of another
# publish.
#
# `basic_publish` of a mandatory message gives a confirm, and `Confirmation::Ack(Some(message))` has the message if the server
# has returned it. That reads as if the message were the one that this publish has sent. It is, if each publish is awaited
# before the next one. If publishes overlap, the next confirm that is settled gets it. RabbitMQ confirms many publishes by one
# `basic.ack` with `multiple`, so that this is often another one: a routed message looks returned, and a returned one routed.
#
# Seen with lapin 4.12.3, async-rs 0.8.2, tokio 1.47 and RabbitMQ 3.10.8. A program that has to know which of its messages were
# not routed compares the content of the returned ones.
#
# Needs cargo, and a RabbitMQ: AMQP_URL, or guest at 127.0.0.1:5672.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/src"
cat >"$folder/Cargo.toml" <<'TOML'
[package]
name = "returns"
version = "0.0.0"
edition = "2024"

[dependencies]
lapin = { version = "=4.12.3", default-features = false, features = ["tokio"] }
tokio = { version = "1.47", features = ["macros", "rt-multi-thread"] }
TOML
cat >"$folder/src/main.rs" <<'RUST'
use lapin::{
    BasicProperties, Confirmation, Connection, ConnectionProperties,
    options::{
        BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions,
    },
    types::FieldTable,
};

const MESSAGES: u32 = 600;

#[tokio::main]
async fn main() -> Result<(), lapin::Error> {
    let url = std::env::var("AMQP_URL").unwrap_or("amqp://guest:guest@127.0.0.1:5672/%2f".into());
    let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let queue = "finding-of-returns";
    let declare = QueueDeclareOptions { exclusive: true, ..Default::default() };
    channel.queue_declare(queue.into(), declare, FieldTable::default()).await?;

    let mut wrong = [0, 0];
    for overlap in [false, true] {
        let (mut given, mut publishes) = (0, Vec::new());
        for number in 0..MESSAGES {
            let has_route = number % 3 != 0;
            let key = if has_route { queue } else { "no-such-queue" };
            let options = BasicPublishOptions { mandatory: true, ..Default::default() };
            let body = number.to_be_bytes();
            let properties = BasicProperties::default();
            let publish =
                channel.basic_publish("".into(), key.into(), options, &body, properties).await?;
            publishes.push((number, has_route, publish));
            if overlap && number + 1 < MESSAGES {
                continue;
            }
            for (number, has_route, publish) in publishes.drain(..) {
                let returned = match publish.await? {
                    Confirmation::Ack(returned) => returned,
                    other => panic!("{other:?}"),
                };
                given += u32::from(returned.is_some());
                let own = returned.as_ref().is_some_and(|it| it.delivery.data == number.to_be_bytes());
                wrong[usize::from(overlap)] += u32::from(own == has_route);
            }
        }
        println!(
            "{}: {given} returned messages, {} publishes with a wrong outcome",
            if overlap { "overlapping" } else { "one by one" },
            wrong[usize::from(overlap)],
        );
    }
    channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await?;
    assert_eq!(wrong[0], 0, "changed: one by one is wrong too");
    assert!(wrong[1] > 0, "changed: overlapping publishes get their own messages now");
    Ok(())
}
RUST
cargo run --quiet --manifest-path "$folder/Cargo.toml"
