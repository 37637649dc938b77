//! There is no way around a permission, by nothing that a program can declare or bind. The broker
//! itself asks for nothing, as in RabbitMQ: where a message goes on, say.

use leveret::{
    Exchange, FieldTable, Overflow, Permission, Permissions, Policy, Properties, Queue, Selection,
    TopicPermissions, channel::PublishOptions,
};

use super::{assert_denied, bind, broker_of_ada, login, publish};

#[test]
fn no_one_reaches_a_secret_queue_by_a_forwarding_of_ones_own() {
    let own = Permissions::new("^ada-", "^(ada-|amq.default$)", "^ada-");
    let (broker, connection) = broker_of_ada(&own);
    let secret = broker.declare(&Exchange::fanout("secret")).unwrap();
    broker.declare(&Queue::new("q").bind(&secret, "")).unwrap();
    let channel = connection.open_channel().unwrap();
    let refused = channel.exchange_declare(&Exchange::fanout("ada-x").alternate("secret"));
    assert_denied(refused, Permission::Write, "secret");
    let queue = Queue::new("ada-q").dead_letter_exchange("secret");
    assert_denied(channel.queue_declare(&queue), Permission::Write, "secret");
    channel
        .exchange_declare(&Exchange::fanout("ada-x"))
        .unwrap();
    channel.queue_declare(&Queue::new("ada-q")).unwrap();
    assert_denied(bind(&channel, "q", "ada-x", ""), Permission::Write, "q");
    assert_denied(
        bind(&channel, "ada-q", "secret", ""),
        Permission::Read,
        "secret",
    );
    let to = channel.exchange_bind("secret", "ada-x", "", FieldTable::new());
    assert_denied(to, Permission::Write, "secret");
    let from = channel.exchange_bind("ada-x", "secret", "", FieldTable::new());
    assert_denied(from, Permission::Read, "secret");
    // By one description with its bindings.
    let listen = Queue::new("ada-q").bind(Exchange::existing("secret"), "");
    assert!(connection.declare(&listen).unwrap_err().reply_code() == Some(403));
    assert!(connection.consumer::<u32>(&listen).is_err());
    assert!(connection.simple_queue::<u32>(&listen).is_err());
    let made = Exchange::fanout("ada-y").bind(Exchange::existing("ada-x"), "");
    connection.declare(&made).unwrap();
    let reached = Exchange::fanout("secret").bind(Exchange::existing("ada-x"), "");
    assert_denied(
        connection.declare(&reached),
        Permission::Configure,
        "secret",
    );
    assert!(
        broker
            .route(&Exchange::existing("ada-x"), "", &FieldTable::new())
            .unwrap()
            .is_empty()
    );
}

#[test]
fn a_description_that_is_refused_makes_nothing_of_it() {
    let (broker, connection) = broker_of_ada(&Permissions::new("^(q|x)$", "^q$", "^x$"));
    let x = Exchange::fanout("x");
    let queue = Queue::new("q").bind(&x, "").bind(Exchange::fanout("y"), "");
    assert_denied(connection.declare(&queue), Permission::Configure, "y");
    assert!(broker.purge("q").is_err() || broker.purge(Queue::existing("q")).is_err());
    assert!(
        broker
            .route(&Exchange::existing("x"), "", &FieldTable::new())
            .is_err()
    );
}

#[test]
fn a_policy_is_for_those_with_a_tag_and_then_asks_for_nothing() {
    let (broker, connection) = broker_of_ada(&Permissions::all());
    let policy = || Policy::new("p", "^ada-q$").setting("dead-letter-exchange", "secret");
    let refused = connection.set_policy(policy());
    assert_denied(refused, Permission::Policymaker, "p");
    let text = connection.set_policy(policy()).unwrap_err().to_string();
    let expected =
        "ACCESS_REFUSED - policymaker access to policy 'p' in vhost '/' refused for user 'ada'";
    assert_eq!(text, expected);
    assert!(connection.policies().is_empty());
    // The tags of management count at once.
    broker.set_user_tags("ada", ["policymaker"]).unwrap();
    connection.set_policy(policy()).unwrap();
    assert_eq!(connection.policies().len(), 1);
    let operator = connection.set_operator_policy(policy());
    assert_denied(operator, Permission::Administrator, "p");
    broker.set_user_tags("ada", ["monitoring"]).unwrap();
    assert_eq!(connection.policies().len(), 1);
    assert_denied(connection.clear_policy("p"), Permission::Policymaker, "p");

    let secret = broker.declare(&Exchange::fanout("secret")).unwrap();
    broker.declare(&Queue::new("q").bind(&secret, "")).unwrap();
    let own = Permissions::new("^ada-q$", "^amq.default$", "");
    broker.set_permissions("/", "ada", &own).unwrap();
    let queue = Queue::new("ada-q")
        .max_length(0)
        .overflow(Overflow::RejectPublishDlx);
    connection.declare(&queue).unwrap();
    let channel = connection.open_channel().unwrap();
    publish(&channel, "", "ada-q").unwrap();
    assert_eq!(broker.purge("q").unwrap(), 1);
}

