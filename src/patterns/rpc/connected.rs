//! [`Connected`], the handles that servers and clients are made with.

use crate::{handles::broker::Broker, model::error::Result, session::connection::Connection};

/// A [`Broker`] or a [`Connection`]. The trait is sealed.
///
/// A broker stands for its implicit connection to the virtual host `/`.
pub trait Connected: sealed::Connected {}

impl<T: sealed::Connected + ?Sized> Connected for T {}

mod sealed {
    use super::{Connection, Result};

    pub trait Connected {
        fn connection(&self) -> Result<Connection>;
    }
}

impl sealed::Connected for Broker {
    fn connection(&self) -> Result<Connection> {
        self.implicit()
    }
}

impl sealed::Connected for Connection {
    fn connection(&self) -> Result<Connection> {
        Ok(self.clone())
    }
}
