//! The mechanism `EXTERNAL`: the program knows by itself who a peer is.

use std::{fmt, sync::Arc};

use crate::{model::field_value::FieldTable, runtime::catch_panic::catch_panic};

/// A login by the mechanism `EXTERNAL`, as the program decides it.
///
/// [`ServerConfig::external_by`](super::ServerConfig::external_by) has an example.
#[derive(Clone, Copy, Debug)]
pub struct ExternalLogin<'a> {
    pub(super) response: &'a [u8],
    pub(super) client_properties: &'a FieldTable,
    pub(super) peer_address: Option<&'a str>,
}

impl<'a> ExternalLogin<'a> {
    /// What the peer has sent with its choice of the mechanism: by SASL the name of the user that
    /// it wants to be. Most clients send nothing. It proves nothing.
    pub fn response(&self) -> &'a [u8] {
        self.response
    }

    /// The properties that the peer has sent with its login. They prove nothing.
    pub fn client_properties(&self) -> &'a FieldTable {
        self.client_properties
    }

    /// The address that [`peer_address`](super::ServerConfig::peer_address) has set.
    pub fn peer_address(&self) -> Option<&'a str> {
        self.peer_address
    }
}

type UserOf = dyn Fn(&ExternalLogin<'_>) -> Option<String> + Send + Sync;

/// Finds the user of a peer.
#[derive(Clone)]
pub(super) struct External(Arc<UserOf>);

impl External {
    pub(super) fn new(
        user_of: impl Fn(&ExternalLogin<'_>) -> Option<String> + Send + Sync + 'static,
    ) -> External {
        External(Arc::new(user_of))
    }

    /// The user, if the program knows the peer. Runs user code. A panic of it knows no one.
    pub(super) fn user(&self, login: &ExternalLogin<'_>) -> Option<String> {
        catch_panic(|| (self.0)(login)).flatten()
    }
}

impl fmt::Debug for External {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("External")
    }
}
