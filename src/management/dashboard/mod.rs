//! A page for a browser that shows a broker, for a web server of the program.

use std::{
    sync::{Arc, Weak},
    time::{Duration, UNIX_EPOCH},
};

use serde_json::{Value, json};

use super::snapshot::VhostSnapshot;
use crate::{
    handles::broker::Broker,
    model::error::{Error, Result},
    session::broker_core::BrokerCore,
};

/// A page for a browser that shows a broker while it runs: rates as curves, queues, the topology,
/// exchanges, consumers and connections.
///
/// leveret opens no port. The program serves two things from its own web server: [`page`] with the
/// content type `text/html; charset=utf-8`, and [`data`] with `application/json`, which the page
/// asks for again and again. The page is one file: it loads nothing else, from nowhere. It follows
/// the light or dark setting of the reader, and fits a telephone.
///
/// The page shows the names of queues and users to all who can open it. It changes nothing.
///
/// A dashboard does not keep its broker alive.
///
/// [`page`]: Dashboard::page
/// [`data`]: Dashboard::data
///
/// # Examples
/// The package `examples/dashboard` serves one.
/// ```
/// use leveret::{Broker, Dashboard};
/// use std::time::Duration;
///
/// let broker = Broker::new();
/// let dashboard = Dashboard::new(&broker)
///     .title("The shop")
///     .data_path("/status/data.json")
///     .interval(Duration::from_secs(2));
/// let answer = |path: &str| match path {
///     "/status" => Some(("text/html; charset=utf-8", dashboard.page())),
///     "/status/data.json" => Some(("application/json", dashboard.data().ok()?)),
///     _ => None,
/// };
/// assert!(answer("/status").unwrap().1.starts_with("<!doctype html>"));
/// assert!(answer("/status/data.json").unwrap().1.starts_with('{'));
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Dashboard {
    core: Weak<BrokerCore>,
    title: String,
    data_path: String,
    interval: Duration,
}

/// The shortest time between two questions of a page.
const LEAST_INTERVAL: Duration = Duration::from_millis(100);

/// How many queues, exchanges and bindings a picture has at most. More would be a tangle.
const MOST_IN_PICTURE: usize = 300;

impl Dashboard {
    /// A dashboard of this broker, with the title `leveret`, the data path `data.json` and an
    /// interval of a second.
    pub fn new(broker: &Broker) -> Dashboard {
        Dashboard {
            core: Arc::downgrade(broker.core()),
            title: "leveret".to_owned(),
            data_path: "data.json".to_owned(),
            interval: Duration::from_secs(1),
        }
    }

    /// The title of the page.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// The path at which the program serves [`data`](Self::data). A relative path is relative to
    /// that of the page.
    pub fn data_path(mut self, path: impl Into<String>) -> Self {
        self.data_path = path.into();
        self
    }

    /// The time after which an open page asks for new data. At least 100 milliseconds.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval.max(LEAST_INTERVAL);
        self
    }

    /// The page, as HTML. It stays the same while the settings do.
    #[must_use]
    pub fn page(&self) -> String {
        let interval = self.interval.as_millis().min(u128::from(u32::MAX));
        include_str!("page.html")
            .replace("{{interval}}", &interval.to_string())
            .replace("{{data}}", &script_text(&self.data_path))
            .replace("{{title}}", &html_text(&self.title))
    }

    /// The numbers for the page, as JSON: [`Snapshot::to_json`](crate::Snapshot::to_json), with the
    /// topology as an SVG in the field `topology`. That is null if the topology is too large for a
    /// picture, and the time of day is in `taken_at`, in milliseconds since 1970.
    ///
    /// It takes a [snapshot](crate::Broker::snapshot).
    ///
    /// # Errors
    /// [`Error::ShutDown`] and [`Error::BrokerDropped`].
    pub fn data(&self) -> Result<String> {
        let core = self.core.upgrade().ok_or(Error::BrokerDropped)?;
        let snapshot = Broker::of_core(core).snapshot()?;
        let mut data = snapshot.to_value(None);
        if let Value::Object(fields) = &mut data {
            let size = snapshot.vhosts.iter().map(size).sum::<usize>();
            let picture = (size <= MOST_IN_PICTURE).then(|| snapshot.to_svg());
            fields.insert("topology".into(), json!(picture));
            let since_1970 = snapshot.taken_at.duration_since(UNIX_EPOCH);
            let millis = since_1970.unwrap_or_default().as_millis();
            fields.insert(
                "taken_at".into(),
                json!(u64::try_from(millis).unwrap_or(u64::MAX)),
            );
        }
        Ok(data.to_string())
    }
}

fn size(vhost: &VhostSnapshot) -> usize {
    vhost.queues.len() + vhost.exchanges.len() + vhost.bindings.len()
}

/// Text in HTML.
fn html_text(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// A string in a script, which cannot end the script.
fn script_text(text: &str) -> String {
    json!(text).to_string().replace('<', "\\u003c")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_loads_nothing_and_its_settings_cannot_leave_their_place() {
        let broker = Broker::new();
        let evil = "</script><script>alert(1)</script>{{interval}}\"&";
        let dashboard = Dashboard::new(&broker).title(evil).data_path(evil);
        let page = dashboard.interval(Duration::ZERO).page();
        assert_eq!(page.matches("<script>").count(), 1);
        assert_eq!(page.matches("</script>").count(), 1);
        assert!(
            page.contains("INTERVAL = 100,"),
            "at least 100 milliseconds"
        );
        for loads in ["http:", "https:", "//cdn", "src=", "@import", "url("] {
            let others = page.replace("http://www.w3.org/2000/svg", "");
            assert!(!others.contains(loads), "{loads}");
        }
    }

    #[test]
    fn a_dashboard_keeps_no_broker_alive() {
        let broker = Broker::new();
        let dashboard = Dashboard::new(&broker);
        assert!(dashboard.data().is_ok());
        drop(broker);
        assert_eq!(dashboard.data(), Err(Error::BrokerDropped));
    }
}
