//! Replays the steps of one scenario on a new broker. This module knows connections, channels,
//! saved names and restarts. `methods` and `waits` know the operations.

use std::{collections::BTreeMap, time::Duration};

use leveret::{Broker, ManualClock, Scope};
use serde_json::{Map, Value};

use crate::{
    Outcome,
    administration::VHOST,
    contents::Contents,
    expectation::{Expectation, describe},
    fields::Fields,
    home::{self, End, Home},
    inbox::Inbox,
    message::Saved,
    peer::{Channel, Connection, Error},
};

/// Replays all steps. The error names the failed step and its reason. If `end` is given, every
/// broker of the scenario ends in this way.
pub fn run(steps: &[Value], users: &Map<String, Value>, home: Home, end: Option<End>) -> Outcome {
    let mut replay = Replay::new(home)?;
    replay.add_users(users)?;
    if home::all_survive() {
        return replay.check_only_that_nothing_is_lost(steps);
    }
    for (index, step) in steps.iter().enumerate() {
        let failed = |problem| format!("step {} {}: {problem}", index + 1, cut(step));
        match step.get("op").is_some_and(|op| op == "restart") {
            true => replay = replay.restarted(step, end).map_err(failed)?,
            false => replay.step(step).map_err(failed)?,
        }
    }
    replay.check_nothing_failed_unseen()?;
    replay.check_that_nothing_is_lost()
}

/// The recorded text of RabbitMQ 4.3, beside an expected error or in what expects a close. The
/// virtual host has its name in it.
fn recorded_text(step: &Value, fields: &mut Fields) -> Outcome<Option<String>> {
    let is_expected = |step: &Value| {
        let op = step.get("op").and_then(Value::as_str).unwrap_or_default();
        op.starts_with("expect_")
    };
    let of_step = match is_expected(step) {
        true => {
            let text = fields.optional_text("text")?;
            fields.optional_text("text_4_3")?.or(text)
        }
        false => None,
    };
    let expect = step.get("expect");
    let beside = |name: &str| Some(expect?.get(name)?.as_str()?.to_owned());
    let text = of_step.or_else(|| beside("text_4_3").or_else(|| beside("text")));
    Ok(text.map(|text| text.replace("{vhost}", VHOST)))
}

/// A step as text, cut if it has a large body.
fn cut(step: &Value) -> String {
    let text = step.to_string();
    match text.char_indices().nth(MOST_CHARACTERS) {
        Some((end, _)) => format!("{}..", &text[..end]),
        None => text,
    }
}

/// A scenario during its replay.
pub struct Replay {
    home: Home,
    pub clock: ManualClock,
    pub broker: Broker,
    /// `None` after the close.
    connections: BTreeMap<String, Option<Connection>>,
    lines: BTreeMap<String, Line>,
    pub saved: Saved,
}

/// The connection and channel of a step.
pub struct Site {
    /// The user of the connection, if the step names one.
    pub user: Option<String>,
    connection: Option<String>,
    channel: String,
}

/// One channel of the scenario.
pub struct Line {
    /// `None` after the close.
    open: Option<Channel>,
    connection: String,
    pub inbox: Inbox,
    pub confirming: bool,
    /// The error of an asynchronous method. RabbitMQ would have closed the channel.
    pub failure: Option<Error>,
}

impl Line {
    /// The channel itself.
    pub fn channel(&self) -> Outcome<&Channel> {
        self.open
            .as_ref()
            .ok_or_else(|| "this channel is closed".to_owned())
    }

    /// Moves all received events into the inbox.
    pub fn receive(&mut self) {
        if let Some(channel) = &self.open {
            channel.receive(&mut self.inbox);
        }
    }
}

impl Replay {
    /// Starts the broker of a scenario.
    pub fn new(home: Home) -> Outcome<Replay> {
        let clock = ManualClock::new();
        Replay::begin(home, clock, Saved::new())
    }

    /// Starts the broker. No connection and no channel is open.
    fn begin(home: Home, clock: ManualClock, saved: Saved) -> Outcome<Replay> {
        Ok(Replay {
            broker: home.open(&clock)?,
            home,
            clock,
            connections: BTreeMap::new(),
            lines: BTreeMap::new(),
            saved,
        })
    }

    /// Ends the broker, lets the time pass, and starts it again. All connections and channels end
    /// with it, with everything that no step has asked for. `instead` replaces the step's end.
    fn restarted(self, step: &Value, instead: Option<End>) -> Outcome<Replay> {
        let mut fields = Fields::new(step)?;
        fields.text("op")?;
        fields.optional_text("note")?;
        let (how, wall_ms) = (End::of(&fields.text("how")?)?, fields.number("wall_ms")?);
        fields.finish()?;
        let Replay {
            mut home,
            clock,
            broker,
            connections,
            lines,
            saved,
        } = self;
        home.end(broker, instead.unwrap_or(how))?;
        drop((lines, connections));
        clock.advance(Duration::from_millis(wall_ms));
        Replay::begin(home, clock, saved)
    }

