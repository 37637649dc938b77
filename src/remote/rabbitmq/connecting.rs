//! One attempt to connect.

use std::sync::Arc;

use async_rs::Runtime;
use lapin::{Connection, ConnectionProperties, tcp::OwnedTLSConfig};

use super::{fault, link::Login, settings::Settings};
use crate::model::error::{Error, Result};

/// The largest frame that is asked for if the URL says nothing. The client has buffers of 64 such
/// frames, and knows their size before it connects. So it does not touch them until they are
/// needed. RabbitMQ permits 128 KiB. All properties of a message are in one frame, also those of
/// other programs, so much less would not do.
const FRAME_MAX: u32 = 112 << 10;

/// The largest frame of a connection that sends little: the least that the client allows.
pub(super) const SMALL_FRAME_MAX: u32 = 8 << 10;

/// Connects to the first server that accepts the connection. `frame_max` is the largest frame, if
/// it is not that of the URL.
///
/// # Errors
/// A refused login, or the error of the last server.
pub(super) async fn connect(
    settings: &Settings,
    login: &Login,
    frame_max: Option<u32>,
) -> Result<(Connection, Arc<str>)> {
    let mut last = None;
    for address in &settings.addresses {
        let mut uri = address.uri.clone();
        uri.query.frame_max = frame_max.or(uri.query.frame_max).or(Some(FRAME_MAX));
        uri.vhost = login.vhost.to_string();
        if let Some((user, password)) = &login.credentials {
            uri.authority.userinfo.username = user.clone();
            uri.authority.userinfo.password = password.clone();
        }
        let mut properties = ConnectionProperties::default()
            .with_client_property("product".into(), "leveret".into())
            .with_client_property("version".into(), env!("CARGO_PKG_VERSION").into());
        if let Some(name) = &settings.name {
            properties = properties.with_connection_name(name.as_str().into());
        }
        let tls = OwnedTLSConfig {
            cert_chain: settings.root_certificates.clone(),
            ..OwnedTLSConfig::default()
        };
        let runtime = Runtime::tokio_current();
        let connecting = Connection::connect_uri_with_config(uri, properties, tls, runtime);
        let error = match tokio::time::timeout(settings.connect_timeout, connecting).await {
            Ok(Ok(connection)) => return Ok((connection, Arc::clone(&address.text))),
            Ok(Err(error)) => fault::of_connect(&error, &address.text),
            Err(_) => settings.no_answer(&address.text),
        };
        let is_refused = !matches!(error, Error::ConnectFailed { .. });
        last = Some(error);
        if is_refused {
            break;
        }
    }
    // There is at least one address.
    Err(last.unwrap_or(Error::ConnectionClosed))
}
