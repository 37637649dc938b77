//! The users of a scenario, their connections, and the steps of an administrator.

use leveret::{Error, Permissions, TopicPermissions, User, UserLimits, VhostLimits};
use serde_json::{Map, Value};

use crate::{
    Outcome,
    expectation::{Expectation, Failure, Reply, describe},
    fields::Fields,
    peer::{self, Connection},
    replay::{Replay, Site},
};

/// The virtual host of a scenario.
pub const VHOST: &str = "/";

/// The result of a change: the outer error means that it cannot be replayed, the inner one is the
/// text of a refusal.
type Changed = Outcome<Result<(), String>>;

fn tags(fields: &mut Fields) -> Outcome<Vec<String>> {
    let tags = fields.list("tags")?.into_iter();
    tags.map(|tag| match tag {
        Value::String(tag) => Ok(tag),
        other => Err(format!("not a tag: {other}")),
    })
    .collect()
}

fn permissions(fields: &mut Fields) -> Outcome<Permissions> {
    Ok(Permissions::new(
        fields.text("configure")?,
        fields.text("write")?,
        fields.text("read")?,
    ))
}

fn refusal<T>(result: Result<T, Error>) -> Result<(), String> {
    result.map(drop).map_err(|error| match error {
        Error::NotFound { .. } => format!("not found: {error}"),
        Error::InvalidPattern(fault) => format!("invalid pattern: {fault}"),
        other => other.to_string(),
    })
}

/// Whether our refusal is the recorded one, which is the text of RabbitMQ's command line.
fn is_same_refusal(recorded: &str, ours: &str) -> bool {
    let is_limit = recorded.contains("should be a number") || recorded.contains("Unrecognised");
    let is_missing = ["vhost_or_user_not_found", "no_such_", "does not exist"];
    if let Some(fault) = recorded.strip_prefix("invalid_regexp: '") {
        // The pattern, and then its fault with the place.
        let fault = fault.rsplit("': ").next().unwrap_or_default();
        return ours.starts_with("invalid pattern") && ours.ends_with(fault);
    }
    match is_limit {
        true => ours.starts_with("invalid limit"),
        false if is_missing.iter().any(|missing| recorded.contains(missing)) => {
            ours.starts_with("not found")
        }
        false => ours.contains(recorded),
    }
}

impl Replay {
    /// Adds the users that a scenario begins with.
    pub fn add_users(&self, users: &Map<String, Value>) -> Outcome {
        for (name, entry) in users {
            let mut fields = Fields::new(entry)?;
            let user = User::new(name).password(name).tags(tags(&mut fields)?);
            let added = self.broker.add_user(user);
            added.map_err(|error| describe(&error))?;
            if entry.get("configure").is_some() {
                let permissions = permissions(&mut fields)?;
                let set = self.broker.set_permissions(VHOST, name, &permissions);
                set.map_err(|error| describe(&error))?;
            }
            fields.finish()?;
        }
        Ok(())
    }

    /// Executes a step of an administrator, or one that opens something, if the operation is one.
    pub fn administrative(
        &mut self,
        op: &str,
        site: &Site,
        text: Option<&str>,
        fields: &mut Fields,
    ) -> Option<Outcome> {
        match op {
            "open_connection" => return Some(self.open_connection(site, text, fields)),
            "open_channel" => return Some(self.open_channel(site, text, fields)),
            "expect_connection_open" => return Some(self.expect_connection_open(site, fields)),
            "expect_connection_closed" => {
                return Some(self.expect_connection_closed(site, text, fields));
            }
            "set_permissions"
            | "clear_permissions"
            | "set_topic_permissions"
            | "clear_topic_permissions"
            | "set_user_tags"
            | "add_user"
            | "delete_user"
            | "change_password"
            | "set_vhost_limit"
            | "clear_vhost_limits"
            | "set_user_limit"
            | "clear_user_limits" => {}
            _ => return None,
        }
        let expect = fields.take("expect");
        Some(self.change(op, fields).and_then(|changed| {
            fields.finish()?;
            check_change(changed, expect, text)
        }))
    }

