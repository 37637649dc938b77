//! [`Dispatcher`], which finds the method of a request.

use std::{collections::HashSet, fmt, sync::Arc};

use hashbrown::HashMap;

use super::{Endpoint, method::Method, request::Head};
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
    /// The methods, each with the versions of its endpoints, in their order.
    methods: HashMap<String, Vec<(Version, Arc<Method>)>>,
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
                if name == PING || methods.iter().any(|(other, _)| *other == version) {
                    return Err(RpcError::DuplicateMethod {
                        method: name.as_str().into(),
                    });
                }
                methods.push((version, Arc::clone(method)));
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
        let namespace = match head.namespace.as_deref() {
            None => Some(&self.unnamed),
            Some(name) => self.named.get(name),
        };
        let methods = namespace.and_then(|namespace| namespace.methods.get(&*head.method));
        let mut methods = methods.into_iter().flatten();
        match methods.find(|(version, _)| version.serves(head.version)) {
            Some((_, method)) => Ok(method),
            None => Err(not_found(namespace, head)),
        }
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
