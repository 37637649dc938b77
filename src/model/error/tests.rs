use super::*;
use crate::model::field_value::FieldValue;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// Every situation that has a reply code, with the code and the text.
fn situations() -> Vec<(Error, u16, &'static str)> {
    let (q, x, slash, guest) = (name("q"), name("x"), name("/"), name("guest"));
    let queue = EntityKind::Queue;
    let five = || Some(FieldValue::Int(5));
    vec![
        (
            Error::no_route(&x, "k"),
            312,
            "NO_ROUTE - no queue is bound to exchange 'x' for routing key 'k'",
        ),
        (
            Error::vhost_deleted(&x),
            320,
            "CONNECTION_FORCED - vhost 'x' is deleted",
        ),
        (
            Error::default_exchange(),
            403,
            "ACCESS_REFUSED - operation not permitted on the default exchange",
        ),
        (
            Error::system_exchange(&name("amq.direct"), &slash),
            403,
            "ACCESS_REFUSED - deletion of system exchange 'amq.direct' in vhost '/' not allowed",
        ),
        (
            Error::reserved_prefix(queue, &name("amq.q")),
            403,
            "ACCESS_REFUSED - queue name 'amq.q' contains reserved prefix 'amq.*'",
        ),
        (
            Error::internal_exchange(&x, &slash),
            403,
            "ACCESS_REFUSED - cannot publish to internal exchange 'x' in vhost '/'",
        ),
        (
            Error::exclusive_use(&q, &slash),
            403,
            "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use",
        ),
        (
            Error::login_refused("PLAIN"),
            403,
            "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the \
             broker logfile.",
        ),
        (
            Error::not_found(queue, &q, &slash),
            404,
            "NOT_FOUND - no queue 'q' in vhost '/'",
        ),
        (
            Error::not_found(EntityKind::VirtualHost, &x, &x),
            404,
            "NOT_FOUND - no vhost 'x'",
        ),
        (
            Error::NoDeclaredQueue,
            404,
            "NOT_FOUND - no previously declared queue",
        ),
        (
            Error::resource_locked(&q, &slash),
            405,
            "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'q' in vhost '/'. It could be originally declared on \
             another connection or the exclusive property value does not match that of the original declaration.",
        ),
        (
            Error::inequivalent(
                "durable",
                queue,
                &q,
                &slash,
                Some(true.into()),
                Some(false.into()),
            ),
            406,
            "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'q' in vhost '/': received 'true' but current is 'false'",
        ),
        (
            Error::inequivalent("x-expires", queue, &q, &slash, five(), None),
            406,
            "PRECONDITION_FAILED - inequivalent arg 'x-expires' for queue 'q' in vhost '/': received the value '5' of type 'signedint' \
             but current is none",
        ),
        (
            Error::inequivalent("x-expires", queue, &q, &slash, None, Some("a".into())),
            406,
            "PRECONDITION_FAILED - inequivalent arg 'x-expires' for queue 'q' in vhost '/': received none but current is the value 'a' of \
             type 'longstr'",
        ),
        (
            Error::in_use(EntityKind::Exchange, &x, &slash),
            406,
            "PRECONDITION_FAILED - exchange 'x' in vhost '/' in use",
        ),
        (
            Error::not_empty(&q, &slash),
            406,
            "PRECONDITION_FAILED - queue 'q' in vhost '/' not empty",
        ),
        (
            Error::invalid_argument(
                "x-message-ttl",
                queue,
                &q,
                &slash,
                "expected a whole number of milliseconds, got 'a'",
            ),
            406,
            "PRECONDITION_FAILED - invalid arg 'x-message-ttl' for queue 'q' in vhost '/': expected a whole number of milliseconds, got 'a'",
        ),
        (
            Error::invalid_argument_type("x-dead-letter-exchange", &12.into(), queue, &q, &slash),
            406,
            "PRECONDITION_FAILED - invalid type 'signedint' for arg 'x-dead-letter-exchange' in queue 'q' in vhost '/'",
        ),
        (
            Error::unsupported_argument("x-max-age", &q, &slash, "classic"),
            406,
            "PRECONDITION_FAILED - invalid arg 'x-max-age' for queue 'q' in vhost '/' of queue type classic",
        ),
        (
            Error::invalid_property("exclusive-owner", &q, &slash),
            406,
            "PRECONDITION_FAILED - invalid property 'exclusive-owner' for queue 'q' in vhost '/'",
        ),
        (
            Error::server_named("rabbit_quorum_queue"),
            406,
            "PRECONDITION_FAILED - Cannot declare a server-named queue for type rabbit_quorum_queue",
        ),
        (
            Error::unknown_exchange_type("carousel"),
            406,
            "PRECONDITION_FAILED - unknown exchange type 'carousel'",
        ),
        (
            Error::conditional_delete("if-empty", &q, &slash),
            540,
            "NOT_IMPLEMENTED - cannot delete queue 'q' in vhost '/'. queue.delete operations with if-empty flag set are not supported \
             by quorum queues",
        ),
        (
            Error::global_qos(&q, &slash),
            540,
            "NOT_IMPLEMENTED - queue 'q' in vhost '/' does not support global qos",
        ),
        (
            Error::queue_master_locator(),
            541,
            "INTERNAL_ERROR - Feature `queue_master_locator` is deprecated.\nBy default, this feature is not permitted anymore.\nThe \
             feature will be removed from a future major RabbitMQ version, regardless of the configuration; actual version to be \
             determined.\nTo con...",
        ),
        (
            Error::invalid_x_match(&"some".into()),
            406,
            "PRECONDITION_FAILED - Invalid x-match field value <<\"some\">>; expected all, any, all-with-x, or any-with-x",
        ),
        (
            Error::invalid_x_match(&5.into()),
            406,
            "PRECONDITION_FAILED - Invalid x-match field type signedint (value 5); expected longstr",
        ),
        (
            Error::unknown_delivery_tag(7),
            406,
            "PRECONDITION_FAILED - unknown delivery tag 7",
        ),
        (
            Error::tx_in_confirm_mode(),
            406,
            "PRECONDITION_FAILED - cannot switch from confirm to tx mode",
        ),
        (
            Error::confirm_in_tx_mode(),
            406,
            "PRECONDITION_FAILED - cannot switch from tx to confirm mode",
        ),
        (
            Error::not_transactional(),
            406,
            "PRECONDITION_FAILED - channel is not transactional",
        ),
        (
            Error::partial_commit(),
            406,
            "PRECONDITION_FAILED - partial tx completion",
        ),
        (
            Error::no_reply_consumer(),
            406,
            "PRECONDITION_FAILED - fast reply consumer does not exist",
        ),
        (
            Error::reply_consumer_cannot_acknowledge(),
            406,
            "PRECONDITION_FAILED - reply consumer cannot acknowledge",
        ),
        (
            Error::reply_consumer_already_set(),
            406,
            "PRECONDITION_FAILED - reply consumer already set",
        ),
        (
            Error::invalid_expiration("x", "no_integer"),
            406,
            "PRECONDITION_FAILED - invalid expiration 'x': no_integer",
        ),
        (
            Error::user_id_mismatch("other", &guest),
            406,
            "PRECONDITION_FAILED - user_id property set to 'other' but authenticated user was 'guest'",
        ),
        (
            Error::invalid_routing_header("CC", &"q".into()),
            406,
            "PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,\"CC\",longstr}",
        ),
        (
            Name::new("é".repeat(200)).unwrap_err().into(),
            502,
            "SYNTAX_ERROR - a name has at most 255 bytes, the one that begins 'éééééééééééééééééééé' has 400: shorten it",
        ),
        (
            Error::ResourceError("out of budget".into()),
            506,
            "RESOURCE_ERROR - out of budget",
        ),
        (
            Error::consumer_tag_in_use(&name("c")),
            530,
            "NOT_ALLOWED - attempt to reuse consumer tag 'c'",
        ),
        (
            Error::vhost_not_found(&x),
            530,
            "NOT_ALLOWED - vhost x not found",
        ),
        (Error::immediate(), 540, "NOT_IMPLEMENTED - immediate=true"),
        (
            Error::prefetch_size(9),
            540,
            "NOT_IMPLEMENTED - prefetch_size!=0 (9)",
        ),
        (
            Error::recover_without_requeue(),
            540,
            "NOT_IMPLEMENTED - requeue=false",
        ),
        (
            Error::not_implemented("active=false"),
            540,
            "NOT_IMPLEMENTED - active=false",
        ),
    ]
}

