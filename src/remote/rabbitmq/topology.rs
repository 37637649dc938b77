//! What this program has declared, to be declared again on the next connection.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use lapin::{
    Channel, Error as LapinError, ErrorKind, ExchangeKind,
    options::{ExchangeBindOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
};

use super::{
    connecting::{SMALL_FRAME_MAX, connect},
    fault,
    fields::{checked, to_table},
    link::{CLOSE_TIMEOUT, Link, Live},
    operations::Fault,
};
use crate::{
    engine::vhost::QueueDeclared,
    model::{
        descriptions::{Binding, Exchange, Queue},
        error::{Error, Result},
        name::Name,
    },
};

/// The exchanges and queues of this program, in the order of their declarations.
#[derive(Default)]
pub(super) struct Topology {
    exchanges: Vec<Exchange>,
    queues: Vec<Queue>,
}

impl Topology {
    fn note_exchange(&mut self, exchange: Exchange) {
        let mut known = self.exchanges.iter();
        if exchange.is_open() && known.any(|known| known.name() == exchange.name()) {
            return;
        }
        self.forget_exchange(exchange.name());
        self.exchanges.push(exchange);
    }

    /// A plain name says nothing new of a queue that is known.
    fn note_queue(&mut self, queue: Queue) {
        if queue.is_open() && self.queues.iter().any(|known| known.name() == queue.name()) {
            return;
        }
        self.forget_queue(queue.name());
        self.queues.push(queue);
    }

    /// The dead-letter exchange of a queue, and its routing key if there is one.
    pub(super) fn dead_letters_of(&self, queue: &Name) -> Option<(Name, Option<Name>)> {
        let queue = self.queues.iter().find(|known| known.name() == &**queue)?;
        let argument = |name| {
            let text = queue.argument_table().get(name)?.as_str()?;
            Name::new(text).ok()
        };
        Some((
            argument("x-dead-letter-exchange")?,
            argument("x-dead-letter-routing-key"),
        ))
    }

    pub(super) fn forget_exchange(&mut self, name: &str) {
        self.exchanges.retain(|known| known.name() != name);
    }

    pub(super) fn forget_queue(&mut self, name: &str) {
        self.queues.retain(|known| known.name() != name);
    }
}

/// How long a transient queue lives without use, if the server permits only durable ones.
const TRANSIENT_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// Declares an exchange with its bindings.
pub(super) async fn declare_exchange(
    link: &Arc<Link>,
    live: &Live,
    exchange: &Exchange,
) -> Result<(), Fault> {
    declare_plain_exchange(live, exchange).await?;
    for binding in exchange.bindings() {
        Box::pin(declare_exchange(link, live, binding.source())).await?;
        bind(live, exchange.name(), binding, Destination::Exchange).await?;
    }
    if !exchange.is_passive() || !exchange.bindings().is_empty() {
        link.topology.lock().note_exchange(exchange.clone());
    }
    Ok(())
}

async fn declare_plain_exchange(live: &Live, exchange: &Exchange) -> Result<(), Fault> {
    if exchange.name().is_empty() {
        return Ok(());
    }
    if exchange.is_open() {
        let passive = Exchange::existing(exchange.name());
        match Box::pin(declare_plain_exchange(live, &passive)).await {
            Err(Fault::Client(error)) if is_not_found(&error) => {}
            found => return found,
        }
    }
    // The type of a passive declaration is not looked at.
    let kind = match exchange.kind() {
        "" => ExchangeKind::Direct,
        kind => ExchangeKind::Custom(checked(kind)?.to_string()),
    };
    let options = ExchangeDeclareOptions {
        passive: exchange.is_passive(),
        durable: exchange.is_durable(),
        auto_delete: exchange.is_auto_delete(),
        internal: exchange.is_internal(),
        nowait: false,
    };
    let name = checked(exchange.name())?;
    let arguments = to_table(exchange.argument_table())?;
    live.on_channel(async |channel| {
        let declared = channel.exchange_declare(name, kind, options, arguments);
        Ok(declared.await?)
    })
    .await
}

/// Declares a queue with its bindings.
pub(super) async fn declare_queue(
    link: &Arc<Link>,
    live: &Live,
    queue: &Queue,
) -> Result<QueueDeclared, Fault> {
    check_arguments(link, queue)?;
    let named = match queue.name() {
        "" if !queue.is_passive() => queue.clone().named(generated_name()),
        _ => queue.clone(),
    };
    let declared = declare_plain_queue(link, live, &named).await?;
    for binding in named.bindings() {
        Box::pin(declare_exchange(link, live, binding.source())).await?;
        bind(live, named.name(), binding, Destination::Queue).await?;
    }
    if !named.is_passive() || !named.bindings().is_empty() {
        link.topology.lock().note_queue(named);
    }
    Ok(declared)
}

/// # Errors
/// [`Error::NotImplemented`] for an argument that RabbitMQ does not know.
fn check_arguments(link: &Link, queue: &Queue) -> Result {
    match queue.embedded_only() {
        None => Ok(()),
        Some(what) => {
            let (name, vhost) = (queue.name(), &link.login.vhost);
            let what = format!("{what} for queue '{name}' in vhost '{vhost}'");
            Err(Error::not_embedded(&what))
        }
    }
}

