//! The handshake of a client: the login, the limits, the virtual host.

use leveret::{
    Broker, FieldTable, ManualClock, User,
    amqp::{CloseReason, ServerConfig},
};
use std::time::Duration;

use crate::wire::{Arguments, Client, Closed, frame, method};

const HEADER: &[u8] = b"AMQP\x00\x00\x09\x01";

fn server(broker: &Broker) -> Client {
    let mut client = Client::new(broker, ServerConfig::new());
    client.send(HEADER);
    client
}

/// Chooses a mechanism, and returns the answer.
fn start_ok(
    client: &mut Client,
    capabilities: &[&str],
    mechanism: &str,
    response: &[u8],
) -> Result<(), Closed> {
    let capabilities: FieldTable = capabilities.iter().map(|name| (*name, true)).collect();
    let arguments = Arguments::new()
        .table(&FieldTable::from([("capabilities", capabilities)]))
        .text(mechanism)
        .long_string(response)
        .text("en_US");
    client.call(0, (10, 11), arguments, &[(10, 30)]).map(drop)
}

const CLOSES: &[&str] = &["authentication_failure_close"];

#[test]
fn the_server_tells_its_properties_and_rabbitmqs_capabilities() {
    let broker = Broker::new();
    let config = ServerConfig::new().server_property("cluster_name", "mine");
    let mut client = Client::new(&broker, config);
    client.send(HEADER);
    let start = client.await_reply(0, &[(10, 10)]).unwrap();
    let mut fields = start.fields();
    assert_eq!((fields.octet(), fields.octet()), (0, 9));
    let properties = fields.table();
    assert_eq!(properties.get("product"), Some(&"leveret".into()));
    assert_eq!(properties.get("cluster_name"), Some(&"mine".into()));
    let capabilities = properties.get("capabilities").unwrap().as_table().unwrap();
    let names: Vec<&str> = capabilities.iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "publisher_confirms",
            "exchange_exchange_bindings",
            "basic.nack",
            "consumer_cancel_notify",
            "connection.blocked",
            "consumer_priorities",
            "authentication_failure_close",
            "per_consumer_qos",
            "direct_reply_to",
        ]
    );
    assert_eq!(fields.long_string(), b"PLAIN AMQPLAIN");
    assert_eq!(fields.long_string(), b"en_US");
}

#[test]
fn a_client_logs_in_by_each_mechanism() {
    let broker = Broker::builder().user("ada", "secret").build();
    let plain = b"\0ada\0secret";
    assert_eq!(start_ok(&mut server(&broker), &[], "PLAIN", plain), Ok(()));
    let login = FieldTable::from([("LOGIN", "ada"), ("PASSWORD", "secret")]);
    let table = Arguments::new().table(&login).0;
    assert_eq!(
        start_ok(&mut server(&broker), &[], "AMQPLAIN", &table[4..]),
        Ok(())
    );
    let mut client = Client::new(&broker, ServerConfig::new().external("ada"));
    client.send(HEADER);
    assert_eq!(start_ok(&mut client, &[], "EXTERNAL", b""), Ok(()));
    let tune = Arguments::new().short(1).long(4096).short(0);
    client.send(&method(0, (10, 31), tune));
    let open = Arguments::new().text("/").text("").octet(0);
    client.call(0, (10, 40), open, &[(10, 41)]).unwrap();
}

#[test]
fn a_login_that_is_refused_closes_a_client_that_knows_it() {
    let broker = Broker::new();
    for (user, password) in [("guest", "wrong"), ("stranger", "guest")] {
        let response = format!("\0{user}\0{password}");
        let closed = start_ok(&mut server(&broker), CLOSES, "PLAIN", response.as_bytes());
        let closed = closed.unwrap_err();
        let text = "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For \
                    details see the broker logfile.";
        assert_eq!((closed.reply_code, &*closed.reply_text), (403, text));
        assert_eq!((closed.of_connection, closed.method), (true, (0, 0)));
    }
}

#[test]
fn the_program_decides_who_a_peer_is_by_external() {
    let broker = Broker::new();
    broker.add_user(User::new("ada")).unwrap();
    let config = ServerConfig::new().peer_address("1.2.3.4:5");
    let config = config.external_by(|login| match login.response() {
        b"who" => panic!("the program does not know"),
        b"ada" => login
            .peer_address()?
            .starts_with("1.2.")
            .then(|| "ada".to_owned()),
        b"bob" => Some("bob".to_owned()),
        _ => login
            .client_properties()
            .get("capabilities")
            .map(|_| String::new()),
    });
    for (response, is_known) in [
        (&b"ada"[..], true),
        (b"bob", false),
        (b"who", false),
        (b"", false),
    ] {
        let mut client = Client::new(&broker, config.clone());
        client.send(HEADER);
        let answer = start_ok(&mut client, CLOSES, "EXTERNAL", response);
        match answer {
            Ok(_) => assert!(is_known, "{response:?}"),
            Err(closed) => assert_eq!((closed.reply_code, is_known), (403, false)),
        }
    }
}

