//! amqprs: confirms, a consumer with acknowledgements, an error.

use std::{env, process};

use amqprs::{
    BasicProperties,
    channel::{
        BasicAckArguments, BasicConsumeArguments, BasicPublishArguments, ConfirmSelectArguments,
        QueueDeclareArguments,
    },
    connection::{Connection, OpenConnectionArguments},
};

#[tokio::main]
async fn main() {
    let url = env::var("URL").expect("the address of the broker");
    let port = url
        .rsplit_once(':')
        .expect("a port")
        .1
        .parse()
        .expect("a port");
    let arguments = OpenConnectionArguments::new("127.0.0.1", port, "guest", "guest");
    let connection = Connection::open(&arguments).await.expect("a connection");
    let channel = connection.open_channel(None).await.expect("a channel");
    channel
        .confirm_select(ConfirmSelectArguments::default())
        .await
        .expect("confirms");
    let declared = channel
        .queue_declare(QueueDeclareArguments::default())
        .await;
    let (queue, _, _) = declared.expect("a queue").expect("its name");
    for number in 0..1_000 {
        let body = number.to_string().into_bytes();
        let to = BasicPublishArguments::new("", &queue);
        channel
            .basic_publish(BasicProperties::default(), body, to)
            .await
            .expect("a publish");
    }
    let arguments = BasicConsumeArguments::new(&queue, "c");
    let (_tag, mut messages) = channel
        .basic_consume_rx(arguments)
        .await
        .expect("a consumer");
    let (mut passed, mut in_order) = (0, true);
    for number in 0..1_000 {
        let message = messages.recv().await.expect("a delivery");
        in_order &= message.content.as_deref() == Some(number.to_string().as_bytes());
        let tag = message.deliver.expect("a delivery").delivery_tag();
        channel
            .basic_ack(BasicAckArguments::new(tag, false))
            .await
            .expect("an ack");
    }
    passed += usize::from(in_order);
    let other = connection.open_channel(None).await.expect("a channel");
    let mut passive = QueueDeclareArguments::new("no such queue");
    passive.passive(true);
    passed += usize::from(other.queue_declare(passive).await.is_err());
    println!("{passed} of 2");
    process::exit(i32::from(passed != 2));
}
