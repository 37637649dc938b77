//! Which endpoint serves a request: the dispatch against a plain model of it.

use leveret::{
    Broker,
    rpc::{Client, Endpoint, RpcError, Server, Target, Version},
};
use proptest::{collection::vec, option, prelude::*, sample::subsequence};

use crate::common::cases;

const NAMESPACES: [&str; 2] = ["a", "b"];
const METHODS: [&str; 3] = ["x", "y", "z"];

#[derive(Clone, Debug)]
struct Described {
    namespace: Option<&'static str>,
    version: Version,
    methods: Vec<&'static str>,
}

fn version() -> impl Strategy<Value = Version> {
    (0..3_u16, 0..4_u16).prop_map(Version::from)
}

fn namespace() -> impl Strategy<Value = Option<&'static str>> {
    option::of(proptest::sample::select(&NAMESPACES[..]))
}

fn described() -> impl Strategy<Value = Described> {
    let methods = subsequence(METHODS.to_vec(), 0..=METHODS.len());
    (namespace(), version(), methods).prop_map(|(namespace, version, methods)| Described {
        namespace,
        version,
        methods,
    })
}

/// As oslo.messaging does it: the endpoints one by one.
fn expected(
    endpoints: &[Described],
    namespace: Option<&str>,
    version: Version,
    method: &'static str,
) -> Result<usize, RpcError> {
    let mut found_compatible = false;
    for (index, endpoint) in endpoints.iter().enumerate() {
        let is_compatible =
            endpoint.version.major == version.major && version.minor <= endpoint.version.minor;
        if endpoint.namespace != namespace || !is_compatible {
            continue;
        }
        if endpoint.methods.contains(&method) {
            return Ok(index);
        }
        found_compatible = true;
    }
    let method = method.into();
    Err(match found_compatible {
        true => RpcError::NoSuchMethod { method },
        false => RpcError::UnsupportedVersion { method, version },
    })
}

/// The first method that an endpoint has and an earlier one of the same namespace and version too.
fn is_duplicate(endpoints: &[Described]) -> bool {
    endpoints.iter().enumerate().any(|(index, endpoint)| {
        endpoints[..index].iter().any(|other| {
            (other.namespace, other.version) == (endpoint.namespace, endpoint.version)
                && other
                    .methods
                    .iter()
                    .any(|method| endpoint.methods.contains(method))
        })
    })
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_request_goes_to_the_first_endpoint_that_can_serve_it(
        endpoints in vec(described(), 0..6),
        requests in vec((namespace(), version(), proptest::sample::select(&METHODS[..])), 1..20),
    ) {
        let broker = Broker::new();
        let mut server = Server::new(&broker, Target::topic("test"));
        for (index, described) in endpoints.iter().enumerate() {
            let endpoint = Endpoint::new().version(described.version);
            let mut endpoint = match described.namespace {
                Some(namespace) => endpoint.namespace(namespace),
                None => endpoint,
            };
            for method in &described.methods {
                endpoint = endpoint.method(*method, move |(): (), _| index);
            }
            server = server.endpoint(endpoint);
        }
        let server = match server.spawn() {
            Ok(server) => server,
            Err(RpcError::DuplicateMethod { .. }) => {
                prop_assert!(is_duplicate(&endpoints));
                return Ok(());
            }
            Err(error) => panic!("{error}"),
        };
        prop_assert!(!is_duplicate(&endpoints));
        let client = Client::new(&broker, Target::topic("test"));
        for (namespace, version, method) in requests {
            let request = client.prepare().version(version);
            let request = match namespace {
                Some(namespace) => request.namespace(namespace),
                None => request,
            };
            prop_assert_eq!(
                request.call::<usize>(method, ()),
                expected(&endpoints, namespace, version, method)
            );
        }
        drop(server);
    }

    #[test]
    fn a_version_reads_its_own_text_and_a_cap_is_a_version_that_serves(
        one in version(), other in version(),
    ) {
        prop_assert_eq!(one.to_string().parse(), Ok(one));
        let client = Client::new(&Broker::new(), Target::topic("test")).version_cap(one);
        prop_assert_eq!(client.can_send_version(other), one.serves(other));
        prop_assert_eq!(one.serves(other), one.major == other.major && one >= other);
    }
}

#[test]
fn a_text_that_is_no_version_is_refused() {
    for text in [
        "", "1", "1.", ".1", "1.2.3", "+1.0", "1.-1", "65536.0", "a.b", " 1.0",
    ] {
        let error = text.parse::<Version>().unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
    }
}
