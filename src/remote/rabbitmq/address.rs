//! The addresses of servers, from a URL.

use std::{fmt, sync::Arc};

use lapin::uri::AMQPUri;

use crate::model::error::{Error, Result};

/// The address of a server, with the login and the virtual host of its URL.
#[derive(Clone)]
pub(super) struct Address {
    pub(super) uri: AMQPUri,
    /// The host and the port, for people.
    pub(super) text: Arc<str>,
}

impl Address {
    /// Reads one URL, or several with `;` between them.
    ///
    /// # Errors
    /// [`Error::InvalidUrl`].
    pub(super) fn read_all(urls: &str) -> Result<Vec<Address>> {
        urls.split(';').map(Address::read).collect()
    }

    fn read(url: &str) -> Result<Address> {
        let url = url.trim();
        let invalid = |fault: String| Error::InvalidUrl {
            url: without_password(url).into(),
            fault: fault.into(),
        };
        if url.contains('[') {
            // The parser of the client would take another host without a word.
            return Err(invalid("an address of IPv6 needs a host name".to_owned()));
        }
        let mut uri: AMQPUri = url.parse().map_err(invalid)?;
        if uri.vhost.is_empty() {
            uri.vhost = "/".to_owned();
        }
        let text = format!("{}:{}", uri.authority.host, uri.authority.port).into();
        Ok(Address { uri, text })
    }
}

/// Shows no password.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Address").field(&self.text).finish()
    }
}

/// The URL as it may be shown.
pub(super) fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let Some((login, host)) = rest.rsplit_once('@') else {
        return url.to_owned();
    };
    match login.split_once(':') {
        Some((user, _)) => format!("{scheme}://{user}:***@{host}"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_hosts_logins_and_virtual_hosts() {
        let all = Address::read_all("amqp://ada:s%40crt@a:1/%2Ftest;amqps://b").unwrap();
        let [first, second] = &all[..] else {
            panic!("{all:?}");
        };
        assert_eq!((&*first.text, &*first.uri.vhost), ("a:1", "/test"));
        assert_eq!(first.uri.authority.userinfo.password, "s@crt");
        assert_eq!((&*second.text, &*second.uri.vhost), ("b:5671", "/"));
        let default = Address::read_all("amqp://localhost/").unwrap();
        assert_eq!(default[0].uri.vhost, "/");
    }

    #[test]
    fn a_url_that_cannot_be_used_says_why_and_hides_its_password() {
        for (url, shown) in [
            ("amqp://ada:secret@host:many", "amqp://ada:***@host:many"),
            ("http://host", "http://host"),
            ("amqp://[::1]", "amqp://[::1]"),
            ("rabbit", "rabbit"),
            ("", ""),
        ] {
            let error = Address::read_all(url).unwrap_err();
            let Error::InvalidUrl { url, fault } = error else {
                panic!("{error:?}");
            };
            assert_eq!(&*url, shown);
            assert!(!fault.is_empty());
        }
    }
}
