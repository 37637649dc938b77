//! The handshake: the login, the limits, the virtual host.

use super::{
    CloseReason, Phase, ServerConnection,
    config::FRAME_MIN_SIZE,
    external::ExternalLogin,
    fault::{self, Fault},
    heartbeat::Heartbeat,
    session::{Capabilities, Session},
    timing,
};
use crate::{
    model::{access::Credentials, error::Error, field_value::FieldTable},
    protocol::amqp::codec::{
        Method,
        frame::{self, Frame},
        table_of,
    },
    session::{
        broker_core::{AuthenticatedUser, BrokerCore},
        connection::ConnectionOptions,
    },
};
use std::sync::Arc;

impl ServerConnection {
    /// Sends `connection.start`.
    pub(super) fn start(&mut self) {
        let start = Method::ConnectionStart {
            version_major: 0,
            version_minor: 9,
            server_properties: self.config.server_properties(),
            mechanisms: self.config.mechanisms().as_bytes(),
            locales: b"en_US",
        };
        self.output.method(0, &start);
        self.phase = Phase::Start;
    }

    /// A frame of the handshake.
    pub(super) fn handshake(&mut self, frame: Frame<'_>) -> Result<(), Fault> {
        match (frame.kind, frame.channel) {
            (frame::METHOD, 0) => {}
            (frame::HEARTBEAT, 0) if frame.payload.is_empty() => return Ok(()),
            (frame::METHOD | frame::HEADER | frame::BODY | frame::HEARTBEAT, _) => {
                return Err(Fault::unexpected(frame));
            }
            _ => return Err(Fault::unknown_frame(frame)),
        }
        let method = Method::read(frame.payload)
            .map_err(|malformed| fault::no_method(malformed, frame.payload))?;
        let id = method.id();
        if let Method::ConnectionClose { .. } = method {
            return self.connection_method(method);
        }
        let done = match (std::mem::replace(&mut self.phase, Phase::Closing), method) {
            (
                Phase::Start,
                Method::ConnectionStartOk {
                    client_properties,
                    mechanism,
                    response,
                    ..
                },
            ) => {
                self.client_properties = client_properties;
                self.log_in(mechanism, response)
            }
            (
                Phase::Tune(user),
                Method::ConnectionTuneOk {
                    channel_max,
                    frame_max,
                    heartbeat,
                },
            ) => self.tune(user, channel_max, frame_max, heartbeat),
            (Phase::Open(user), Method::ConnectionOpen { vhost, .. }) => self.open(&user, vhost),
            (phase, _) => {
                let waits_for = match phase {
                    Phase::Start => "connection.start-ok",
                    Phase::Tune(_) => "connection.tune-ok",
                    _ => "connection.open",
                };
                let text = format_args!("expected '{waits_for}'");
                Err(Fault::of_connection(503, text))
            }
        };
        done.map_err(|fault| match fault.method {
            (0, 0) if fault.reply_code != 403 => fault.with(id),
            _ => fault,
        })
    }

    fn log_in(&mut self, mechanism: &str, response: &[u8]) -> Result<(), Fault> {
        let credentials = match mechanism {
            "PLAIN" => plain(response),
            "AMQPLAIN" => amqplain(response),
            "EXTERNAL" if self.config.external.is_some() => self.external(response),
            _ => {
                let text = format_args!("unknown authentication mechanism '{mechanism}'");
                return Err(Fault::of_connection(503, text));
            }
        };
        let Some(credentials) = credentials else {
            let text = format_args!("the response of {mechanism} is invalid");
            return Err(Fault::of_connection(502, text));
        };
        let authenticated = self
            .broker()?
            .authenticate(&credentials.mechanism(mechanism));
        match authenticated {
            Ok(user) => {
                let tune = Method::ConnectionTune {
                    channel_max: self.config.channel_max,
                    frame_max: self.config.frame_max,
                    heartbeat: self.config.heartbeat,
                };
                self.output.method(0, &tune);
                self.phase = Phase::Tune(user);
                Ok(())
            }
            Err(error @ Error::LoginRefused { .. }) => self.refuse(&error),
            Err(error) => Err(Fault::of(&error, (0, 0))),
        }
    }

