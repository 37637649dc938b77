//! lapin: confirms, a consumer with acknowledgements, a return, an error.

use std::{env, process};

use futures_lite::StreamExt;
use lapin::{
    BasicProperties, Connection, ConnectionProperties, Result, options::*, types::FieldTable,
};

#[tokio::main]
async fn main() -> Result<()> {
    let url = env::var("URL").expect("the address of the broker") + "/%2f";
    let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await?;
    let queue = channel
        .queue_declare(
            "".into(),
            QueueDeclareOptions::default(),
            FieldTable::default(),
        )
        .await?;
    let name = queue.name().clone();
    let mut confirms = Vec::new();
    for number in 0..1_000 {
        let body = number.to_string();
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        let publish = channel.basic_publish(
            "".into(),
            name.clone(),
            options,
            body.as_bytes(),
            properties,
        );
        confirms.push(publish.await?);
    }
    let mut passed = 0;
    let mut all_acked = true;
    for confirm in confirms {
        all_acked &= confirm.await?.is_ack();
    }
    passed += usize::from(all_acked);
    let options = BasicConsumeOptions::default();
    let mut consumer = channel
        .basic_consume(name, "c".into(), options, FieldTable::default())
        .await?;
    let mut in_order = true;
    for number in 0..1_000 {
        let delivery = consumer.next().await.expect("a delivery")?;
        in_order &= delivery.data == number.to_string().as_bytes();
        delivery.ack(BasicAckOptions::default()).await?;
    }
    passed += usize::from(in_order);
    let options = BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    };
    let publish = channel.basic_publish(
        "".into(),
        "nowhere".into(),
        options,
        b"",
        BasicProperties::default(),
    );
    passed += usize::from(
        publish
            .await?
            .await?
            .take_message()
            .is_some_and(|it| it.reply_code == 312),
    );
    let other = connection.create_channel().await?;
    let options = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::default()
    };
    let failed = other
        .queue_declare("no such queue".into(), options, FieldTable::default())
        .await;
    passed += usize::from(failed.is_err_and(|error| error.to_string().contains("NOT_FOUND")));
    println!("{passed} of 4");
    process::exit(i32::from(passed != 4));
}
