//! Listeners of a node that encrypt, ask for a certificate, or ask for a login.
//!
//! They are reached past the proxies, by the one name that the node's certificate holds: `localhost`.

use anyhow::Result;

use crate::certificates::{Authority, Certificate};
use crate::ports::free_port;

/// The user whom a secured node lets in.
pub const USER: &str = "monitor";
/// That user's password.
pub const PASSWORD: &str = "s3cret-of-the-monitor";

/// How a secured node lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Encrypted, without a login.
    Tls,
    /// Encrypted, by a certificate of the client.
    MutualTls,
    /// Encrypted, by user and password: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.
    SaslTls,
}

/// The listeners of a node, and whom it trusts.
pub(super) struct Secured {
    ports: [u16; 3],
    certificate: Certificate,
    ca: String,
}

const WAYS: [(Way, &str, &str); 3] =
    [(Way::Tls, "TLS", "SSL"), (Way::MutualTls, "MUTUAL", "SSL"), (Way::SaslTls, "SECURE", "SASL_SSL")];

impl Secured {
    pub(super) fn by(authority: &Authority) -> Result<Secured> {
        let ports = [free_port()?, free_port()?, free_port()?];
        let ca = authority.ca_file().display().to_string();
        Ok(Secured { ports, certificate: authority.sign("localhost")?, ca })
    }

    pub(super) fn address(&self, way: Way) -> String {
        let port = WAYS.iter().zip(self.ports).find(|((each, ..), _)| *each == way).map_or(0, |(_, port)| port);
        format!("localhost:{port}")
    }

    /// More of `listeners`, bound to or reached by this host.
    pub(super) fn listeners(&self, host: &str) -> String {
        WAYS.iter().zip(self.ports).map(|((_, name, _), port)| format!(",{name}://{host}:{port}")).collect()
    }

    /// More of `listener.security.protocol.map`.
    pub(super) fn protocols() -> String {
        WAYS.iter().map(|(_, name, protocol)| format!(",{name}:{protocol}")).collect()
    }

    /// What the listeners are set to.
    pub(super) fn properties(&self) -> String {
        let Secured { certificate, ca, .. } = self;
        let store = certificate.store.display();
        let mut properties = String::from("listener.name.mutual.ssl.client.auth=required\n");
        for name in ["tls", "mutual", "secure"] {
            properties.push_str(&format!(
                "listener.name.{name}.ssl.keystore.type=PEM\n\
                 listener.name.{name}.ssl.keystore.location={store}\n\
                 listener.name.{name}.ssl.truststore.type=PEM\n\
                 listener.name.{name}.ssl.truststore.location={ca}\n"
            ));
        }
        let security = "org.apache.kafka.common.security";
        properties.push_str(&format!(
            "listener.name.secure.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512\n\
             listener.name.secure.plain.sasl.jaas.config={security}.plain.PlainLoginModule required \
             user_{USER}=\"{PASSWORD}\";\n\
             listener.name.secure.scram-sha-256.sasl.jaas.config={security}.scram.ScramLoginModule required;\n\
             listener.name.secure.scram-sha-512.sasl.jaas.config={security}.scram.ScramLoginModule required;\n"
        ));
        properties
    }

    /// What makes the user known when the storage is formatted.
    pub(super) fn users() -> Vec<String> {
        let user = |mechanism: &str| format!("{mechanism}=[name={USER},password={PASSWORD}]");
        ["SCRAM-SHA-256", "SCRAM-SHA-512"].map(user).into_iter().flat_map(|user| ["--add-scram".into(), user]).collect()
    }
}
