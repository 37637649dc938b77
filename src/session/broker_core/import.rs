//! An import: changes of the users and in several virtual hosts at once, all or none.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::Value;

use super::{BrokerCore, VhostEntry, events::wake_all};
use crate::{
    engine::{
        access::Users,
        vhost::{
            Added, CheckedVhost, LockedVhost, MadeVhost, Numbers, RecoveredVhost, VhostPlan,
            VirtualHost,
        },
    },
    model::{
        access::User,
        broker_event::EventKind,
        error::{Error, Result},
        name::Name,
    },
    runtime::waiter::Wake,
};

/// The changes of an import. Each of them is checked when it is added.
pub(crate) struct ImportPlan<'a> {
    /// The users before the import.
    existing_users: &'a Users,
    users: BTreeMap<Name, User>,
    /// Those that exist, and those that may be created.
    vhosts: BTreeMap<&'a Name, VhostPlan<'a>>,
    /// Those that do not exist.
    new: BTreeSet<&'a Name>,
    /// Those that are created.
    created: BTreeSet<Name>,
    pub(crate) global_parameters: BTreeMap<Name, Value>,
}

/// The checked changes of an import.
struct Checked {
    users: BTreeMap<Name, User>,
    vhosts: BTreeMap<Name, CheckedVhost>,
    created: BTreeSet<Name>,
    global_parameters: BTreeMap<Name, Value>,
}

impl<'a> ImportPlan<'a> {
    /// Adds a user, or replaces the one of the same name.
    ///
    /// # Errors
    /// [`Error::InvalidName`].
    pub(crate) fn add_user(&mut self, user: User) -> Result<Added> {
        let name = Name::new(user.name())?;
        Ok(match self.users.insert(name, user) {
            Some(_) => Added::Twice,
            None => Added::New,
        })
    }

    /// Whether there is such a user, or will be.
    pub(crate) fn has_user(&self, name: &Name) -> bool {
        self.users.contains_key(name) || self.existing_users.get(name).is_some()
    }

    /// Creates a virtual host. `false` if it exists.
    pub(crate) fn create_vhost(&mut self, name: &Name) -> bool {
        self.new.contains(name) && self.created.insert(name.clone())
    }

    /// The changes of a virtual host. `None` if it does not exist.
    pub(crate) fn vhost(&mut self, name: &Name) -> Option<&mut VhostPlan<'a>> {
        let exists = !self.new.contains(name) || self.created.contains(name);
        self.vhosts.get_mut(name).filter(|_| exists)
    }

    fn checked(self) -> Checked {
        let ImportPlan {
            users,
            vhosts,
            new,
            created,
            global_parameters,
            ..
        } = self;
        let vhosts = vhosts.into_iter();
        let vhosts = vhosts.filter(|(name, _)| !new.contains(name) || created.contains(*name));
        Checked {
            users,
            vhosts: vhosts
                .map(|(name, plan)| (name.clone(), plan.checked()))
                .collect(),
            created,
            global_parameters,
        }
    }
}