fn without_code() -> Vec<Error> {
    vec![
        Error::Refused {
            queue: name("q"),
            dead_lettered: false,
        },
        Error::NotShareable {
            type_name: "File",
            queues: 2,
        },
        CodecError::new("application/json", "eof").into(),
        Error::Cancelled(CancelReason::QueueDeleted),
        Error::ChannelClosed,
        Error::ConnectionClosed,
        Error::ShutDown,
        Error::BrokerDropped,
        Error::Timeout,
        Error::ScheduleEnded,
        ScheduleError::ZeroPeriod.into(),
        Error::PrefetchReached {
            queue: name("q"),
            prefetch: 16,
        },
    ]
}

#[test]
fn every_situation_has_rabbitmqs_code_and_words() {
    for (error, code, text) in situations() {
        assert_eq!(error.reply_code(), Some(code), "{text}");
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn the_text_begins_with_the_name_of_the_code() {
    for (error, code, text) in situations() {
        let name = match code {
            312 => "NO_ROUTE",
            320 => "CONNECTION_FORCED",
            403 => "ACCESS_REFUSED",
            404 => "NOT_FOUND",
            405 => "RESOURCE_LOCKED",
            406 => "PRECONDITION_FAILED",
            502 => "SYNTAX_ERROR",
            506 => "RESOURCE_ERROR",
            530 => "NOT_ALLOWED",
            540 => "NOT_IMPLEMENTED",
            541 => "INTERNAL_ERROR",
            other => panic!("{other} of {error:?} is not in AMQP's table"),
        };
        assert_eq!(text.split(" - ").next(), Some(name));
    }
}

#[test]
fn soft_codes_close_channels_and_hard_codes_close_connections() {
    for code in [311, 312, 313, 403, 404, 405, 406] {
        assert_eq!(Scope::of(code), Scope::Channel, "{code}");
    }
    for code in [320, 402, 501, 502, 503, 504, 505, 506, 530, 540, 541] {
        assert_eq!(Scope::of(code), Scope::Connection, "{code}");
    }
    assert_eq!(Error::unknown_delivery_tag(1).scope(), Scope::Channel);
    assert_eq!(Error::immediate().scope(), Scope::Connection);
}

#[test]
fn what_amqp_does_not_know_concerns_the_operation_only() {
    for error in without_code() {
        assert_eq!(error.reply_code(), None, "{error}");
        assert_eq!(error.scope(), Scope::Operation, "{error}");
    }
}

#[test]
fn the_predicates_pick_their_errors_and_no_others() {
    let all = situations()
        .into_iter()
        .map(|(error, ..)| error)
        .chain(without_code());
    for error in all {
        assert_eq!(
            error.is_not_found(),
            error.reply_code() == Some(404),
            "{error}"
        );
        assert_eq!(
            error.is_inequivalent(),
            error.to_string().contains("inequivalent"),
            "{error}"
        );
        let closed = matches!(
            error,
            Error::ChannelClosed
                | Error::ConnectionClosed
                | Error::VhostDeleted { .. }
                | Error::ShutDown
                | Error::BrokerDropped
        );
        assert_eq!(error.is_closed(), closed, "{error}");
    }
    assert!(Error::Cancelled(CancelReason::ShutDown).is_closed());
    assert!(Error::Cancelled(CancelReason::BrokerDropped).is_closed());
    assert!(!Error::Cancelled(CancelReason::ConsumerCancelled).is_closed());
}

#[test]
fn an_error_is_small_and_goes_anywhere() {
    fn goes_anywhere<T: Clone + Send + Sync + std::error::Error + 'static>() {}
    goes_anywhere::<Error>();
    assert!(size_of::<Error>() <= 48, "{}", size_of::<Error>());
}
