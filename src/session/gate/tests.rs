//! Every verb against every permission.
//!
//! `row` says for each verb what it asks for. A new verb without a row does not compile, and a row
//! that does not use its verb fails.

use super::verb::{ENTERED, Verb};
use crate::{
    handles::broker::{Broker, Credentials},
    message::properties::Properties,
    model::{
        access::{Permissions, TopicPermissions, User},
        descriptions::{AliasQueue, Budget, Exchange, ModelQueue, Queue, QueueLimits, Trigger},
        error::{Error, Permission, PermissionDenied, Result},
        field_value::FieldTable,
        name::Name,
    },
    session::{
        channel::{AckMode, Channel, ConsumeOptions, IfEmpty, IfUnused, PublishOptions},
        connection::Connection,
    },
};
use Ask::{Any, Key, Made, One, Tag};
use Permission::{Administrator, Configure, Management, Policymaker, Read, Write};

/// Something that a verb asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ask {
    /// A permission for a name.
    One(Permission, &'static str),
    /// A permission for a name that is made, and begins like this.
    Made(Permission, &'static str),
    /// Any of the three permissions for a name.
    Any(&'static str),
    /// The topic permission for a key of the exchange `x`.
    Key(Permission, &'static str),
    /// A tag of management, for a name.
    Tag(Permission, &'static str),
}

/// What a verb asks for, in this order, and a use of it.
struct Row {
    asks: &'static [Ask],
    run: fn(&Connection) -> Result,
}

fn channel(connection: &Connection) -> Channel {
    connection.open_channel().unwrap()
}

/// A list without anything in it: the user is not shown what is there.
fn shown(is_empty: bool, permission: Permission) -> Result {
    let user = Name::new("ada")?;
    let vhost = Name::new("/")?;
    let resource = crate::model::error::Resource {
        entity: crate::model::error::EntityKind::VirtualHost,
        name: vhost.clone(),
        vhost,
    };
    match is_empty {
        true => Err(Error::permission_denied(&user, permission, resource, None)),
        false => Ok(()),
    }
}

fn policy(name: &str) -> crate::engine::policy::Policy {
    crate::engine::policy::Policy::new(name, "^none$").setting("max-length", 1)
}

fn row(verb: Verb) -> Row {
    let (asks, run): (&'static [Ask], fn(&Connection) -> Result) = match verb {
        Verb::DeclareExchange => (
            &[One(Configure, "new"), One(Read, "new"), One(Write, "y")],
            |it| channel(it).exchange_declare(&Exchange::direct("new").alternate("y")),
        ),
        Verb::DeclareExchangePassive => {
            (&[Any("x")], |it| channel(it).exchange_declare_passive("x"))
        }
        Verb::DeclareQueue => (
            &[One(Configure, "new"), One(Read, "new"), One(Write, "y")],
            |it| {
                let queue = Queue::new("new").dead_letter_exchange("y");
                channel(it).queue_declare(&queue).map(drop)
            },
        ),
        Verb::DeclareQueuePassive => (&[Any("q")], |it| {
            channel(it).queue_declare_passive("q").map(drop)
        }),
        Verb::DeclareBudget => (&[One(Configure, "b")], |it| {
            it.declare(&Budget::new("b", 1_000)).map(drop)
        }),
        Verb::DeclareAndRead => (&[One(Configure, "new"), One(Read, "new")], |it| {
            it.simple_queue::<u32>(&Queue::new("new")).map(drop)
        }),
        Verb::DeleteExchange => (&[One(Configure, "x")], |it| {
            channel(it).exchange_delete("x", IfUnused::No)
        }),
        Verb::DeleteQueue => (&[One(Configure, "q")], |it| {
            let deleted = channel(it).queue_delete("q", IfUnused::No, IfEmpty::No);
            deleted.map(drop)
        }),
        Verb::DeleteBudget => (&[One(Configure, "b")], |it| {
            it.delete(&Budget::new("b", 1_000))
        }),
        Verb::DeclareAlias => (
            &[One(Configure, "new"), One(Read, "q"), One(Write, "q")],
            |it| it.declare(&AliasQueue::of_queue("new", "q")).map(drop),
        ),
        Verb::RepointAlias => (
            &[One(Configure, "alias"), One(Read, "x"), One(Write, "x")],
            |it| it.repoint(&AliasQueue::of_exchange("alias", "x")),
        ),
        Verb::DeleteAlias => (&[One(Configure, "alias")], |it| {
            it.delete(&AliasQueue::of_queue("alias", "q"))
        }),
        Verb::DeclareModel => (&[One(Configure, "new")], |it| {
            it.declare(&ModelQueue::new("new", "")).map(drop)
        }),
        Verb::DeleteModel => (&[One(Configure, "model")], |it| {
            it.delete(&ModelQueue::new("model", ""))
        }),
        Verb::OpenModel => (&[One(Read, "model"), Made(Configure, "model.")], |it| {
            it.open_model_queue("model").map(drop)
        }),
        Verb::RearmTrigger => (&[One(Configure, "triggering")], |it| {
            it.rearm_trigger("triggering")
        }),
        Verb::Bind => (&[One(Write, "q"), One(Read, "x"), Key(Read, "k")], |it| {
            channel(it).queue_bind("q", "x", "k", FieldTable::new())
        }),
        Verb::Unbind => (&[One(Write, "y"), One(Read, "x"), Key(Read, "k")], |it| {
            channel(it).exchange_unbind("y", "x", "k", FieldTable::new())
        }),
        Verb::Route => (&[One(Write, "x"), Key(Write, "k")], |it| {
            let exchange = Exchange::existing("x");
            it.route(&exchange, "k", &FieldTable::new()).map(drop)
        }),
        Verb::Publish => (&[One(Write, "x"), Key(Write, "k")], |it| {
            let (properties, options) = (Properties::new(), PublishOptions::new());
            let published = channel(it).basic_publish("x", "k", "", properties, options);
            published.map(drop)
        }),
        Verb::Get => (&[One(Read, "q")], |it| {
            channel(it).basic_get("q", AckMode::Auto).map(drop)
        }),
        Verb::Consume => (&[One(Read, "q")], |it| {
            let consumed = channel(it).basic_consume("q", ConsumeOptions::new());
            consumed.map(drop)
        }),
        Verb::StartConsumers => (&[One(Configure, "q"), One(Read, "q")], |it| {
            it.consumer::<u32>("q").map(drop)
        }),
        Verb::Purge => (&[One(Read, "q")], |it| it.purge("q").map(drop)),
        Verb::SetQueueLimits => (&[One(Configure, "q")], |it| {
            it.set_queue_limits("q", QueueLimits::new().max_length(9))
        }),
        Verb::PauseQueue => (&[One(Configure, "q")], |it| it.pause_queue("q")),
        Verb::ReturnUnseen => (&[One(Read, "q")], |it| it.return_unseen("q").map(drop)),
        Verb::ViewDelayedOfQueue => (&[One(Read, "q")], |it| it.delayed("q").map(drop)),
        Verb::ViewDelayedOfExchange => (&[One(Read, "late")], |it| {
            it.delayed(Exchange::existing("late")).map(drop)
        }),
        Verb::ExportOfQueue => (&[One(Read, "q")], |it| it.export_messages("q").map(drop)),
        Verb::ExportOfExchange => (&[One(Read, "late")], |it| {
            it.export_messages(Exchange::existing("late")).map(drop)
        }),
        Verb::SetPolicy => (&[Tag(Policymaker, "new")], |it| {
            it.set_policy(policy("new"))
        }),
        Verb::SetOperatorPolicy => (&[Tag(Administrator, "new")], |it| {
            it.set_operator_policy(policy("new"))
        }),
        Verb::ClearPolicy => (&[Tag(Policymaker, "p")], |it| {
            it.clear_policy("p").map(drop)
        }),
        Verb::ClearOperatorPolicy => (&[Tag(Administrator, "p")], |it| {
            it.clear_operator_policy("p").map(drop)
        }),
        Verb::ListPolicies => (&[Tag(Management, "/")], |it| {
            shown(it.policies().is_empty(), Management)
        }),
        Verb::ListOperatorPolicies => (&[Tag(Management, "/")], |it| {
            shown(it.operator_policies().is_empty(), Management)
        }),
        Verb::SetDeadLetterQueue => (
            &[
                Tag(Policymaker, "/"),
                One(Configure, "lost"),
                One(Read, "lost"),
            ],
            |it| it.set_dead_letter_queue(Some(&Queue::new("lost"))),
        ),
        Verb::ClearDeadLetterQueue => (&[Tag(Policymaker, "/")], |it| {
            it.set_dead_letter_queue(None)
        }),
        Verb::CheckQueue => (&[One(Write, "amq.default")], |it| {
            it.gate().check_queue(&Name::new("q")?).map(drop)
        }),
        Verb::ViewBudget => (&[Any("b")], |it| it.budget("b").map(drop)),
        Verb::Survey => (&[Tag(Management, "/")], |it| it.gate().survey(|_| ())),
    };
    Row { asks, run }
}

/// A broker with everything that the rows use, and the user `ada`.
fn broker() -> Broker {
    let broker = Broker::new();
    broker.declare(&Queue::new("q")).unwrap();
    broker.declare(&Exchange::topic("x")).unwrap();
    broker.declare(&Exchange::fanout("y")).unwrap();
    broker.declare(&Exchange::direct("late").delayed()).unwrap();
    broker.declare(&Budget::new("b", 1_000)).unwrap();
    broker.declare(&AliasQueue::of_queue("alias", "q")).unwrap();
    broker.declare(&ModelQueue::new("model", "")).unwrap();
    let triggering = Queue::new("triggering").trigger("q", Trigger::Depth(2));
    broker.declare(&triggering).unwrap();
    let root = broker.vhost("/").unwrap();
    root.set_policy(policy("p")).unwrap();
    root.set_operator_policy(policy("p")).unwrap();
    broker
        .add_user(User::new("ada").password("secret"))
        .unwrap();
    broker
}

/// The outcome of a verb for a user with these permissions.
fn outcome(
    verb: Verb,
    permissions: &Permissions,
    tag: Option<Permission>,
    key: Option<Ask>,
) -> Result {
    let broker = broker();
    broker.set_permissions("/", "ada", permissions).unwrap();
    let tags = tag.map(|tag| match tag {
        Administrator => "administrator",
        Policymaker => "policymaker",
        _ => "monitoring",
    });
    broker.set_user_tags("ada", tags).unwrap();
    if let Some(Key(permission, key)) = key {
        let (refused, all) = (format!("^(?!{key}$)"), ".*".to_owned());
        let (write, read) = match permission {
            Write => (refused, all),
            _ => (all, refused),
        };
        let topic = TopicPermissions::new("x", write, read);
        broker.set_topic_permissions("/", "ada", &topic).unwrap();
    }
    let credentials = Credentials::new("ada", "secret");
    let connection = broker.connect("/", credentials).unwrap();
    ENTERED.take();
    let outcome = (row(verb).run)(&connection);
    let entered = ENTERED.take();
    assert!(
        entered.contains(&verb),
        "the row of {verb:?} uses {entered:?}"
    );
    outcome
}

/// The pattern for the names that are asked for.
fn exactly(asks: &[Ask], wanted: Permission) -> String {
    let escaped = |name: &str| name.replace('.', r"\.");
    let names = asks.iter().filter_map(|ask| match ask {
        One(permission, name) if *permission == wanted => Some(escaped(name)),
        Made(permission, start) if *permission == wanted => Some(escaped(start) + "[0-9a-f]{16}"),
        _ => None,
    });
    let names: Vec<String> = names.collect();
    match names.is_empty() {
        true => String::new(),
        false => format!("^({})$", names.join("|")),
    }
}

fn minimal(asks: &[Ask]) -> Permissions {
    let of = |permission| exactly(asks, permission);
    Permissions::new(of(Configure), of(Write), of(Read))
}

/// All permissions, but for the names of this pattern.
fn all_but(permission: Permission, names: &str) -> Permissions {
    let refused = format!("^(?!{names}$)");
    let mut permissions = Permissions::all();
    match permission {
        Configure => permissions.configure = refused,
        Write => permissions.write = refused,
        _ => permissions.read = refused,
    }
    permissions
}

fn tag_of(asks: &[Ask]) -> Option<Permission> {
    asks.iter().find_map(|ask| match ask {
        Tag(tag, _) => Some(*tag),
        _ => None,
    })
}

#[track_caller]
fn assert_denied(verb: Verb, outcome: Result, ask: Ask) {
    let (permission, name, topic) = match ask {
        One(permission, name) | Made(permission, name) | Tag(permission, name) => {
            (permission, name, None)
        }
        Any(name) => (Configure, name, None),
        Key(permission, key) => (permission, "x", Some(key)),
    };
    match outcome {
        Err(Error::PermissionDenied(denied)) => {
            let PermissionDenied {
                user,
                permission: lacked,
                resource,
                topic: key,
            } = *denied;
            assert_eq!((&*user, lacked), ("ada", permission), "{verb:?}");
            let denied = match ask {
                Made(..) => &resource.name[..name.len()],
                _ => &*resource.name,
            };
            assert_eq!((denied, &*resource.vhost), (name, "/"), "{verb:?}");
            assert_eq!(key.as_deref(), topic, "{verb:?}");
        }
        other => panic!("{verb:?} without {ask:?}: {other:?}"),
    }
}

#[test]
fn what_a_verb_asks_for_is_enough() {
    for verb in Verb::ALL.iter().copied() {
        let asks = row(verb).asks;
        let tag = tag_of(asks);
        let any = asks.iter().find_map(|ask| match ask {
            Any(name) => Some(format!("^{name}$")),
            _ => None,
        });
        let enough = match any {
            None => vec![minimal(asks)],
            Some(name) => vec![
                Permissions::new(&*name, "", ""),
                Permissions::new("", &*name, ""),
                Permissions::new("", "", &*name),
            ],
        };
        for permissions in enough {
            let outcome = outcome(verb, &permissions, tag, None);
            assert_eq!(outcome, Ok(()), "{verb:?} with {permissions:?}");
        }
    }
}

#[test]
fn everything_else_is_not_enough() {
    for verb in Verb::ALL.iter().copied() {
        let asks = row(verb).asks;
        let tag = tag_of(asks);
        for ask in asks.iter().copied() {
            let outcome = match ask {
                One(permission, _) | Made(permission, _) => {
                    let names = exactly(&[ask], permission);
                    let permissions = all_but(permission, names.trim_matches(['^', '$']));
                    outcome(verb, &permissions, tag, None)
                }
                Any(name) => {
                    let refused = format!("^(?!{name}$)");
                    let permissions = Permissions::new(&*refused, &*refused, &*refused);
                    outcome(verb, &permissions, tag, None)
                }
                Key(..) => outcome(verb, &Permissions::all(), tag, Some(ask)),
                // A tag of less right.
                Tag(Administrator, _) => {
                    outcome(verb, &Permissions::all(), Some(Policymaker), None)
                }
                Tag(Policymaker, _) => outcome(verb, &Permissions::all(), Some(Management), None),
                Tag(..) => outcome(verb, &Permissions::all(), None, None),
            };
            assert_denied(verb, outcome, ask);
        }
    }
}

#[test]
fn without_any_permission_the_first_one_asked_for_is_named() {
    for verb in Verb::ALL.iter().copied() {
        let outcome = outcome(verb, &Permissions::none(), None, None);
        assert_denied(verb, outcome, row(verb).asks[0]);
    }
}

#[test]
fn a_lookup_of_an_alias_of_an_exchange_asks_for_both_names() {
    for description in [Queue::from("for x"), Queue::existing("for x")] {
        let broker = broker();
        let alias = AliasQueue::of_exchange("for x", "x");
        broker.declare(&alias).unwrap();
        let connect = |names: &str| {
            let permissions = Permissions::new(names, "", "");
            broker.set_permissions("/", "ada", &permissions).unwrap();
            broker.connect("/", Credentials::new("ada", "secret"))
        };
        let declared = |names: &str| connect(names).unwrap().declare(&description);
        for (names, lacked) in [("", "for x"), ("^x$", "for x"), ("^for x$", "x")] {
            match declared(names) {
                Err(Error::PermissionDenied(denied)) => assert_eq!(&*denied.resource.name, lacked),
                other => panic!("{description:?} with {names:?}: {other:?}"),
            }
        }
        assert!(declared("^(for )?x$").is_ok());
    }
}
