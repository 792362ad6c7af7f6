//! `portcullis init DIR`: everything that `serve` needs, written once and never over anything.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::config::template;
use crate::dev::client_file;
use crate::node::NodeError;
use crate::node::data_dir::replace_file;
use crate::pki::{Authority, client_uri, create_private_folder, write_public, write_secret};
use crate::shell::Program;

/// What `init` wrote, and what to type next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The files, in their order.
    pub files: Vec<PathBuf>,
    /// Commands, each a line.
    pub next: Vec<String>,
}

/// Writes a commented configuration, an authority, certificates for node, operator and one platform,
/// and the sample's policies, directory and resources into `folder`.
///
/// # Errors
/// [`NodeError::Unfit`] if the folder holds anything; nothing is written then.
pub fn init(folder: &Path, program: &Program) -> Result<Written, NodeError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| NodeError::File { path, source }
    };
    match fs::read_dir(folder) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                let message = format!("`{}` is not empty: nothing was written", folder.display());
                return Err(NodeError::Unfit { message, fix: "name a folder that does not exist yet" });
            }
        }
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => {}
        Err(source) => return Err(failed(folder)(source)),
    }
    let pki = folder.join("pki");
    create_private_folder(&pki)?;
    let mut files = write_certificates(&pki)?;
    let address = SocketAddr::from(([127, 0, 0, 1], PORT));
    for (file, client) in [("operator.toml", OPERATOR), ("client.toml", PLATFORM)] {
        let path = folder.join(file);
        let text = format!(
            "# The client `{client}`; paths count from this folder.\n{}",
            client_file(address, "pki/", "ca.crt", client)
        );
        replace_file(&path, text.as_bytes(), 0o600).map_err(failed(&path))?;
        files.push(path);
    }
    for (name, text) in portcullis_sample::files() {
        // Grants are issued, and not read from a file.
        if *name == "grants.json" {
            continue;
        }
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            create_private_folder(parent)?;
        }
        fs::write(&path, text).map_err(failed(&path))?;
        files.push(path);
    }
    let config = folder.join("portcullis.toml");
    fs::write(&config, configuration()).map_err(failed(&config))?;
    files.push(config.clone());
    files.sort();
    Ok(Written { files, next: next(folder, &config, program) })
}

/// What to type next.
fn next(folder: &Path, config: &Path, program: &Program) -> Vec<String> {
    let (config, operator) = (config.to_string_lossy(), folder.join("operator.toml"));
    let operator = operator.to_string_lossy();
    let resources = folder.join("resources.json");
    let as_operator = |words: &[&str]| program.line(&[words, &["--client", &operator]].concat());
    let (grant, check) = ("--action slack --resource any", "slack/post_message Channel::general");
    let (grant, check): (Vec<_>, Vec<_>) = (grant.split(' ').collect(), check.split(' ').collect());
    let agent = ["--for", "ada", "--agent", "triage-bot"];
    vec![
        program.line(&["serve", "--config", &config]),
        as_operator(&["entity", "put", &resources.to_string_lossy()]),
        as_operator(&[&["grant"], &agent[..], &grant].concat()),
        as_operator(&[&["check"], &agent[..], &check].concat()),
        as_operator(&["audit", "search"]),
    ]
}

fn write_certificates(pki: &Path) -> Result<Vec<PathBuf>, NodeError> {
    let authority = Authority::create(SystemTime::now())?;
    write_secret(&pki.join("ca.key"), authority.key_pem().as_bytes())?;
    write_public(&pki.join("ca.crt"), authority.certificate_pem().as_bytes())?;
    authority.server(&[])?.write(pki, "server")?;
    for client in [OPERATOR, PLATFORM] {
        authority.client(client)?.write(pki, client)?;
    }
    let stems = ["ca", "server", OPERATOR, PLATFORM];
    Ok(stems.iter().flat_map(|stem| [pki.join(format!("{stem}.crt")), pki.join(format!("{stem}.key"))]).collect())
}

/// The configuration: every key of the fixed sections, and one of each of the others.
fn configuration() -> String {
    let given = [
        ("node.data_dir", "\"data\""),
        ("tls.certificate", "\"pki/server.crt\""),
        ("tls.key", "\"pki/server.key\""),
        ("tls.client_ca", "\"pki/ca.crt\""),
        ("policy.folder", "\"policies\""),
    ];
    let rest = format!(
        r#"# Action classes: an allow of a read may leave before its record is on disk.
[class.read]
actions = 'Action::"read"'
audit = "buffered"

# Whoever holds `pki/{OPERATOR}.key` changes everything.
[[client]]
name = "{OPERATOR}"
role = "operator"
uri = ["{operator_uri}"]

# A platform that runs agents: it says for which of these users and through which of these agents it asks.
# Where an issuer's tokens prove them, it need not be believed: leave out what it may assert.
[[client]]
name = "{PLATFORM}"
role = "platform"
uri = ["{platform_uri}"]
subject_types = ["User"]
agents = ['Agent::"triage-bot"', 'Agent::"mailer"', 'Agent::"release-bot"', 'Agent::"digest-bot"']
direct = true

# Users, groups and agents, from a SCIM list response that is read again when it changes.
[[source]]
kind = "file"
name = "file"
path = "directory.json"

# Tokens that prove users and agents:
# [[issuer]]
# name = "okta"
# issuer = "https://id.example.com"
# audience = "portcullis"
# algorithms = ["RS256"]
# keys_url = "https://id.example.com/keys"
# agents = "act"
"#,
        operator_uri = client_uri(OPERATOR),
        platform_uri = client_uri(PLATFORM),
    );
    template(&given, &rest)
}

/// Client names, and stems of their certificates' files.
const OPERATOR: &str = "operator";
const PLATFORM: &str = "app";
/// The default of `node.quic`.
const PORT: u16 = 7443;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]
    use super::*;
    use crate::config::{Config, Sources};
    use portcullis_client::ClientOptions;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_it_writes_is_a_configuration_without_mistakes() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("node");
        let written = init(&folder, &Program::by_name()).unwrap();
        let file = folder.join("portcullis.toml");
        let config = Config::load(&Sources { file: Some(file.clone()), ..Sources::default() }).unwrap();
        assert_eq!(config.node.data_dir, folder.join("data"));
        assert_eq!(config.clients.len(), 2);
        assert!(config.node.quic.ip().is_loopback() && config.node.quic.port() == PORT);
        assert_eq!(written.next[0], format!("portcullis serve --config {}", file.display()));
        for file in &written.files {
            assert!(file.is_file(), "{}", file.display());
        }
    }

    #[test]
    fn keys_are_for_their_owner_and_clients_can_be_read() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("node");
        let written = init(&folder, &Program::by_name()).unwrap();
        let keys = written.files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "key"));
        assert_eq!(keys.clone().count(), 4);
        for key in keys {
            assert_eq!(fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
        }
        for file in ["operator.toml", "client.toml"] {
            assert_eq!(ClientOptions::from_file(folder.join(file)).unwrap().server_name, "localhost");
        }
    }

    #[test]
    fn nothing_is_overwritten() {
        let outer = tempfile::tempdir().unwrap();
        fs::write(outer.path().join("mine"), "").unwrap();
        assert!(matches!(init(outer.path(), &Program::by_name()), Err(NodeError::Unfit { .. })));
        assert_eq!(fs::read_dir(outer.path()).unwrap().count(), 1);
    }
}