impl BrokerCore {
    /// Calls `plan`, which checks the changes, and makes them. No one sees a part of them, and on
    /// disk are all of them or none. `plan` may change the virtual hosts of `names` that exist, and
    /// may create those of `creatable`. It runs under the locks of all of them.
    ///
    /// # Errors
    /// Those of `plan`, [`Error::ShutDown`], [`Error::Store`]. Only after the last of them may a
    /// change stay: it is in memory, and maybe not on disk.
    pub(crate) fn import<R, E: From<Error>>(
        &self,
        names: &BTreeSet<Name>,
        creatable: &BTreeSet<Name>,
        plan: impl FnOnce(&mut ImportPlan<'_>) -> Result<R, E>,
    ) -> Result<R, E> {
        // The clock may be user code, which runs before the locks.
        let now = self.time.now();
        let mut new = self.new_vhosts(creatable)?;
        let mut vhosts = self.vhosts.lock();
        // Under the lock under which a shutdown collects the virtual hosts.
        let open = vhosts.as_mut().filter(|_| !self.drain.has_begun());
        let open = open.ok_or(Error::ShutDown)?;
        // Another thread may have created one of them meanwhile.
        let taken = creatable.iter().filter(|name| open.contains_key(*name));
        let taken: Vec<_> = taken.filter_map(|name| new.remove_entry(name)).collect();
        let existing = names.union(creatable).filter_map(|name| {
            let entry = open.get(name).or_else(|| new.get(name))?;
            Some((name.clone(), Arc::clone(&entry.vhost)))
        });
        let existing: BTreeMap<Name, Arc<VirtualHost>> = existing.collect();
        let mut locked: BTreeMap<&Name, LockedVhost<'_>> = BTreeMap::new();
        // In the order of the names.
        for (name, vhost) in &existing {
            locked.insert(name, vhost.lock_for_import(now)?);
        }
        let plans = locked.iter();
        let mut plans = ImportPlan {
            existing_users: &self.users,
            users: BTreeMap::new(),
            vhosts: plans
                .map(|(name, locked)| (*name, VhostPlan::of(locked)))
                .collect(),
            new: new.keys().collect(),
            created: BTreeSet::new(),
            global_parameters: BTreeMap::new(),
        };
        let result = plan(&mut plans)?;
        let checked = plans.checked();
        let told = self.make_all(checked, &mut locked, &mut new, open)?;
        let effects: Vec<_> = locked.into_values().map(LockedVhost::release).collect();
        drop(vhosts);
        // The virtual hosts that were not created end without a lock.
        drop((taken, new));
        effects.into_iter().for_each(|effects| effects.run());
        wake_all(told);
        self.sync()?;
        Ok(result)
    }

    /// Makes those of the virtual hosts that do not exist. No one sees them yet.
    fn new_vhosts(&self, names: &BTreeSet<Name>) -> Result<BTreeMap<Name, VhostEntry>> {
        let existing = self.vhosts()?;
        let mut new = BTreeMap::new();
        for name in names.iter().filter(|name| !existing.contains(name)) {
            let entry = self.make(name, Numbers::default())?;
            entry.vhost.recover(RecoveredVhost::default())?;
            new.insert(name.clone(), entry);
        }
        Ok(new)
    }

    /// Makes the checked changes: first those that may fail.
    fn make_all(
        &self,
        checked: Checked,
        locked: &mut BTreeMap<&Name, LockedVhost<'_>>,
        new: &mut BTreeMap<Name, VhostEntry>,
        open: &mut BTreeMap<Name, VhostEntry>,
    ) -> Result<Vec<Wake>> {
        let _whole = self.journal.as_ref().map(|journal| journal.begin_import());
        let mut done: Vec<(Name, MadeVhost)> = Vec::new();
        for (name, checked) in checked.vhosts {
            let Some(vhost) = locked.get_mut(&name) else {
                continue;
            };
            match vhost.make(checked) {
                Ok(made) => done.push((name, made)),
                Err(error) => {
                    for (name, made) in done {
                        if let Some(vhost) = locked.get_mut(&name) {
                            vhost.undo(made);
                        }
                    }
                    return Err(error);
                }
            }
        }
        let mut told = Vec::new();
        for (name, user) in checked.users {
            self.write_user(&name, Some(&user));
            told.extend(self.tell_user(&name, self.users.get(&name).as_ref(), &user));
            self.users.set(name, user);
        }
        for name in checked.created {
            if let Some((name, entry)) = new.remove_entry(&name) {
                if let Some(storage) = entry.vhost.storage() {
                    storage.write_vhost(Some(&entry.vhost.about()));
                }
                told.extend(entry.vhost.tell_metadata(EventKind::VhostCreated));
                open.insert(name, entry);
            }
        }
        for (name, made) in done {
            if let Some(vhost) = locked.get_mut(&name) {
                vhost.finish(made);
            }
        }
        told.extend(self.add_global_parameters(checked.global_parameters));
        Ok(told)
    }
}