async fn declare_plain_queue(
    link: &Arc<Link>,
    live: &Live,
    queue: &Queue,
) -> Result<QueueDeclared, Fault> {
    if queue.is_open() {
        let passive = Queue::existing(queue.name());
        match ask(live, &passive).await {
            Err(Fault::Client(error)) if is_not_found(&error) => {}
            found => return found,
        }
    }
    let is_transient = !queue.is_durable() && !queue.is_exclusive() && !queue.is_passive();
    if !is_transient {
        return ask(live, queue).await;
    }
    let known = *link.permits_transient.lock();
    match known {
        Some(true) => ask(live, queue).await,
        Some(false) => ask(live, &durable_for_a_day(queue)).await,
        None => match ask_elsewhere(link, queue).await {
            Err(Fault::Client(error)) if refuses_transient(&error) => {
                *link.permits_transient.lock() = Some(false);
                ask(live, &durable_for_a_day(queue)).await
            }
            Ok(declared) => {
                *link.permits_transient.lock() = Some(true);
                Ok(declared)
            }
            failed => failed,
        },
    }
}

/// Declares the queue on a connection of its own, which the server closes if it permits no such
/// queue.
async fn ask_elsewhere(link: &Link, queue: &Queue) -> Result<QueueDeclared, Fault> {
    let (connection, address) = connect(&link.settings, &link.login, Some(SMALL_FRAME_MAX)).await?;
    let other = Live::new(connection, address);
    let declared = ask(&other, queue).await;
    // The answer is here, and the end does not matter.
    let closed = other.connection.close(200, "OK".into());
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, closed).await;
    declared
}

async fn ask(live: &Live, queue: &Queue) -> Result<QueueDeclared, Fault> {
    let options = QueueDeclareOptions {
        passive: queue.is_passive(),
        durable: queue.is_durable(),
        exclusive: queue.is_exclusive(),
        auto_delete: queue.is_auto_delete(),
        nowait: false,
    };
    let name = checked(queue.name())?;
    let arguments = to_table(queue.argument_table())?;
    let declared = live
        .on_channel(async |channel: &Channel| {
            Ok(channel.queue_declare(name, options, arguments).await?)
        })
        .await?;
    Ok(QueueDeclared {
        name: Name::new(declared.name().as_str()).map_err(Error::from)?,
        message_count: declared.message_count().into(),
        consumer_count: declared.consumer_count().into(),
    })
}

fn durable_for_a_day(queue: &Queue) -> Queue {
    let durable = queue.clone().durable();
    match queue.argument_table().contains_key("x-expires") {
        true => durable,
        false => durable.expires(TRANSIENT_LIFE),
    }
}

fn is_not_found(error: &LapinError) -> bool {
    code_of(error) == Some(404)
}

/// 541 of RabbitMQ 4.3.
fn refuses_transient(error: &LapinError) -> bool {
    match error.kind() {
        ErrorKind::ProtocolError(error) => {
            let text = error.get_message().as_str();
            error.get_id() == 541 && text.contains("transient_nonexcl_queues")
        }
        _ => false,
    }
}

fn code_of(error: &LapinError) -> Option<u16> {
    match error.kind() {
        ErrorKind::ProtocolError(error) => Some(error.get_id()),
        _ => None,
    }
}

#[derive(Clone, Copy)]
enum Destination {
    Queue,
    Exchange,
}

async fn bind(live: &Live, to: &str, binding: &Binding, kind: Destination) -> Result<(), Fault> {
    let (to, from) = (checked(to)?, checked(binding.source().name())?);
    let key = checked(binding.routing_key())?;
    let arguments = to_table(binding.argument_table())?;
    live.on_channel(async |channel: &Channel| {
        match kind {
            Destination::Queue => {
                let options = QueueBindOptions::default();
                channel.queue_bind(to, from, key, options, arguments).await
            }
            Destination::Exchange => {
                let options = ExchangeBindOptions::default();
                let bound = channel.exchange_bind(to, from, key, options, arguments);
                bound.await
            }
        }?;
        Ok(())
    })
    .await
}

/// A name for a queue without one. RabbitMQ would generate a name that it does not accept when the
/// queue is declared again.
fn generated_name() -> String {
    // That of the standard library, since a static lives longer than an interleaving test.
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let nanos = now.map_or(0, |now| now.as_nanos());
    let (process, number) = (
        std::process::id(),
        NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed),
    );
    format!("leveret.gen-{nanos:x}-{process:x}-{number:x}")
}

/// How often a queue that is locked is declared again, and how long each waits: the server may take
/// the connection before for alive.
const LOCKED_TRIES: u32 = 20;
const LOCKED_WAIT: Duration = Duration::from_millis(500);

/// Declares everything again.
///
/// # Errors
/// That of a lost connection. What the server refuses stays as it is there.
pub(super) async fn restore(link: &Arc<Link>, live: &Live) -> Result {
    let (exchanges, queues) = {
        let topology = link.topology.lock();
        (topology.exchanges.clone(), topology.queues.clone())
    };
    for exchange in &exchanges {
        let declared = declare_exchange(link, live, exchange).await;
        still_up(link, live, declared)?;
    }
    for queue in &queues {
        let mut tries = 0;
        loop {
            let declared = declare_queue(link, live, queue).await.map(drop);
            let is_locked =
                matches!(&declared, Err(Fault::Client(error)) if code_of(error) == Some(405));
            tries += 1;
            if is_locked && tries < LOCKED_TRIES {
                tokio::time::sleep(LOCKED_WAIT).await;
                continue;
            }
            still_up(link, live, declared)?;
            break;
        }
    }
    Ok(())
}

fn still_up(link: &Link, live: &Live, declared: Result<(), Fault>) -> Result {
    match declared {
        Err(Fault::Client(error)) if !live.is_up() && !fault::is_own_fault(&error) => {
            Err(link.note_fault(&live.address, error))
        }
        _ if !live.is_up() => Err(link.note_fault(&live.address, "it was lost again")),
        _ => Ok(()),
    }
}