    /// Replays one step.
    pub fn step(&mut self, step: &Value) -> Outcome {
        let mut fields = Fields::new(&self.substituted(step))?;
        let op = fields.text("op")?;
        let note = fields.optional_text("note")?.unwrap_or_default();
        let text = note.strip_prefix("reply text: ").map(str::to_owned);
        let user = fields.optional_text("user")?;
        let connection = fields.optional_text("conn")?.or_else(|| user.clone());
        let channel = fields.optional_text("ch")?.or_else(|| connection.clone());
        let site = Site {
            user,
            connection,
            channel: channel.unwrap_or_else(|| "1".to_owned()),
        };
        let text = text.or(recorded_text(step, &mut fields)?);
        if let Some(outcome) = self.administrative(&op, &site, text.as_deref(), &mut fields) {
            return outcome;
        }
        if let Some(outcome) = self.waiting(&op, &site, text.as_deref(), &mut fields) {
            return outcome;
        }
        if let Some(outcome) = self.asynchronous(&op, &site, &mut fields) {
            return outcome;
        }
        let expectation = Expectation::of(fields.take("expect"), text)?;
        let result = self.synchronous(&op, &site, fields)?;
        let scope = result.as_ref().err().map(Error::scope);
        expectation.check(result, &mut self.saved)?;
        self.close_by(&site, scope)
    }

    /// Closes what AMQP closes by an error that the scenario expected.
    pub fn close_by(&mut self, site: &Site, scope: Option<Scope>) -> Outcome {
        let closed = match scope {
            Some(Scope::Channel) => self.close_channel(site)?,
            Some(Scope::Connection) => {
                let connection = self.lines.get(&site.channel);
                let connection = connection.map(|line| line.connection.clone());
                self.close_connection(&Site {
                    user: site.user.clone(),
                    connection: site.connection.clone().or(connection),
                    channel: site.channel.clone(),
                })?
            }
            Some(Scope::Operation) | None => Ok(()),
        };
        closed.map_err(|error| describe(&error))
    }

