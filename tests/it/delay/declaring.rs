//! Declaring and deleting delayed exchanges.

use std::sync::Arc;

use leveret::{
    FieldTable, FieldValue, Local, Message, Queue,
    channel::{IfEmpty, IfUnused},
};

use crate::common::channel_of;

use super::*;

#[test]
fn a_delayed_exchange_needs_a_valid_x_delayed_type() -> Result {
    let (broker, _) = on_a_manual_clock();
    let asked = |value: Option<FieldValue>| {
        let exchange = Exchange::new("x", "x-delayed-message");
        let error = match value {
            Some(value) => broker.declare(&exchange.argument("x-delayed-type", value)),
            None => broker.declare(&exchange),
        };
        let error = error.unwrap_err();
        (error.reply_code(), error.to_string())
    };
    let missing = "PRECONDITION_FAILED - Invalid argument, 'x-delayed-type' must be an existing exchange type";
    assert_eq!(asked(None), (Some(406), missing.to_owned()));
    assert_eq!(asked(Some(5.into())), (Some(406), missing.to_owned()));
    let itself = "PRECONDITION_FAILED - Invalid argument, 'x-delayed-message' can't be used for 'x-delayed-type'";
    assert_eq!(
        asked(Some("x-delayed-message".into())),
        (Some(406), itself.to_owned())
    );
    let unknown = "PRECONDITION_FAILED - unknown exchange type 'x-unknown'";
    assert_eq!(
        asked(Some("x-unknown".into())),
        (Some(406), unknown.to_owned())
    );
    assert!(
        broker
            .declare(&Exchange::existing("x"))
            .unwrap_err()
            .is_not_found()
    );
    Ok(())
}

#[test]
fn a_redeclaration_is_compared_by_type_and_by_delayed_type() -> Result {
    let (broker, _) = on_a_manual_clock();
    broker.declare(&Exchange::topic("x").delayed())?;
    broker.declare(&Exchange::topic("x").delayed().delayed())?;
    let error = broker.declare(&Exchange::topic("x")).unwrap_err();
    assert!(
        error.to_string().contains("inequivalent arg 'type'"),
        "{error}"
    );
    for other in [
        Exchange::direct("x").delayed(),
        Exchange::new("x", "x-delayed-message"),
    ] {
        let error = broker.declare(&other).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("inequivalent arg 'x-delayed-type'"),
            "{error}"
        );
    }
    // Exchanges of other types ignore the argument.
    broker.declare(&Exchange::fanout("y").argument("x-delayed-type", 5))?;
    broker.declare(&Exchange::fanout("y"))?;
    Ok(())
}

#[test]
fn a_description_survives_being_written_down() {
    let exchange = Exchange::headers("x").delayed().durable();
    let written = serde_json::to_string(&exchange).unwrap();
    let expected = r#"{"name":"x","type":"x-delayed-message","durable":true,"arguments":{"x-delayed-type":"headers"}}"#;
    assert_eq!(written, expected);
    assert_eq!(
        serde_json::from_str::<Exchange>(&written).unwrap(),
        exchange
    );
}

#[test]
fn messages_that_wait_go_with_their_exchange() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let payload = Arc::new(());
    let waiting = |exchange: &Exchange| -> Result {
        let message = Message::new(Local(Arc::clone(&payload))).delay(ms(10));
        broker
            .producer::<Local<Arc<()>>>(exchange)?
            .publish_message(message)?;
        assert_eq!(Arc::strong_count(&payload), 2);
        Ok(())
    };
    let exchange = Exchange::fanout("deleted").delayed();
    waiting(&exchange)?;
    broker.delete(&exchange)?;
    assert_eq!(Arc::strong_count(&payload), 1);

    let channel = channel_of(&broker)?;
    channel.queue_declare(&Queue::new("q"))?;
    for unbind in [true, false] {
        let exchange = Exchange::fanout("auto-deleted").delayed().auto_delete();
        broker.declare(&exchange)?;
        channel.queue_bind("q", exchange.name(), "", FieldTable::new())?;
        waiting(&exchange)?;
        match unbind {
            true => channel.queue_unbind("q", exchange.name(), "", FieldTable::new())?,
            false => drop(channel.queue_delete("q", IfUnused::No, IfEmpty::No)?),
        }
        assert!(
            broker
                .declare(&Exchange::existing("auto-deleted"))
                .unwrap_err()
                .is_not_found()
        );
        assert_eq!(Arc::strong_count(&payload), 1, "unbind: {unbind}");
    }

    waiting(&Exchange::fanout("x").delayed())?;
    let report = broker.shutdown(Duration::ZERO)?;
    assert!(!report.timed_out && report.queues.is_empty());
    assert_eq!(
        (&*report.exchanges[0].exchange, report.exchanges[0].delayed),
        ("x", 1)
    );
    assert_eq!(Arc::strong_count(&payload), 1);
    clock.advance(ms(10));
    Ok(())
}

#[test]
fn an_internal_delayed_exchange_is_fed_by_others_only() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let source = Exchange::fanout("source");
    let inner = Exchange::fanout("inner")
        .delayed()
        .internal()
        .bind(&source, "");
    let consumer = broker.consumer::<String>(&Queue::new("q").bind(&inner, ""))?;
    let direct = broker
        .producer::<String>(&inner)?
        .publish_message(text("m", 10));
    assert_eq!(direct.unwrap_err().error().reply_code(), Some(403));
    broker
        .producer::<String>(&source)?
        .publish_message(text("m", 10))?;
    clock.advance(ms(10));
    assert_eq!(all(&consumer), ["m"]);
    Ok(())
}
