//! The administration of users and of their permissions.
//!
//! Each change takes the lock of the virtual hosts. So no user gets permissions or a connection
//! while the user is deleted, and no virtual host is deleted in between.

use std::{sync::Arc, time::Duration};

use super::{BrokerCore, events::wake_all};
use crate::{
    engine::{
        access::Grants,
        store::{Operation, RecordKind},
        vhost::{About, VirtualHost},
    },
    model::{
        access::{Permissions, TopicPermissions, User},
        broker_event::EventKind,
        error::{EntityKind, Error, Precondition, Result},
        name::Name,
    },
    runtime::waiter::{self, Wake},
};

/// The user of the implicit connections, who may do everything.
pub(super) const GUEST: &str = "guest";

impl BrokerCore {
    /// All users, sorted by name.
    pub(crate) fn users(&self) -> Result<Vec<User>> {
        self.check_up()?;
        Ok(self.users.list())
    }

    /// # Errors
    /// [`Error::NotFound`], [`Error::ShutDown`].
    pub(crate) fn user(&self, name: &str) -> Result<User> {
        self.check_up()?;
        let name = Name::new(name)?;
        self.users.get(&name).ok_or_else(|| no_user(&name))
    }

    fn check_up(&self) -> Result {
        self.check_embedded("users")?;
        match &*self.vhosts.lock() {
            Some(_) => Ok(()),
            None => Err(Error::ShutDown),
        }
    }

    /// Adds a user.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`] if the user exists or has no name.
    pub(crate) fn add_user(&self, user: User) -> Result {
        self.change_user(user, |name, there| match there {
            Some(_) => Err(Precondition::UserExists(name.clone()).into()),
            None => Ok(()),
        })
    }

    /// Adds a user, or replaces the one of the same name.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`] if the user has no name.
    pub(crate) fn put_user(&self, user: User) -> Result {
        self.change_user(user, |_, _| Ok(()))
    }

    /// Sets a user if `check` has nothing against it.
    fn change_user(&self, user: User, check: impl FnOnce(&Name, Option<User>) -> Result) -> Result {
        let name = Name::new(user.name())?;
        if name.is_empty() {
            return Err(Precondition::UserWithoutName.into());
        }
        let vhosts = self.vhosts.lock();
        vhosts.as_ref().ok_or(Error::ShutDown)?;
        let before = self.users.get(&name);
        check(&name, before.clone())?;
        self.write_user(&name, Some(&user));
        let told = self.tell_user(&name, before.as_ref(), &user);
        self.users.set(name, user);
        drop(vhosts);
        wake_all(told);
        self.sync()
    }

