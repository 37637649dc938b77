//! The addresses of servers, from a URL.

use std::{borrow::Cow, fmt, net::Ipv6Addr, sync::Arc};

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
        let (plain, literal) = without_literal(url).map_err(invalid)?;
        let mut uri: AMQPUri = plain.parse().map_err(invalid)?;
        let host = literal.map(|literal| literal.to_string());
        let host = host.unwrap_or_else(|| uri.authority.host.clone());
        if uri.vhost.is_empty() {
            uri.vhost = "/".to_owned();
        }
        let text = match literal {
            Some(_) => format!("[{host}]:{}", uri.authority.port).into(),
            None => format!("{host}:{}", uri.authority.port).into(),
        };
        uri.authority.host = host;
        Ok(Address { uri, text })
    }
}

/// The URL with a name in the place of an address of IPv6, and that address. The parser of the
/// client would take it for another host.
///
/// # Errors
/// The fault of brackets that hold no such address.
fn without_literal(url: &str) -> std::result::Result<(Cow<'_, str>, Option<Ipv6Addr>), String> {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = authority.split(['/', '?']).next().unwrap_or_default();
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    if !host.contains('[') {
        return Ok((Cow::Borrowed(url), None));
    }
    let literal = host.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let Some((literal, port)) = literal else {
        return Err("a bracket of the host is alone".to_owned());
    };
    if !port.is_empty() && !port.starts_with(':') {
        return Err(format!("'{port}' is no port"));
    }
    let address = literal
        .parse()
        .map_err(|error| format!("'{literal}': {error}"))?;
    let plain = url.replacen(&format!("[{literal}]"), "localhost", 1);
    Ok((Cow::Owned(plain), Some(address)))
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
        let literal = Address::read_all("amqp://a:b@[::1]:7/v;amqps://[2001:db8::2]").unwrap();
        assert_eq!(
            (&*literal[0].text, &*literal[0].uri.authority.host),
            ("[::1]:7", "::1")
        );
        assert_eq!(
            (&*literal[0].uri.vhost, &*literal[1].text),
            ("v", "[2001:db8::2]:5671")
        );
        let default = Address::read_all("amqp://localhost/").unwrap();
        assert_eq!(default[0].uri.vhost, "/");
    }

    #[test]
    fn a_url_that_cannot_be_used_says_why_and_hides_its_password() {
        for (url, shown) in [
            ("amqp://ada:secret@host:many", "amqp://ada:***@host:many"),
            ("http://host", "http://host"),
            ("amqp://[::1", "amqp://[::1"),
            ("amqp://[::x]", "amqp://[::x]"),
            ("amqp://[::1]x", "amqp://[::1]x"),
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