    /// The step with every saved name replaced by its value, longest name first. A field that saves
    /// a name stays as it is.
    fn substituted(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => {
                let mut names: Vec<_> = self.saved.iter().collect();
                names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
                names
                    .into_iter()
                    .fold(text.replace("$vhost", VHOST), |text, (name, meaning)| {
                        text.replace(name, meaning)
                    })
                    .into()
            }
            Value::Array(list) => list.iter().map(|value| self.substituted(value)).collect(),
            Value::Object(map) => {
                let keeps = |key: &str| matches!(key, "save_as" | "save_reply_to");
                map.iter()
                    .map(|(key, value)| {
                        (
                            key.clone(),
                            if keeps(key) {
                                value.clone()
                            } else {
                                self.substituted(value)
                            },
                        )
                    })
                    .collect()
            }
            other => other.clone(),
        }
    }

    /// The connection of a step. The first use opens it.
    pub fn connection(&mut self, site: &Site) -> Outcome<&Connection> {
        let name = site.connection.as_deref().unwrap_or("c1");
        if !self.connections.contains_key(name) {
            let connection = self.connect(site).map_err(|error| describe(&error))?;
            self.keep_connection(site, connection);
        }
        self.connections[name]
            .as_ref()
            .ok_or_else(|| format!("connection '{name}' is closed"))
    }

    /// Gives an open connection the name of its step.
    pub fn keep_connection(&mut self, site: &Site, connection: Connection) {
        let name = site.connection.as_deref().unwrap_or("c1");
        self.connections.insert(name.to_owned(), Some(connection));
    }

    /// The broker has closed a connection, with its channels.
    pub fn forget_connection(&mut self, site: &Site) {
        let name = site.connection.as_deref().unwrap_or("c1");
        self.connections.insert(name.to_owned(), None);
        self.lines.retain(|_, line| line.connection != name);
    }

    /// Gives an open channel the name of its step.
    pub fn keep_channel(&mut self, site: &Site, channel: Channel) {
        let connection = site.connection.clone().unwrap_or_else(|| "c1".to_owned());
        let line = Line {
            open: Some(channel),
            connection,
            inbox: Inbox::default(),
            confirming: false,
            failure: None,
        };
        self.lines.insert(site.channel.clone(), line);
    }

    /// The channel of a step. The first use opens it.
    pub fn line(&mut self, site: &Site) -> Outcome<&mut Line> {
        if !self.lines.contains_key(&site.channel) {
            let channel = self
                .connection(site)?
                .open_channel()
                .map_err(|error| describe(&error))?;
            self.keep_channel(site, channel);
        }
        let line = self
            .lines
            .get_mut(&site.channel)
            .ok_or("it was just opened")?;
        if site
            .connection
            .as_ref()
            .is_some_and(|name| *name != line.connection)
        {
            return Err(format!(
                "channel '{}' belongs to connection '{}'",
                site.channel, line.connection
            ));
        }
        if line.open.is_none() {
            return Err(format!("channel '{}' was closed before", site.channel));
        }
        Ok(line)
    }

    /// The channel of a step that uses it. An earlier failure on the channel is an error, unless
    /// the scenario expected it.
    pub fn working_line(&mut self, site: &Site) -> Outcome<&mut Line> {
        let line = self.line(site)?;
        match &line.failure {
            None => Ok(line),
            Some(error) => Err(format!(
                "an earlier step on this channel failed with {}",
                describe(error)
            )),
        }
    }

    /// The open `Channel` of a step that uses it.
    pub fn channel(&mut self, site: &Site) -> Outcome<&Channel> {
        self.working_line(site)?.channel()
    }

    pub fn close_channel(&mut self, site: &Site) -> Outcome<Result<(), Error>> {
        match self.working_line(site)?.open.take() {
            Some(channel) => Ok(channel.close()),
            None => Err("it is closed already".to_owned()),
        }
    }

    pub fn close_connection(&mut self, site: &Site) -> Outcome<Result<(), Error>> {
        self.connection(site)?;
        let name = site.connection.as_deref().unwrap_or("c1");
        let connection = self
            .connections
            .get_mut(name)
            .and_then(Option::take)
            .ok_or("it is closed already")?;
        let result = connection.close();
        for line in self
            .lines
            .values_mut()
            .filter(|line| line.connection == name)
        {
            line.open = None;
        }
        Ok(result)
    }

    /// Calls `look` at once, and again after each step of the clock, until it is satisfied or the
    /// time is over. `look` returns `None` if it is satisfied, a text about the missing part if
    /// not, and an error if waiting is useless.
    pub fn wait(
        &mut self,
        within_ms: u64,
        mut look: impl FnMut(&mut Replay) -> Outcome<Option<String>>,
    ) -> Outcome {
        let mut waited_ms = 0;
        while let Some(missing) = look(self)? {
            if waited_ms >= within_ms {
                return Err(missing);
            }
            self.clock.advance(Duration::from_millis(STEP_MS));
            waited_ms += STEP_MS;
        }
        Ok(())
    }

    /// Replays all steps up to the first one that fails, since its scenario is another one if all
    /// queues and messages survive their broker. Only the restart at the end counts.
    fn check_only_that_nothing_is_lost(mut self, steps: &[Value]) -> Outcome {
        let is_restart = |step: &&Value| step.get("op").is_some_and(|op| op == "restart");
        for step in steps.iter().take_while(|step| !is_restart(step)) {
            if self.step(step).is_err() {
                break;
            }
        }
        self.check_that_nothing_is_lost()
    }

    /// If the broker has a folder: a crash, and an end in order after it, leave every queue as it
    /// is when the connections are closed.
    fn check_that_nothing_is_lost(mut self) -> Outcome {
        for connection in self.connections.values_mut().filter_map(Option::take) {
            connection.close().map_err(|error| describe(&error))?;
        }
        self.lines.clear();
        // A start tries dead letters again that no queue has taken. Most have none.
        let _ = self.wait(RETRY_MS, |replay| {
            let snapshot = replay.broker.snapshot();
            let snapshot = snapshot.map_err(|error| error.to_string())?;
            let mut queues = snapshot.vhosts.iter().flat_map(|vhost| &vhost.queues);
            let waits = queues.any(|queue| queue.in_transit.messages > 0);
            Ok(waits.then(String::new))
        });
        let Some(mut home) = self.home.as_left_by_a_kill(&self.broker)? else {
            return Ok(());
        };
        let before = Contents::take(&self.broker)?;
        let after_the_crash = home.open(&self.clock)?;
        home.end(after_the_crash, End::Stop)?;
        let after = Contents::take(&home.open(&self.clock)?)?;
        let compared = before.check(&after);
        compared.map_err(|problem| format!("after a restart at its end {problem}"))
    }

    fn check_nothing_failed_unseen(&self) -> Outcome {
        for (name, line) in &self.lines {
            if let Some(error) = &line.failure {
                return Err(format!(
                    "at its end channel '{name}' had failed with {}",
                    describe(error)
                ));
            }
        }
        Ok(())
    }
}

/// The time after which a quorum queue has tried its dead letters again, in milliseconds.
const RETRY_MS: u64 = 181_000;

/// The characters of a step in a report.
const MOST_CHARACTERS: usize = 300;

/// The clock's step between two calls of `look`, in milliseconds.
const STEP_MS: u64 = 5;
