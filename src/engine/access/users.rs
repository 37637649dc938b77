//! The users of a broker.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    model::{
        access::{HashingAlgorithm, PasswordHash, User, reached},
        error::Permission,
        name::Name,
    },
    runtime::sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

/// The users of a broker, by name. A leaf lock.
#[derive(Debug, Default)]
pub(crate) struct Users {
    users: Mutex<BTreeMap<Name, Known>>,
}

#[derive(Debug)]
struct Known {
    user: User,
    tally: Arc<Tally>,
}

/// What a user has open in all virtual hosts.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    connections: AtomicUsize,
    channels: AtomicUsize,
}

impl Users {
    pub(crate) fn get(&self, name: &str) -> Option<User> {
        let users = self.users.lock();
        users.get(name).map(|known| known.user.clone())
    }

    /// What the user has open. `None` if there is no such user.
    pub(crate) fn tally(&self, name: &str) -> Option<Arc<Tally>> {
        let users = self.users.lock();
        users.get(name).map(|known| Arc::clone(&known.tally))
    }

    /// All users, sorted by name.
    pub(crate) fn list(&self) -> Vec<User> {
        let users = self.users.lock();
        users.values().map(|known| known.user.clone()).collect()
    }

    /// Sets a user, or replaces the one of the same name.
    pub(crate) fn set(&self, name: Name, user: User) {
        let mut users = self.users.lock();
        match users.get_mut(&name) {
            Some(known) => known.user = user,
            None => {
                let tally = Arc::default();
                users.insert(name, Known { user, tally });
            }
        }
    }

    /// `false` if there was none.
    pub(crate) fn remove(&self, name: &str) -> bool {
        self.users.lock().remove(name).is_some()
    }

    /// The user with this name and password. It takes as long for a name that no user has.
    pub(crate) fn authenticate(&self, name: &str, password: &str) -> Option<User> {
        let found = self.get(name);
        let matches = match found.as_ref().and_then(User::hash) {
            Some(hash) => hash.matches(password),
            None => {
                PasswordHash::with(HashingAlgorithm::Sha256, [0; 4], password);
                false
            }
        };
        // As in RabbitMQ, the empty password is none, whatever the hash is of.
        found.filter(|_| matches && !password.is_empty())
    }

    /// Whether the user has a tag that permits this.
    pub(super) fn have_tag_for(&self, user: &Name, permission: Permission) -> bool {
        let tags: &[&str] = match permission {
            Permission::Administrator => &["administrator"],
            Permission::Policymaker => &["policymaker", "administrator"],
            Permission::Management => &["management", "policymaker", "monitoring", "administrator"],
            Permission::Configure | Permission::Write | Permission::Read => &[],
        };
        let users = self.users.lock();
        let known = users.get(user);
        known.is_some_and(|known| tags.iter().any(|tag| known.user.has_tag(tag)))
    }
}

impl Tally {
    /// Counts one more connection.
    ///
    /// # Errors
    /// The limit, if the user has reached it.
    pub(crate) fn open_connection(&self, limit: Option<i64>) -> Result<(), i64> {
        open(&self.connections, limit)
    }

    pub(crate) fn close_connection(&self) {
        self.connections.fetch_sub(1, SeqCst);
    }

    pub(super) fn open_channel(&self, limit: Option<i64>) -> Result<(), i64> {
        open(&self.channels, limit)
    }

    pub(super) fn close_channels(&self, count: usize) {
        self.channels.fetch_sub(count, SeqCst);
    }
}

fn open(count: &AtomicUsize, limit: Option<i64>) -> Result<(), i64> {
    let before = count.fetch_add(1, SeqCst);
    match reached(limit, before) {
        None => Ok(()),
        Some(limit) => {
            count.fetch_sub(1, SeqCst);
            Err(limit)
        }
    }
}
