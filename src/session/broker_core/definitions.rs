//! The definitions of the virtual hosts: what an export writes.

use crate::{
    engine::{
        policy::{Policy, PolicyKind},
        vhost::{KeptParts, Topology, VirtualHost},
    },
    model::{
        access::{Permissions, TopicPermissions, VhostLimits, VhostMetadata},
        error::Result,
        name::Name,
    },
};

use super::BrokerCore;

/// The definitions of a virtual host. `T` is of its topology.
pub(crate) struct VhostDefinitions<T> {
    pub(crate) name: Name,
    pub(crate) metadata: VhostMetadata,
    pub(crate) limits: VhostLimits,
    /// Sorted by user.
    pub(crate) permissions: Vec<(Name, Permissions)>,
    /// Sorted by user and exchange.
    pub(crate) topic_permissions: Vec<(Name, TopicPermissions)>,
    /// Sorted by name.
    pub(crate) policies: Vec<Policy>,
    /// Sorted by name.
    pub(crate) operator_policies: Vec<Policy>,
    pub(crate) kept_parts: KeptParts,
    pub(crate) topology: T,
}

impl BrokerCore {
    /// The definitions of the wanted virtual hosts, in the order of their names. `look` looks at
    /// the topology of each.
    ///
    /// # Errors
    /// [`Error::ShutDown`](crate::Error::ShutDown).
    pub(crate) fn definitions<T>(
        &self,
        is_wanted: impl Fn(&Name) -> bool,
        look: impl Fn(&Topology) -> T,
    ) -> Result<Vec<VhostDefinitions<T>>> {
        self.check_embedded("definitions")?;
        let vhosts = self.virtual_hosts()?;
        let vhosts = vhosts.iter().filter(|vhost| is_wanted(vhost.name()));
        let definitions = vhosts.map(|vhost| {
            let about = vhost.about();
            VhostDefinitions {
                name: vhost.name().clone(),
                metadata: about.metadata,
                limits: about.limits,
                permissions: vhost.grants().list(),
                topic_permissions: vhost.grants().list_topics(),
                policies: policies(vhost, PolicyKind::User),
                operator_policies: policies(vhost, PolicyKind::Operator),
                kept_parts: vhost.kept_parts(),
                topology: vhost.read_topology(&look),
            }
        });
        Ok(definitions.collect())
    }

    /// Forgets what a virtual host keeps of features that are not here. Returns how many items it
    /// were.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound), [`Error::ShutDown`](crate::Error::ShutDown),
    /// [`Error::Store`](crate::Error::Store).
    pub(crate) fn clear_kept_parts(&self, vhost: &str) -> Result<usize> {
        self.virtual_host(vhost)?.clear_kept_parts()
    }
}

fn policies(vhost: &VirtualHost, kind: PolicyKind) -> Vec<Policy> {
    let policies = vhost.policies(kind).into_iter();
    let mut policies: Vec<Policy> = policies.map(|(policy, _)| policy).collect();
    policies.sort_by(|one, other| one.name.cmp(&other.name));
    policies
}