    /// Changes the user of this name.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub(crate) fn update_user(&self, name: &str, change: impl FnOnce(User) -> User) -> Result {
        let name = Name::new(name)?;
        let vhosts = self.vhosts.lock();
        vhosts.as_ref().ok_or(Error::ShutDown)?;
        let before = self.users.get(&name).ok_or_else(|| no_user(&name))?;
        let user = change(before.clone());
        self.write_user(&name, Some(&user));
        let told = self.tell_user(&name, Some(&before), &user);
        self.users.set(name, user);
        drop(vhosts);
        wake_all(told);
        self.sync()
    }

    /// Deletes a user with all permissions, and closes the connections of the user.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub(crate) fn delete_user(&self, name: &str) -> Result {
        let name = Name::new(name)?;
        let mut connections = Vec::new();
        let vhosts = self.vhosts.lock();
        let entries = vhosts.as_ref().ok_or(Error::ShutDown)?;
        if !self.users.remove(&name) {
            return Err(no_user(&name));
        }
        self.write_user(&name, None);
        let mut told = Vec::new();
        for entry in entries.values() {
            told.extend(entry.vhost.clear_permissions(&name));
            told.extend(entry.vhost.clear_topic_permissions(&name, None));
            connections.extend(entry.connections_of(&name));
        }
        told.push(self.tell(EventKind::UserDeleted, |fields| fields.with("name", &name)));
        drop(vhosts);
        told.into_iter().for_each(wake_all);
        BrokerCore::close_of_user(connections);
        self.sync()
    }

    /// Sets the permissions of a user in a virtual host.
    ///
    /// # Errors
    /// [`Error::InvalidPattern`], [`Error::NotFound`] for an unknown user or virtual host.
    pub(crate) fn set_permissions(
        &self,
        vhost: &str,
        user: &str,
        permissions: &Permissions,
    ) -> Result {
        let compiled = Grants::compile(permissions)?;
        self.change_grants(vhost, user, |vhost, user| {
            Ok(Some(vhost.set_permissions(user, permissions, compiled)))
        })
        .map(drop)
    }

    /// `false` if the user had none.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an unknown virtual host.
    pub(crate) fn clear_permissions(&self, vhost: &str, user: &str) -> Result<bool> {
        self.clear_grants(vhost, user, VirtualHost::clear_permissions)
    }

    /// Sets the topic permissions of a user for an exchange.
    ///
    /// # Errors
    /// [`Error::InvalidPattern`], [`Error::NotFound`] for an unknown user, virtual host or
    /// exchange.
    pub(crate) fn set_topic_permissions(
        &self,
        vhost: &str,
        user: &str,
        permissions: &TopicPermissions,
    ) -> Result {
        let exchange = Name::of_entity(&permissions.exchange)?;
        let grants = Grants::new(Name::new(vhost)?);
        let compiled = grants.compile_topic(&Name::new(user)?, permissions)?;
        self.change_grants(vhost, user, |vhost, user| {
            vhost
                .set_topic_permissions(user, &exchange, permissions, compiled)
                .map(Some)
        })
        .map(drop)
    }

    /// Clears the topic permissions of a user, for one exchange or for all. `false` if there were
    /// none.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an unknown virtual host.
    pub(crate) fn clear_topic_permissions(
        &self,
        vhost: &str,
        user: &str,
        exchange: Option<&str>,
    ) -> Result<bool> {
        let exchange = exchange.map(Name::of_entity).transpose()?;
        self.clear_grants(vhost, user, |vhost, user| {
            vhost.clear_topic_permissions(user, exchange.as_ref())
        })
    }

    /// A user who does not exist has nothing to be cleared, as in RabbitMQ.
    fn clear_grants(
        &self,
        vhost: &str,
        user: &str,
        clear: impl FnOnce(&VirtualHost, &Name) -> Option<Vec<Wake>>,
    ) -> Result<bool> {
        self.virtual_host(vhost)?;
        match self.users.get(&Name::new(user)?) {
            None => Ok(false),
            Some(_) => self.change_grants(vhost, user, |vhost, user| Ok(clear(vhost, user))),
        }
    }

    /// Changes the permissions of a user. When it returns, nothing is done by the old ones.
    /// `change` returns the readers of events to be woken, or `None` if it has changed nothing.
    /// Returns whether it has.
    fn change_grants(
        &self,
        vhost: &str,
        user: &str,
        change: impl FnOnce(&VirtualHost, &Name) -> Result<Option<Vec<Wake>>>,
    ) -> Result<bool> {
        let (user, vhost_name) = (Name::new(user)?, Name::new(vhost)?);
        let vhosts = self.vhosts.lock();
        let entry = vhosts.as_ref().ok_or(Error::ShutDown)?.get(&vhost_name);
        let entry = entry.ok_or_else(|| no_vhost(&vhost_name))?;
        if self.users.get(&user).is_none() {
            return Err(no_user(&user));
        }
        let vhost = Arc::clone(&entry.vhost);
        let before = vhost.changes();
        let changed = change(&vhost, &user)?;
        drop(vhosts);
        vhost.end_routes();
        let has_changed = changed.is_some();
        wake_all(changed.unwrap_or_default());
        vhost.sync_changes(before)?;
        Ok(has_changed)
    }

    /// The permissions in a virtual host, sorted by user.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub(crate) fn permissions(&self, vhost: &str) -> Result<Vec<(Name, Permissions)>> {
        Ok(self.virtual_host(vhost)?.grants().list())
    }

    /// The topic permissions in a virtual host, sorted by user and exchange.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub(crate) fn topic_permissions(&self, vhost: &str) -> Result<Vec<(Name, TopicPermissions)>> {
        Ok(self.virtual_host(vhost)?.grants().list_topics())
    }

    /// The permissions of a user, sorted by virtual host.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub(crate) fn user_permissions(&self, user: &str) -> Result<Vec<(Name, Permissions)>> {
        self.of_user(user, |grants| grants.list())
    }

    /// The topic permissions of a user, sorted by virtual host and exchange.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub(crate) fn user_topic_permissions(
        &self,
        user: &str,
    ) -> Result<Vec<(Name, TopicPermissions)>> {
        self.of_user(user, |grants| grants.list_topics())
    }

    fn of_user<P>(
        &self,
        user: &str,
        list: impl Fn(&Grants) -> Vec<(Name, P)>,
    ) -> Result<Vec<(Name, P)>> {
        self.user(user)?;
        let mut found = Vec::new();
        for vhost in self.virtual_hosts()? {
            let own = list(vhost.grants()).into_iter();
            let own = own.filter(|(name, _)| **name == *user);
            found.extend(own.map(|(_, permissions)| (vhost.name().clone(), permissions)));
        }
        Ok(found)
    }

    /// The metadata and the limits of a virtual host.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub(crate) fn about(&self, vhost: &str) -> Result<About> {
        Ok(self.virtual_host(vhost)?.about())
    }

    /// Changes the metadata or the limits of a virtual host.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::PreconditionFailed`].
    pub(crate) fn change_about(&self, vhost: &str, change: impl FnOnce(&mut About)) -> Result {
        let told = self.virtual_host(vhost)?.change_about(change)?;
        wake_all(told);
        Ok(())
    }

    pub(super) fn virtual_host(&self, name: &str) -> Result<Arc<VirtualHost>> {
        let vhosts = self.vhosts.lock();
        match vhosts.as_ref().ok_or(Error::ShutDown)?.get(name) {
            Some(entry) => Ok(Arc::clone(&entry.vhost)),
            None => Err(no_vhost(&Name::new(name)?)),
        }
    }

    /// Adds the users of the builder at the start. As RabbitMQ's `default_user` they are
    /// administrators, and have all permissions in `/`.
    ///
    /// A store that has users already keeps them: without the user `guest` if that was deleted. The
    /// users of the builder are added to it, and get the password that the builder says.
    pub(super) fn add_first_users(&self, from_store: Vec<User>) -> Result {
        let is_new = from_store.is_empty();
        for user in from_store {
            self.users.set(Name::new(user.name())?, user);
        }
        let guest = User::new(GUEST).password(GUEST);
        for user in &self.settings.users {
            match self.users.get(user.name()) {
                // No user can have such a name.
                None if user.name().is_empty() || Name::check(user.name()).is_err() => {}
                None => self.add_first_user(user.clone())?,
                Some(_) => {
                    let hash = user.hash().cloned();
                    self.update_user(user.name(), |there| there.password_hash(hash))?;
                }
            }
        }
        match is_new && self.users.get(GUEST).is_none() {
            true => self.add_first_user(guest),
            false => Ok(()),
        }
    }

    fn add_first_user(&self, user: User) -> Result {
        let name = user.name().to_owned();
        self.put_user(user.tag("administrator"))?;
        self.set_permissions("/", &name, &Permissions::all())
    }

    /// Gives the user `guest` all permissions in a new virtual host, as RabbitMQ's management gives
    /// them to the user who has made it.
    pub(super) fn permit_guest(&self, vhost: &VirtualHost) -> Result<Vec<Wake>> {
        if self.users.get(GUEST).is_none() {
            return Ok(Vec::new());
        }
        let (guest, all) = (Name::new(GUEST)?, Permissions::all());
        Ok(vhost.set_permissions(&guest, &all, Grants::compile(&all)?))
    }

    pub(super) fn write_user(&self, name: &Name, user: Option<&User>) {
        let value = user.map(|user| user as &dyn erased_serde::Serialize);
        self.write(RecordKind::User, name, value);
    }

    /// Writes a record of the broker itself, if it is durable. No one waits for it.
    pub(super) fn write(
        &self,
        kind: RecordKind,
        name: &Name,
        value: Option<&dyn erased_serde::Serialize>,
    ) {
        let operation = Operation::record(kind, name, value);
        if let (Some(journal), Some(operation)) = (&self.journal, operation) {
            journal.append(operation, Duration::ZERO);
        }
    }

    /// Waits until everything is on disk, if the broker is durable.
    pub(super) fn sync(&self) -> Result {
        let Some(journal) = &self.journal else {
            return Ok(());
        };
        let synced = waiter::wait(&journal.synced(), None);
        synced.unwrap_or_else(|| journal.check())
    }
}

fn no_user(name: &Name) -> Error {
    Error::not_found(EntityKind::User, name, name)
}

fn no_vhost(name: &Name) -> Error {
    Error::not_found(EntityKind::VirtualHost, name, name)
}
