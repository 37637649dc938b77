//! The permissions of all users in one virtual host.

use std::{collections::BTreeMap, sync::Arc};

use super::{pattern::Pattern, topic::Topic};
use crate::{
    model::{
        access::{Permissions, TopicPermissions},
        error::{InvalidPattern, Permission},
        name::Name,
    },
    runtime::sync::{
        RwLock,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

/// The permissions in a virtual host, by user. A leaf lock.
#[derive(Debug)]
pub(crate) struct Grants {
    vhost: Name,
    users: RwLock<BTreeMap<Name, Granted>>,
}

/// What one user may do.
#[derive(Debug, Default)]
struct Granted {
    /// `None`: not even a connection.
    permissions: Option<Arc<Patterns>>,
    /// Whether everything is permitted. The logins of the user share it.
    has_all: Arc<AtomicBool>,
    /// By exchange.
    topics: BTreeMap<Name, Arc<Topic>>,
}

#[derive(Clone, Debug)]
struct Patterns {
    configure: Pattern,
    write: Pattern,
    read: Pattern,
}

/// Compiled permissions, which can be set.
pub(crate) struct Compiled(Patterns);

/// Compiled topic permissions, which can be set.
pub(crate) struct CompiledTopic(Topic);

impl Grants {
    pub(crate) fn new(vhost: Name) -> Grants {
        Grants {
            vhost,
            users: RwLock::new(BTreeMap::new()),
        }
    }

    pub(crate) fn vhost(&self) -> &Name {
        &self.vhost
    }

    /// Whether the user has all permissions, now and later.
    pub(crate) fn has_all(&self, user: &Name) -> Arc<AtomicBool> {
        let mut users = self.users.write();
        let granted = users.entry(user.clone()).or_default();
        Arc::clone(&granted.has_all)
    }

    /// Whether the user may connect.
    pub(crate) fn has(&self, user: &Name) -> bool {
        let users = self.users.read();
        let granted = users.get(user);
        granted.is_some_and(|granted| granted.permissions.is_some())
    }

    /// Whether the user has this permission for this name.
    pub(crate) fn permits(&self, user: &Name, permission: Permission, name: &str) -> bool {
        // The lock is not held while the pattern is tried, which may take long.
        let patterns = {
            let users = self.users.read();
            users
                .get(user)
                .and_then(|granted| granted.permissions.clone())
        };
        let Some(patterns) = patterns else {
            return false;
        };
        match permission {
            Permission::Configure => patterns.configure.is_in(name),
            Permission::Write => patterns.write.is_in(name),
            Permission::Read => patterns.read.is_in(name),
            Permission::Management | Permission::Policymaker | Permission::Administrator => false,
        }
    }

    /// Whether the user may publish to a topic exchange with this key, or bind with it. Without an
    /// entry for the exchange every key is permitted.
    pub(crate) fn permits_topic(
        &self,
        user: &Name,
        permission: Permission,
        exchange: &Name,
        key: &str,
    ) -> bool {
        let topic = {
            let users = self.users.read();
            let granted = users.get(user);
            granted.and_then(|granted| granted.topics.get(exchange).cloned())
        };
        let Some(topic) = topic else {
            return true;
        };
        match permission {
            Permission::Write => topic.write.is_in(key),
            _ => topic.read.is_in(key),
        }
    }

    /// # Errors
    /// A pattern does not compile.
    pub(crate) fn compile(permissions: &Permissions) -> Result<Compiled, InvalidPattern> {
        Ok(Compiled(Patterns {
            configure: Pattern::new(&permissions.configure)?,
            write: Pattern::new(&permissions.write)?,
            read: Pattern::new(&permissions.read)?,
        }))
    }

    /// # Errors
    /// A pattern does not compile.
    pub(crate) fn compile_topic(
        &self,
        user: &Name,
        permissions: &TopicPermissions,
    ) -> Result<CompiledTopic, InvalidPattern> {
        Topic::new(permissions, user, &self.vhost).map(CompiledTopic)
    }

    /// Sets or clears permissions. `false` if there were none to clear.
    pub(crate) fn set(&self, user: &Name, permissions: Option<Compiled>) -> bool {
        let mut users = self.users.write();
        let granted = users.entry(user.clone()).or_default();
        let before = std::mem::replace(
            &mut granted.permissions,
            permissions.map(|Compiled(patterns)| Arc::new(patterns)),
        );
        let has_all = granted.permissions.as_ref().is_some_and(|it| it.are_all());
        granted.has_all.store(has_all, SeqCst);
        let changed = before.is_some() || granted.permissions.is_some();
        Grants::tidy(&mut users, user);
        changed
    }

    pub(crate) fn set_topic(&self, user: &Name, exchange: &Name, topic: CompiledTopic) {
        let mut users = self.users.write();
        let granted = users.entry(user.clone()).or_default();
        granted.topics.insert(exchange.clone(), Arc::new(topic.0));
    }

    /// Clears the topic permissions of a user, for one exchange or for all. Returns the exchanges.
    pub(crate) fn clear_topics(&self, user: &Name, exchange: Option<&Name>) -> Vec<Name> {
        let mut users = self.users.write();
        let Some(granted) = users.get_mut(user) else {
            return Vec::new();
        };
        let mut cleared = Vec::new();
        granted.topics.retain(|name, _| {
            let is_kept = exchange.is_some_and(|only| only != name);
            if !is_kept {
                cleared.push(name.clone());
            }
            is_kept
        });
        Grants::tidy(&mut users, user);
        cleared
    }

    /// Forgets the topic permissions for an exchange, which is deleted. Returns the users.
    pub(crate) fn forget_exchange(&self, exchange: &Name) -> Vec<Name> {
        let is_affected = |granted: &Granted| granted.topics.contains_key(exchange);
        if !self.users.read().values().any(is_affected) {
            return Vec::new();
        }
        let mut forgotten = Vec::new();
        for (user, granted) in self.users.write().iter_mut() {
            if granted.topics.remove(exchange).is_some() {
                forgotten.push(user.clone());
            }
        }
        forgotten
    }

    /// Forgets an entry that says nothing, and that no login shares.
    fn tidy(users: &mut BTreeMap<Name, Granted>, user: &Name) {
        let is_empty = |granted: &Granted| {
            let says_nothing = granted.permissions.is_none() && granted.topics.is_empty();
            says_nothing && Arc::strong_count(&granted.has_all) == 1
        };
        if users.get(user).is_some_and(is_empty) {
            users.remove(user);
        }
    }

    /// All permissions, sorted by user.
    pub(crate) fn list(&self) -> Vec<(Name, Permissions)> {
        let users = self.users.read();
        let listed = users.iter().filter_map(|(user, granted)| {
            let patterns = granted.permissions.as_ref()?;
            Some((user.clone(), patterns.texts()))
        });
        listed.collect()
    }

    /// All topic permissions, sorted by user and exchange.
    pub(crate) fn list_topics(&self) -> Vec<(Name, TopicPermissions)> {
        let users = self.users.read();
        let listed = users.iter().flat_map(|(user, granted)| {
            let topics = granted.topics.values();
            topics.map(|topic| (user.clone(), topic.permissions().clone()))
        });
        listed.collect()
    }
}

impl Patterns {
    fn are_all(&self) -> bool {
        let patterns = [&self.configure, &self.write, &self.read];
        patterns.into_iter().all(Pattern::is_everything)
    }

    fn texts(&self) -> Permissions {
        Permissions::new(self.configure.text(), self.write.text(), self.read.text())
    }
}