#[test]
fn what_is_declared_by_others_forwards_for_everyone() {
    let (broker, connection) = broker_of_ada(&Permissions::new("", "^x$", ""));
    let y = broker.declare(&Exchange::fanout("y")).unwrap();
    broker.declare(&Queue::new("q").bind(&y, "")).unwrap();
    let x = Exchange::direct("x").alternate("y");
    broker.declare(&x).unwrap();
    let channel = connection.open_channel().unwrap();
    publish(&channel, "x", "k").unwrap();
    assert_denied(publish(&channel, "y", "k"), Permission::Write, "y");
    assert_eq!(broker.purge("q").unwrap(), 1);
}

#[test]
fn the_keys_of_the_sender_are_asked_for_each_of_them() {
    let (broker, connection) = broker_of_ada(&Permissions::all());
    let topic = Exchange::existing("amq.topic");
    broker.declare(&Queue::new("q").bind(&topic, "#")).unwrap();
    let only_a = TopicPermissions::new("amq.topic", "^a", ".*");
    broker.set_topic_permissions("/", "ada", &only_a).unwrap();
    let channel = connection.open_channel().unwrap();
    let publish = |header: &str, keys: &[&str]| {
        let keys: Vec<leveret::FieldValue> = keys.iter().map(|key| (*key).into()).collect();
        let properties = Properties::new().header(header, keys);
        let options = PublishOptions::new();
        channel.basic_publish("amq.topic", "a", "m", properties, options)
    };
    for header in ["CC", "BCC"] {
        publish(header, &["aa", "ab"]).unwrap();
        assert_denied(
            publish(header, &["aa", "b"]),
            Permission::Write,
            "amq.topic#b",
        );
    }
    assert_eq!(broker.purge("q").unwrap(), 2);
}

#[test]
fn a_redrive_moves_what_its_user_may_read_and_publish() {
    let (broker, connection) = broker_of_ada(&Permissions::new("", "", "^dead$"));
    let home = Queue::new("home")
        .dead_letter_exchange("")
        .dead_letter_routing_key("dead");
    broker.declare(&Queue::new("dead")).unwrap();
    let producer = broker.producer::<u32>(&home).unwrap();
    producer.publish(1).unwrap();
    broker
        .consumer::<u32>(&home)
        .unwrap()
        .recv()
        .unwrap()
        .reject()
        .unwrap();
    let dead = Queue::existing("dead");
    assert_eq!(connection.redrive(&dead, Selection::all()).unwrap(), 0);
    let may_write = Permissions::new("", "^amq.default$", "");
    broker.set_permissions("/", "ada", &may_write).unwrap();
    assert_denied(
        connection.redrive(&dead, Selection::all()),
        Permission::Read,
        "dead",
    );
    let both = Permissions::new("", "^amq.default$", "^dead$");
    broker.set_permissions("/", "ada", &both).unwrap();
    assert_eq!(connection.redrive(&dead, Selection::all()).unwrap(), 1);
    assert_eq!(broker.purge(Queue::existing("home")).unwrap(), 1);
}

#[test]
fn a_reply_asks_to_write_to_the_default_exchange_and_its_consumer_for_nothing() {
    let (broker, connection) = broker_of_ada(&Permissions::new("", "^amq.default$", ""));
    super::add_user(&broker, "bob", &Permissions::new("", "", "^work$"));
    broker.declare(&Queue::new("work")).unwrap();
    let asker = connection.open_channel().unwrap();
    let options = leveret::channel::ConsumeOptions::new().auto_ack();
    asker
        .basic_consume("amq.rabbitmq.reply-to", options)
        .unwrap();
    let ask = Properties::new().reply_to("amq.rabbitmq.reply-to");
    asker
        .basic_publish("", "work", "ask", ask, PublishOptions::new())
        .unwrap();
    let answerer = login(&broker, "bob").open_channel();
    let answerer = answerer.unwrap();
    let question = answerer.basic_get("work", leveret::channel::AckMode::Auto);
    let question = question.unwrap().unwrap();
    let reply_to = question.properties().reply_to.clone().unwrap();
    answerer.queue_declare_passive(&reply_to).unwrap();
    let answer = publish(&answerer, "", &reply_to);
    assert_denied(answer, Permission::Write, "amq.default");
}
