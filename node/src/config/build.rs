//! From settings to the typed configuration.

use std::net::SocketAddr;
use std::path::PathBuf;

use portcullis_identity::{AgentTrust, Asserts, Credentials, IssuerConfig, KeySource, Registration};
use portcullis_model::EntityUid;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::config::layers::Settings;
use crate::config::mistake::Mistakes;
use crate::config::typed::{
    AuditInput, AuditMode, AuditSection, Class, Durability, LimitsSection, NodeSection, OnError, PolicySection, Source,
    SourceKind, TlsSection,
};
use crate::config::value::Value;
use crate::config::{Config, check};

/// Builds the configuration and checks it whole. `None` where a value is missing or refused: its
/// complaint is in `mistakes` already, and what could be built was checked all the same.
pub(super) fn build(settings: Settings, mistakes: &mut Mistakes) -> Option<Config> {
    let reader = Reader { settings: &settings, section: String::new() };
    let (node, policy) = (reader.of("node").node(), reader.of("policy").policy());
    let (audit, limits) = (reader.of("audit").audit(), reader.of("limits").limits());
    let tls = check::tls(&reader.of("tls"), mistakes);
    let instances = |section: &'static str| {
        settings.instances.iter().filter(move |instance| instance.section == section).map(|instance| &instance.path)
    };
    check::classes(&reader, instances("class"), mistakes);
    check::keys(&reader, instances("issuer"), mistakes);
    check::roles(&reader, instances("client"), mistakes);
    check::sources(&reader, instances("source"), mistakes);
    let classes = instances("class").filter_map(|path| {
        let name = path.strip_prefix("class.")?.to_owned();
        Some((name, reader.of(path).class()?))
    });
    let classes = classes.collect();
    let issuers: Vec<_> = instances("issuer").filter_map(|path| reader.of(path).issuer()).collect();
    let clients: Vec<_> = instances("client").filter_map(|path| reader.of(path).client()).collect();
    check::identity(&reader, &issuers, &clients, mistakes);
    let sources = instances("source").filter_map(|path| reader.of(path).source()).collect();
    let (node, policy, audit, limits) = (node?, policy?, audit?, limits?);
    Some(Config { node, tls, policy, audit, classes, issuers, clients, sources, limits, settings })
}

/// Reads the values of one section or instance.
pub(super) struct Reader<'a> {
    pub(super) settings: &'a Settings,
    pub(super) section: String,
}

/// A reader for one type of value: `None` where the key is not set.
macro_rules! read {
    ($($name:ident: $variant:ident -> $type:ty;)*) => {
        $(pub(super) fn $name(&self, key: &str) -> Option<$type> {
            match self.value(key)? {
                Value::$variant(value) => Some(value.clone()),
                _ => None,
            }
        })*
    };
}

impl<'a> Reader<'a> {
    /// A reader of another section or instance.
    pub(super) fn of(&self, section: &str) -> Reader<'a> {
        Reader { settings: self.settings, section: section.to_owned() }
    }

    fn value(&self, key: &str) -> Option<&'a Value> {
        self.settings.values.get(&format!("{}.{key}", self.section)).map(|setting| &setting.value)
    }

    read! {
        text: Text -> String;
        path: Path -> PathBuf;
        address: Address -> SocketAddr;
        count: Count -> u64;
        flag: Flag -> bool;
        texts: Texts -> Vec<String>;
        entities: Entities -> Vec<EntityUid>;
        agent_trust: AgentTrust -> AgentTrust;
    }

    fn size(&self, key: &str) -> Option<usize> {
        self.count(key).and_then(|count| usize::try_from(count).ok())
    }

    fn node(&self) -> Option<NodeSection> {
        Some(NodeSection {
            data_dir: self.path("data_dir")?,
            quic: self.address("quic")?,
            admin: self.address("admin")?,
            admin_hosts: self.texts("admin_hosts")?,
            workers: self.size("workers")?,
        })
    }

    pub(super) fn tls(&self) -> Option<TlsSection> {
        Some(TlsSection {
            certificate: self.path("certificate")?,
            key: self.path("key")?,
            client_ca: self.path("client_ca"),
        })
    }

    fn policy(&self) -> Option<PolicySection> {
        Some(PolicySection { folder: self.path("folder"), on_error: OnError::from_text(&self.text("on_error")?)? })
    }

    fn audit(&self) -> Option<AuditSection> {
        Some(AuditSection {
            mode: AuditMode::from_text(&self.text("mode")?)?,
            input: AuditInput::from_text(&self.text("input")?)?,
        })
    }

    fn limits(&self) -> Option<LimitsSection> {
        Some(LimitsSection { sessions_max: self.size("sessions_max")?, connections_max: self.size("connections_max")? })
    }

    fn class(&self) -> Option<Class> {
        Some(Class {
            actions: self.entities("actions").unwrap_or_default(),
            audit: Durability::from_text(&self.text("audit")?)?,
        })
    }

    fn issuer(&self) -> Option<IssuerConfig> {
        let keys = self.path("keys_file").map(KeySource::File).or_else(|| self.text("keys_url").map(KeySource::Url))?;
        Some(IssuerConfig {
            name: self.text("name")?,
            issuer: self.text("issuer")?,
            audience: self.text("audience")?,
            algorithms: word(&self.texts("algorithms")?)?,
            keys,
            subject_type: self.text("subject_type")?.parse().ok()?,
            subject_claim: self.text("subject_claim")?,
            agents: self.agent_trust("agents")?,
            agent_type: self.text("agent_type")?.parse().ok()?,
            token_types: self.texts("token_types")?,
            leeway_seconds: self.count("leeway_seconds").and_then(|seconds| u32::try_from(seconds).ok())?,
        })
    }

    fn client(&self) -> Option<Registration> {
        Some(Registration {
            name: self.text("name")?,
            role: word(&self.text("role")?)?,
            credentials: Credentials {
                certificates: word(&self.texts("certificate_sha256")?)?,
                uris: self.texts("uri")?,
                bearers: word(&self.texts("token_sha256")?)?,
            },
            asserts: Asserts {
                subjects: self.entities("subjects")?,
                subject_types: word(&self.texts("subject_types")?)?,
                agents: self.entities("agents")?,
            },
            subject: self.text("subject").and_then(|text| text.parse().ok()),
            agent: self.text("agent").and_then(|text| text.parse().ok()),
            direct: self.flag("direct")?,
            attributes: self.texts("attributes")?,
        })
    }

    fn source(&self) -> Option<Source> {
        Some(Source {
            kind: SourceKind::from_text(&self.text("kind")?)?,
            name: self.text("name")?.parse().ok()?,
            path: self.path("path")?,
        })
    }
}

/// What a checked word, or a list of them, stands for.
fn word<T: DeserializeOwned>(text: &impl serde::Serialize) -> Option<T> {
    serde_json::from_value(json!(text)).ok()
}