    fn change(&mut self, op: &str, fields: &mut Fields) -> Changed {
        let broker = &self.broker;
        let user = fields.text_or_empty("user_name")?;
        Ok(match op {
            "set_permissions" => {
                refusal(broker.set_permissions(VHOST, &user, &permissions(fields)?))
            }
            "clear_permissions" => refusal(broker.clear_permissions(VHOST, &user)),
            "set_topic_permissions" => {
                let (exchange, write) = (fields.text("exchange")?, fields.text("write")?);
                let topic = TopicPermissions::new(exchange, write, fields.text("read")?);
                refusal(broker.set_topic_permissions(VHOST, &user, &topic))
            }
            "clear_topic_permissions" => {
                let exchange = fields.optional_text("exchange")?;
                refusal(broker.clear_topic_permissions(VHOST, &user, exchange.as_deref()))
            }
            "set_user_tags" => refusal(broker.set_user_tags(&user, tags(fields)?)),
            "add_user" => refusal(broker.add_user(User::new(&user).password(&user))),
            "delete_user" => refusal(broker.delete_user(&user)),
            "change_password" => refusal(broker.change_password(&user, &fields.text("password")?)),
            "set_vhost_limit" => {
                let there = broker
                    .vhost_limits(VHOST)
                    .map_err(|error| describe(&error))?;
                match with_limit::<VhostLimits>(there, fields)? {
                    Ok(limits) => refusal(broker.set_vhost_limits(VHOST, limits)),
                    Err(invalid) => Err(invalid),
                }
            }
            "clear_vhost_limits" => refusal(broker.set_vhost_limits(VHOST, VhostLimits::new())),
            "set_user_limit" => {
                let there = broker.user(&user).map_err(|error| describe(&error))?;
                match with_limit::<UserLimits>(there.user_limits(), fields)? {
                    Ok(limits) => refusal(broker.set_user_limits(&user, limits)),
                    Err(invalid) => Err(invalid),
                }
            }
            _ => refusal(broker.set_user_limits(&user, UserLimits::new())),
        })
    }

    /// Opens the connection of a site as its user.
    pub fn connect(&self, site: &Site) -> peer::Result<Connection> {
        let user = site.user.as_deref().unwrap_or("guest");
        Connection::open(&self.broker, VHOST, user, user)
    }

    fn open_connection(&mut self, site: &Site, text: Option<&str>, fields: &mut Fields) -> Outcome {
        let user = site.user.as_deref().unwrap_or("guest");
        let password = fields.optional_text("password")?;
        let vhost = fields.optional_text("vhost")?;
        let expectation = Expectation::of(fields.take("expect"), text.map(str::to_owned))?;
        fields.finish()?;
        let (vhost, password) = (vhost.as_deref().unwrap_or(VHOST), password.as_deref());
        let opened = Connection::open(&self.broker, vhost, user, password.unwrap_or(user));
        let result = opened.map(|connection| self.keep_connection(site, connection));
        expectation.check(result.map(|()| Reply::done()), &mut self.saved)
    }

    fn open_channel(&mut self, site: &Site, text: Option<&str>, fields: &mut Fields) -> Outcome {
        let expectation = Expectation::of(fields.take("expect"), text.map(str::to_owned))?;
        fields.finish()?;
        let result = self.connection(site)?.open_channel();
        let scope = result.as_ref().err().map(peer::Error::scope);
        let result = result.map(|channel| self.keep_channel(site, channel));
        expectation.check(result.map(|()| Reply::done()), &mut self.saved)?;
        match scope {
            None => Ok(()),
            Some(_) => {
                let closed = self.close_connection(site)?;
                closed.map_err(|error| describe(&error))
            }
        }
    }

    fn expect_connection_open(&mut self, site: &Site, fields: &mut Fields) -> Outcome {
        fields.finish()?;
        match self.connection(site)?.open_channel() {
            Err(error) if error.is_closed() => Err(describe(&error)),
            _ => Ok(()),
        }
    }

    fn expect_connection_closed(
        &mut self,
        site: &Site,
        text: Option<&str>,
        fields: &mut Fields,
    ) -> Outcome {
        // It is closed when the step that closes it returns.
        let _: Option<u64> = fields.optional_number("within_ms")?;
        let code: u16 = fields.number("code")?;
        fields.finish()?;
        let expected = Failure::of_the_connection(code, text);
        match self.connection(site)?.open_channel() {
            Ok(_) => Err("the connection is open".to_owned()),
            Err(error) => {
                expected.check(&error)?;
                self.forget_connection(site);
                Ok(())
            }
        }
    }
}

/// The limits with one more, or why that is none.
fn with_limit<L: serde::Serialize + serde::de::DeserializeOwned>(
    there: L,
    fields: &mut Fields,
) -> Outcome<Result<L, String>> {
    let (name, value) = (fields.text("name")?, fields.required("value")?);
    let mut limits = serde_json::to_value(there).map_err(|error| error.to_string())?;
    limits[name] = value;
    let changed = serde_json::from_value(limits);
    Ok(changed.map_err(|error| format!("invalid limit: {error}")))
}

fn check_change(changed: Result<(), String>, expect: Option<Value>, text: Option<&str>) -> Outcome {
    let Some(expect) = expect else {
        return changed;
    };
    let mut fields = Fields::new(&expect)?;
    if !fields.flag("refused")? {
        return Err(format!("a change is refused or not: {expect}"));
    }
    fields.optional_text("text")?;
    fields.optional_text("text_4_3")?;
    fields.finish()?;
    match changed {
        Ok(()) => Err("expected a refusal, but it was changed".to_owned()),
        Err(ours) => match text {
            Some(text) if !is_same_refusal(text, &ours) => {
                Err(format!("expected the refusal '{text}', not '{ours}'"))
            }
            _ => Ok(()),
        },
    }
}
