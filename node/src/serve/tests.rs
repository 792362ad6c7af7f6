#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::path::PathBuf;

use super::*;
use crate::config::Sources;
use crate::dev::DEV_MARK;
use crate::init::init;

struct Written {
    folder: tempfile::TempDir,
    file: PathBuf,
}

/// What `init` writes.
fn written() -> Written {
    let folder = tempfile::tempdir().unwrap();
    let node = folder.path().join("node");
    init(&node, &Program::by_name()).unwrap();
    Written { folder, file: node.join("portcullis.toml") }
}

impl Written {
    fn edit(&self, from: &str, to: &str) {
        let text = fs::read_to_string(&self.file).unwrap();
        assert!(text.contains(from), "{from}");
        fs::write(&self.file, text.replace(from, to)).unwrap();
    }

    fn settings(&self) -> Result<NodeSettings, NodeError> {
        let config = Config::load(&Sources { file: Some(self.file.clone()), ..Sources::default() });
        settings(&config.unwrap(), Program::by_name())
    }

    fn refused(&self) -> String {
        self.settings().err().expect("refused").to_string()
    }
}

#[test]
fn what_init_writes_can_be_served() {
    let written = written();
    let settings = written.settings().unwrap();
    assert_eq!(settings.mode, Mode::Serve);
    assert_eq!(settings.data_dir, written.folder.path().join("node/data"));
    assert_eq!(settings.classes.default, Waits::Durable);
    assert_eq!(settings.classes.named, [("Action::read".parse().unwrap(), Waits::Buffered)]);
    assert_eq!(settings.sources.len(), 1);
    assert_eq!(settings.client_ca.map(|list| list.len()), Some(1));
}

#[test]
fn credentials_of_a_dev_node_are_refused() {
    let by_authority = written();
    let authority = by_authority.folder.path().join("node/pki/ca.crt");
    let text = fs::read_to_string(&authority).unwrap();
    fs::write(&authority, format!("{DEV_MARK}\n{text}")).unwrap();
    assert!(by_authority.refused().contains("authority of a `dev` node"));
    let by_name = written();
    by_name.edit("portcullis:client/operator", "portcullis:client/dev-operator");
    assert!(by_name.refused().contains("`operator` has the certificate of a `dev` node"));
}

#[test]
fn what_is_missing_or_exposed_does_not_start() {
    use std::os::unix::fs::PermissionsExt;
    let exposed = written();
    let key = exposed.folder.path().join("node/pki/server.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(exposed.refused().contains("chmod 600"));
    let bare = written();
    bare.edit("certificate = \"pki/server.crt\"", "");
    bare.edit("\nkey = \"pki/server.key\"", "");
    bare.edit("client_ca = \"pki/ca.crt\"", "");
    assert!(bare.refused().contains("`tls.certificate` and `tls.key` are not set"));
    let keeps = written();
    keeps.edit("# input = \"digest\"", "input = \"keep\"");
    assert!(keeps.refused().contains("not supported"));
}
