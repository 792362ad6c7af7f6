//! The configuration as types.

use std::net::SocketAddr;
use std::path::PathBuf;

use portcullis_model::{EntityUid, SourceName};

macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// How the configuration writes them.
            pub const TEXTS: &[&str] = &[$($text),*];

            /// What a text of the configuration stands for.
            pub fn from_text(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

choice! {
    /// What a forbid that cannot be evaluated does.
    OnError {
        /// It denies.
        Deny = "deny",
        /// It is skipped, as Cedar defines it.
        Skip = "skip",
    }
}

choice! {
    /// Whose word decides when an answer may leave.
    AuditMode {
        /// Each action's class.
        Class = "class",
        /// Every answer waits for its record.
        Durable = "durable",
        /// No answer waits.
        Buffered = "buffered",
    }
}

choice! {
    /// What is kept of a tool's input.
    AuditInput {
        /// Its SHA-256.
        Digest = "digest",
        /// All of it.
        Keep = "keep",
    }
}

choice! {
    /// Whether an allow waits for its record.
    Durability {
        /// It waits until the record is on disk.
        Durable = "durable",
        /// It does not wait.
        Buffered = "buffered",
    }
}

choice! {
    /// What kind of identity source.
    SourceKind {
        /// A watched file of SCIM-shaped JSON.
        File = "file",
    }
}

/// `[node]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSection {
    /// Folder of everything that the node keeps.
    pub data_dir: PathBuf,
    /// UDP address on which clients connect.
    pub quic: SocketAddr,
    /// TCP address of health and metrics.
    pub admin: SocketAddr,
    /// Host names, besides loopback ones, that the admin listener answers to.
    pub admin_hosts: Vec<String>,
    /// Threads that decide, 1 to 64.
    pub workers: usize,
}

/// `[tls]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSection {
    /// Certificate chain, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// Authorities whose client certificates are accepted, PEM.
    pub client_ca: Option<PathBuf>,
}

/// `[policy]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicySection {
    /// Folder of the policies that an empty node starts with.
    pub folder: Option<PathBuf>,
    /// What a forbid that cannot be evaluated does.
    pub on_error: OnError,
}

/// `[audit]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditSection {
    /// Whose word decides when an answer may leave.
    pub mode: AuditMode,
    /// What is kept of a tool's input.
    pub input: AuditInput,
}

/// `[limits]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitsSection {
    /// Most live sessions.
    pub sessions_max: usize,
    /// Most connections.
    pub connections_max: usize,
}

/// `[class.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// Its actions and action groups; empty for `default`.
    pub actions: Vec<EntityUid>,
    /// Whether an allow waits for its record.
    pub audit: Durability,
}

/// `[[source]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// What kind.
    pub kind: SourceKind,
    /// What users are keyed by.
    pub name: SourceName,
    /// The file.
    pub path: PathBuf,
}
