//! [`Dispatcher`], which finds the method of a request.

use std::{collections::HashSet, fmt, sync::Arc};

use hashbrown::HashMap;

use super::{Endpoint, limits::Limits, method::Method, request::Head};
use crate::model::{error::RpcError, version::Version};

/// The name of the method that every server has. Its reply is nothing.
pub(super) const PING: &str = "rpc.ping";

/// The methods of a server.
#[derive(Default)]
pub(super) struct Dispatcher {
    /// The namespace without a name. Most requests have none.
    unnamed: Namespace,
    named: HashMap<String, Namespace>,
}

/// The endpoints of one namespace.
#[derive(Default)]
struct Namespace {
    /// The versions of its endpoints.
    versions: Vec<Version>,
    /// The methods of each name, in the order of their endpoints.
    methods: HashMap<String, Vec<Found>>,
}

/// A method of an endpoint.
struct Found {
    version: Version,
    method: Arc<Method>,
    limits: Limits,
}

impl Dispatcher {
    /// # Errors
    /// [`RpcError::DuplicateMethod`].
    pub(super) fn new(endpoints: Vec<Endpoint>) -> Result<Dispatcher, RpcError> {
        let mut dispatcher = Dispatcher::default();
        for endpoint in endpoints {
            dispatcher.add(endpoint)?;
        }
        Ok(dispatcher)
    }

    fn add(&mut self, endpoint: Endpoint) -> Result<(), RpcError> {
        let version = endpoint.version;
        let mut seen = HashSet::new();
        for namespace in endpoint.namespaces {
            if !seen.insert(namespace.clone()) {
                continue;
            }
            let namespace = match namespace {
                None => &mut self.unnamed,
                Some(name) => self.named.entry(name).or_default(),
            };
            namespace.versions.push(version);
            for (name, method) in &endpoint.methods {
                let methods = namespace.methods.entry(name.clone()).or_default();
                if name == PING || methods.iter().any(|other| other.version == version) {
                    return Err(RpcError::DuplicateMethod {
                        method: name.as_str().into(),
                    });
                }
                methods.push(Found {
                    version,
                    method: Arc::clone(method),
                    limits: endpoint.limits.clone(),
                });
            }
        }
        Ok(())
    }

    /// Finds the method of a request: that of the first endpoint which has the namespace, a
    /// compatible version and the method.
    ///
    /// # Errors
    /// [`RpcError::NoSuchMethod`] if an endpoint has the namespace and a compatible version, and
    /// else [`RpcError::UnsupportedVersion`].
    pub(super) fn find(&self, head: &Head) -> Result<&Method, RpcError> {
        let namespace = self.namespace(head);
        match namespace.and_then(|namespace| namespace.find(head)) {
            Some(found) => Ok(&found.method),
            None => Err(not_found(namespace, head)),
        }
    }

    /// The limits of the method of a request, if there is one.
    pub(super) fn limits(&self, head: &Head) -> Option<&Limits> {
        let found = self.namespace(head)?.find(head)?;
        Some(&found.limits)
    }

    fn namespace(&self, head: &Head) -> Option<&Namespace> {
        match head.namespace.as_deref() {
            None => Some(&self.unnamed),
            Some(name) => self.named.get(name),
        }
    }
}

impl Namespace {
    fn find(&self, head: &Head) -> Option<&Found> {
        let mut methods = self.methods.get(&*head.method)?.iter();
        methods.find(|found| found.version.serves(head.version))
    }
}

#[cold]
fn not_found(namespace: Option<&Namespace>, head: &Head) -> RpcError {
    let (method, version) = (Arc::from(&*head.method), head.version);
    let mut versions = namespace.iter().flat_map(|namespace| &namespace.versions);
    match versions.any(|implemented| implemented.serves(version)) {
        true => RpcError::NoSuchMethod { method },
        false => RpcError::UnsupportedVersion { method, version },
    }
}

impl fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dispatcher")
            .field("unnamed", &self.unnamed.versions)
            .field("named", &self.named.keys().collect::<Vec<_>>())
            .finish()
    }
}