#[test]
fn a_login_that_is_refused_keeps_another_client_waiting() {
    let clock = ManualClock::new();
    let broker = Broker::builder().clock(clock.clone()).build();
    let mut client = server(&broker);
    let arguments = Arguments::new()
        .long(0)
        .text("PLAIN")
        .long_string(b"\0guest\0wrong")
        .text("en_US");
    client.take_ids();
    client.send(&method(0, (10, 11), arguments));
    let end = client.server.poll_timeout().unwrap();
    client.server.handle_timeout(end - Duration::from_millis(1));
    client.pump();
    assert!(!client.is_over && client.incoming.is_empty());
    // Nothing is done for it.
    client.send(&frame(1, 0, b"anything"));
    client.server.handle_timeout(end);
    client.pump();
    assert!(client.is_over && client.incoming.is_empty());
    assert_eq!(
        client.server.close_reason(),
        Some(&CloseReason::LoginRefused)
    );
}

#[test]
fn a_faulty_handshake_is_closed_with_the_code_of_its_fault() {
    let broker = Broker::new();
    let code = |mechanism: &str, response: &[u8]| {
        let closed = start_ok(&mut server(&broker), CLOSES, mechanism, response);
        let closed = closed.unwrap_err();
        (closed.reply_code, closed.method)
    };
    assert_eq!(code("GSSAPI", b""), (503, (10, 11)));
    assert_eq!(code("EXTERNAL", b"guest"), (503, (10, 11)));
    assert_eq!(code("PLAIN", b"guest"), (502, (10, 11)));
    assert_eq!(code("PLAIN", b"\0guest\0\xff"), (502, (10, 11)));
    assert_eq!(code("AMQPLAIN", b"\0guest\0guest"), (502, (10, 11)));

    let mut early = server(&broker);
    let open = Arguments::new().text("/").text("").octet(0);
    let closed = early.call(0, (10, 40), open, &[]).unwrap_err();
    assert_eq!((closed.reply_code, closed.method), (503, (10, 40)));
    let mut other = server(&broker);
    let closed = other.call(1, (20, 10), Arguments::new().text(""), &[]);
    assert_eq!(closed.unwrap_err().reply_code, 505);
}

#[test]
fn limits_beyond_those_of_the_server_are_refused() {
    let broker = Broker::new();
    for (channels, frames, text) in [
        (
            0,
            4096,
            "channel_max = 0 (no limit) is higher than the maximum allowed value (2047)",
        ),
        (
            3000,
            4096,
            "channel_max = 3000 is higher than the maximum allowed value (2047)",
        ),
        (
            1,
            0,
            "frame_max = 0 (no limit) is higher than the maximum allowed value (131072)",
        ),
        (
            1,
            200_000,
            "frame_max = 200000 is higher than the maximum allowed value (131072)",
        ),
        (
            1,
            4095,
            "frame_max = 4095 is lower than the minimum allowed value (4096)",
        ),
    ] {
        let mut client = server(&broker);
        start_ok(&mut client, &[], "PLAIN", b"\0guest\0guest").unwrap();
        let tune = Arguments::new().short(channels).long(frames).short(0);
        let closed = client.call(0, (10, 31), tune, &[]).unwrap_err();
        assert_eq!((closed.reply_code, closed.method), (530, (10, 31)));
        assert_eq!(
            closed.reply_text,
            format!("NOT_ALLOWED - negotiated {text}")
        );
    }
}

#[test]
fn a_virtual_host_that_a_user_may_not_enter_is_refused() {
    let broker = Broker::new();
    broker
        .add_user(leveret::User::new("ada").password("secret"))
        .unwrap();
    for (vhost, user, password, text) in [
        (
            "nowhere",
            "guest",
            "guest",
            "NOT_ALLOWED - vhost nowhere not found",
        ),
        (
            "/",
            "ada",
            "secret",
            "NOT_ALLOWED - access to vhost '/' refused for user 'ada'",
        ),
    ] {
        let mut client = Client::new(&broker, ServerConfig::new());
        let closed = client.log_in(vhost, user, password, 0).unwrap_err();
        assert_eq!((closed.reply_code, &*closed.reply_text), (530, text));
        assert_eq!((closed.of_connection, closed.method), (true, (10, 40)));
        assert!(client.is_over);
    }
}

#[test]
fn a_peer_of_another_protocol_is_told_this_one() {
    let broker = Broker::new();
    for hello in [
        &b"GET / HT"[..],
        b"AMQP\x00\x01\x00\x00",
        b"AMQP\x01\x01\x09\x01",
        b"\x16",
    ] {
        let mut client = Client::new(&broker, ServerConfig::new());
        assert_eq!(client.server.receive(hello), hello.len());
        let mut answer = Vec::new();
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(
            client
                .server
                .poll_output(&mut context, &mut answer)
                .is_ready()
        );
        assert_eq!(answer, HEADER);
        assert_eq!(
            client.server.close_reason(),
            Some(&CloseReason::ProtocolHeader)
        );
        assert!(client.server.is_ended());
    }
}