    /// The user whom the program names. No user has the empty name.
    fn external(&self, response: &[u8]) -> Option<Credentials> {
        let login = ExternalLogin {
            response,
            client_properties: &self.client_properties,
            peer_address: self.config.peer_address.as_deref(),
        };
        let user = self.config.external.as_ref()?.user(&login);
        Some(Credentials::external(user.unwrap_or_default()))
    }

    /// Tells the peer that its login was refused, if it knows how to be told. Otherwise it waits
    /// for the end of the connection.
    fn refuse(&mut self, error: &Error) -> Result<(), Fault> {
        let capabilities = Capabilities::of(&self.client_properties);
        if capabilities.authentication_failure_close {
            return Err(Fault::of(error, (0, 0)));
        }
        self.phase = Phase::Refused;
        self.reason = Some(CloseReason::LoginRefused);
        self.deadline = self.time.now().checked_add(timing::REFUSED);
        Ok(())
    }

    fn tune(
        &mut self,
        user: AuthenticatedUser,
        channel_max: u16,
        frame_max: u32,
        heartbeat: u16,
    ) -> Result<(), Fault> {
        check(
            "channel_max",
            channel_max.into(),
            1,
            self.config.channel_max.into(),
        )?;
        check(
            "frame_max",
            frame_max,
            FRAME_MIN_SIZE,
            self.config.frame_max,
        )?;
        self.config.channel_max = channel_max;
        self.frame_max = frame_max;
        self.output.most = frame_max as usize - frame::OVERHEAD;
        self.heartbeat = Heartbeat::new(heartbeat, self.time.now());
        self.phase = Phase::Open(user);
        Ok(())
    }

    fn open(&mut self, user: &AuthenticatedUser, vhost: &str) -> Result<(), Fault> {
        let mut options = ConnectionOptions::new()
            .protocol("AMQP 0-9-1")
            .client_properties(self.client_properties.clone())
            .refuse_overflow_block();
        if let Some(address) = &self.config.peer_address {
            options = options.peer_address(address);
        }
        let name = self.client_properties.get("connection_name");
        if let Some(name) = name.and_then(|name| name.as_str()) {
            options = options.name(name);
        }
        let connection = self.broker()?.connect(user, vhost, options);
        let connection = connection.map_err(|error| Fault::of(&error, (0, 0)))?;
        let capabilities = Capabilities::of(&self.client_properties);
        self.session = Some(Session::new(connection, capabilities, &self.config));
        self.output
            .method(0, &Method::ConnectionOpenOk { known_hosts: "" });
        self.phase = Phase::Running;
        self.deadline = None;
        Ok(())
    }

    fn broker(&self) -> Result<Arc<BrokerCore>, Fault> {
        let broker = self.broker.upgrade();
        broker.ok_or_else(|| Fault::of(&Error::BrokerDropped, (0, 0)))
    }
}

/// Checks a limit that the peer has chosen. 0 stands for none.
fn check(name: &str, chosen: u32, least: u32, most: u32) -> Result<(), Fault> {
    let text = match chosen {
        0 => format!(
            "negotiated {name} = 0 (no limit) is higher than the maximum allowed value ({most})"
        ),
        _ if chosen < least => {
            format!(
                "negotiated {name} = {chosen} is lower than the minimum allowed value ({least})"
            )
        }
        _ if chosen > most => {
            format!(
                "negotiated {name} = {chosen} is higher than the maximum allowed value ({most})"
            )
        }
        _ => return Ok(()),
    };
    Err(Fault::of_connection(530, text))
}

/// The response of `PLAIN`: an identity that is ignored, the user, the password.
fn plain(response: &[u8]) -> Option<Credentials> {
    let mut parts = std::str::from_utf8(response).ok()?.splitn(3, '\0');
    let (_, user, password) = (parts.next()?, parts.next()?, parts.next()?);
    Some(Credentials::new(user, password))
}

/// The response of `AMQPLAIN`: the fields of a table without its length.
fn amqplain(response: &[u8]) -> Option<Credentials> {
    let table: FieldTable = table_of(response).ok()?;
    let text = |name| table.get(name)?.as_str();
    Some(Credentials::new(text("LOGIN")?, text("PASSWORD")?))
}
