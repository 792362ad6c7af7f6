//! `portcullis serve`: a node as its configuration says.

use std::fs;
use std::path::Path;

use portcullis_audit::Durability as Waits;
use portcullis_policy::{CompileOptions, OnError as Erring, Validation};
use portcullis_quic::{QuicError, TlsIdentity};
use portcullis_runtime::{AuditMode as Recording, Classes};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::config::{AuditInput, AuditMode, Config, Durability, OnError};
use crate::dev::{DEV_MARK, is_dev_uri};
use crate::node::{Clients, FileSettings, Mode, Node, NodeError, NodeSettings, Policies};
use crate::pki;
use crate::shell::Program;

/// Starts a node as a configuration says. Whoever calls prints the banner, then announces the node.
///
/// # Errors
/// [`NodeError`], also for the certificates and clients of a `dev` node, whose keys lie beside its data.
pub async fn start(config: &Config, program: Program) -> Result<Node, NodeError> {
    Node::start(settings(config, program)?).await
}

/// What a node says when it has started: where it listens and what is in force.
pub fn banner(node: &Node) -> String {
    let status = node.engine().status();
    let policies = match status.policy {
        Some((_, count)) => format!("{count} in force at revision {}", status.effective),
        None => "none in force: `policy push` a folder".to_owned(),
    };
    format!(
        "portcullis {} serve\n  quic      {}\n  admin     http://{}  (/livez /readyz /metrics)\n  data      {}\n  policies  {policies}\n",
        env!("CARGO_PKG_VERSION"),
        node.quic(),
        node.admin(),
        node.data_dir().display(),
    )
}

fn settings(config: &Config, program: Program) -> Result<NodeSettings, NodeError> {
    refuse_dev_clients(config)?;
    refuse_unsupported(config)?;
    let Some(tls) = &config.tls else {
        return Err(unfit("`tls.certificate` and `tls.key` are not set: a served node needs both", FIX_TLS));
    };
    // Read for its mode alone: a key that others may read is no secret.
    pki::read_secret(&tls.key)?;
    let identity = TlsIdentity::from_pem_files(&tls.certificate, &tls.key)?;
    let client_ca = tls.client_ca.as_deref().map(authorities).transpose()?;
    let node = &config.node;
    let sources = config.sources.iter();
    Ok(NodeSettings {
        admin_hosts: node.admin_hosts.clone(),
        workers: node.workers,
        client_ca,
        policies: config.policy.folder.clone().map_or(Policies::Pushed, Policies::First),
        compile: CompileOptions { validation: Validation::Strict, on_error: on_error(config.policy.on_error) },
        audit_mode: match config.audit.mode {
            AuditMode::Class => Recording::ByClass,
            AuditMode::Durable => Recording::Durable,
            AuditMode::Buffered => Recording::Buffered,
        },
        classes: classes(config),
        issuers: config.issuers.clone(),
        clients: Clients::Listed(config.clients.clone()),
        sources: sources.map(|file| FileSettings { name: file.name.clone(), path: file.path.clone() }).collect(),
        sessions_max: config.limits.sessions_max,
        connections_max: config.limits.connections_max,
        program,
        ..NodeSettings::new(Mode::Serve, node.data_dir.clone(), node.quic, node.admin, identity)
    })
}

fn on_error(configured: OnError) -> Erring {
    match configured {
        OnError::Deny => Erring::Deny,
        OnError::Skip => Erring::Skip,
    }
}

fn classes(config: &Config) -> Classes {
    let waits = |audit: Durability| match audit {
        Durability::Durable => Waits::Durable,
        Durability::Buffered => Waits::Buffered,
    };
    let mut classes = Classes::default();
    for (name, class) in &config.classes {
        if name == CLASS_DEFAULT {
            classes.default = waits(class.audit);
        }
        classes.named.extend(class.actions.iter().map(|action| (action.clone(), waits(class.audit))));
    }
    classes
}

/// The authorities of a file, unless it is that of a `dev` node.
fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, NodeError> {
    let text = fs::read_to_string(path).map_err(|source| NodeError::File { path: path.to_owned(), source })?;
    if text.contains(DEV_MARK) {
        let message = format!("`tls.client_ca` is the authority of a `dev` node (`{}`)", path.display());
        return Err(unfit(message, FIX_DEV));
    }
    let list: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    let list = list.map_err(|source| QuicError::File { path: path.to_owned(), source })?;
    if list.is_empty() {
        return Err(pki::PkiError::NoCertificate(path.to_owned()).into());
    }
    Ok(list)
}

/// A client that is known by the certificate of a `dev` node is anybody who can read its data folder.
fn refuse_dev_clients(config: &Config) -> Result<(), NodeError> {
    let is_dev = |uris: &[String]| uris.iter().any(|uri| is_dev_uri(uri));
    match config.clients.iter().find(|client| is_dev(&client.credentials.uris)) {
        None => Ok(()),
        Some(client) => {
            let message = format!("the client `{}` has the certificate of a `dev` node", client.name);
            Err(unfit(message, FIX_DEV))
        }
    }
}

/// What may be written in the configuration and is not built yet does not start, rather than mislead.
fn refuse_unsupported(config: &Config) -> Result<(), NodeError> {
    match config.audit.input {
        AuditInput::Digest => Ok(()),
        AuditInput::Keep => {
            Err(unfit("`audit.input = \"keep\"` is not supported yet", "set `audit.input` to `digest`"))
        }
    }
}

fn unfit(message: impl Into<String>, fix: &'static str) -> NodeError {
    NodeError::Unfit { message: message.into(), fix }
}

const CLASS_DEFAULT: &str = "default";
const FIX_TLS: &str =
    "name a configuration that has them with `--config FILE`: `portcullis init DIR` writes one, with certificates";
const FIX_DEV: &str = "use certificates of an authority of your own: `portcullis init DIR` makes one";

#[cfg(test)]
mod tests;
