//! Two tenants share a topic exchange. Each may publish and listen by its own name only, an auditor
//! may listen to everything, and a tenant that goes is cut off.
//!
//! `cargo run --example users_and_permissions` prints
//!
//! ```text
//! ada: published ada.order
//! ada: no write access to topic 'bob.order'
//! ada: no read access to topic '#'
//! ada: no configure access to queue 'bob-inbox' in vhost '/'
//! bob: published bob.order
//! the auditor heard ada.order bob.order
//! bob, without permissions: no write access to exchange 'events' in vhost '/'
//! bob, deleted: CONNECTION_FORCED - user 'bob' is deleted
//! bob, again: the login is refused
//! ```

use leveret::{
    Broker, Connection, Credentials, Error, Exchange, Permissions, Queue, Result, TopicPermissions,
    User,
};

fn main() -> Result {
    let broker = Broker::new();
    let events = broker.declare(&Exchange::topic("events"))?;
    for tenant in ["ada", "bob"] {
        add_tenant(&broker, tenant)?;
    }
    broker.add_user(User::new("auditor").password("auditor"))?;
    let listening = Permissions::new("^audit$", "^audit$", "^(audit|events)$");
    broker.set_permissions("/", "auditor", &listening)?;

    let existing = Exchange::existing(events.name());
    let auditor = login(&broker, "auditor")?;
    let audit = auditor.consumer::<u32>(&Queue::new("audit").bind(&existing, "#"))?;

    let ada = login(&broker, "ada")?;
    ada.declare(&Queue::new("ada-inbox").bind(&existing, "ada.#"))?;
    let publisher = ada.producer::<u32>(&existing)?;
    publisher.publish_to("ada.order", 1)?;
    println!("ada: published ada.order");
    let refused = publisher.publish_to("bob.order", 1).unwrap_err();
    println!("ada: {}", why(refused.error()));
    let too_much = Queue::new("ada-inbox").bind(&existing, "#");
    println!("ada: {}", why(&ada.declare(&too_much).unwrap_err()));
    let foreign = ada.declare(&Queue::new("bob-inbox")).unwrap_err();
    println!("ada: {}", why(&foreign));
    assert_eq!(foreign.reply_code(), Some(403));

    let bob = login(&broker, "bob")?;
    let publisher = bob.producer::<u32>(&existing)?;
    publisher.publish_to("bob.order", 2)?;
    println!("bob: published bob.order");

    let mut heard = Vec::new();
    while let Ok(event) = audit.try_recv() {
        heard.push(event.info().routing_key().to_owned());
        event.ack()?;
    }
    println!("the auditor heard {}", heard.join(" "));

    // A change counts at once, also for a producer that has published before.
    broker.clear_permissions("/", "bob")?;
    let refused = publisher.publish_to("bob.order", 3).unwrap_err();
    println!("bob, without permissions: {}", why(refused.error()));
    broker.delete_user("bob")?;
    let refused = publisher.publish_to("bob.order", 4).unwrap_err();
    println!("bob, deleted: {}", why(refused.error()));
    println!("bob, again: {}", why(&login(&broker, "bob").unwrap_err()));
    assert!(audit.try_recv().is_err());
    Ok(())
}

/// The reason of a refusal, without the user.
fn why(error: &Error) -> String {
    match error {
        Error::PermissionDenied(denied) => match &denied.topic {
            Some(topic) => format!("no {} access to topic '{topic}'", denied.permission),
            None => format!("no {} access to {}", denied.permission, denied.resource),
        },
        Error::LoginRefused { .. } => "the login is refused".to_owned(),
        other => other.to_string(),
    }
}

/// A user whose queues, and whose routing keys, begin with the own name.
fn add_tenant(broker: &Broker, name: &str) -> Result {
    broker.add_user(User::new(name).password(name))?;
    let own = format!("^{name}-");
    let permissions = Permissions::new(&own, format!("{own}|^events$"), format!("{own}|^events$"));
    broker.set_permissions("/", name, &permissions)?;
    let keys = r"^{username}\.";
    broker.set_topic_permissions("/", name, &TopicPermissions::new("events", keys, keys))
}

fn login(broker: &Broker, name: &str) -> Result<Connection> {
    broker.connect("/", Credentials::new(name, name))
}
