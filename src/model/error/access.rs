//! [`PermissionDenied`], the refusal of what a user may not do.

use std::fmt;

use super::Resource;
use crate::model::name::Name;

/// What a user needs for an operation: a permission in the virtual host, or a tag.
///
/// # Examples
/// ```
/// assert_eq!(leveret::Permission::Configure.to_string(), "configure");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Permission {
    /// To declare and to delete.
    Configure,
    /// To publish to an exchange, and to bind a destination.
    Write,
    /// To get, consume and purge from a queue, and to bind a source.
    Read,
    /// To see policies and what concerns a whole virtual host: the tag `management` or another tag
    /// of management.
    Management,
    /// To change policies: the tag `policymaker` or `administrator`.
    Policymaker,
    /// To change operator policies: the tag `administrator`.
    Administrator,
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Permission::Configure => "configure",
            Permission::Write => "write",
            Permission::Read => "read",
            Permission::Management => "management",
            Permission::Policymaker => "policymaker",
            Permission::Administrator => "administrator",
        })
    }
}

/// A user may not do something: the contents of
/// [`Error::PermissionDenied`](super::Error::PermissionDenied).
///
/// # Examples
/// ```
/// use leveret::{Broker, Credentials, Error, Permission, Permissions, Queue, User};
///
/// let broker = Broker::new();
/// broker.add_user(User::new("ada").password("secret"))?;
/// broker.set_permissions("/", "ada", &Permissions::none())?;
/// let connection = broker.connect("/", Credentials::new("ada", "secret"))?;
/// match connection.purge("tasks").unwrap_err() {
///     Error::PermissionDenied(denied) => {
///         assert_eq!((&*denied.user, denied.permission), ("ada", Permission::Read));
///         assert_eq!(denied.resource.to_string(), "queue 'tasks' in vhost '/'");
///     }
///     other => panic!("{other}"),
/// }
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PermissionDenied {
    /// The user of the connection.
    pub user: Name,
    /// What the user lacks.
    pub permission: Permission,
    /// The queue, exchange, budget or policy. The default exchange has the name `amq.default`.
    pub resource: Resource,
    /// The routing key, if the topic permissions for the exchange refuse it.
    pub topic: Option<Name>,
}

impl fmt::Display for PermissionDenied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PermissionDenied {
            user,
            permission,
            resource,
            topic,
        } = self;
        write!(f, "{permission} access to ")?;
        if let Some(topic) = topic {
            write!(f, "topic '{topic}' in ")?;
        }
        write!(f, "{resource} refused for user '{user}'")
    }
}
