//! Reading `client.toml`.

use std::path::PathBuf;
use std::time::Duration;

use crate::{ClientOptions, Credential, OptionsError};

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder"));
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
        folder.write("ca.pem", &made.cert.pem());
        folder.write("client.pem", &made.cert.pem());
        folder.write("client.key", &made.signing_key.serialize_pem());
        folder.write("token", "from-a-file\n");
        folder.write("empty.pem", "nothing");
        folder
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    }

    fn read(&self, credential: &str) -> Result<ClientOptions, OptionsError> {
        let text = format!("address = \"127.0.0.1:7443\"\nserver_name = \"localhost\"\nca = \"ca.pem\"\n{credential}");
        ClientOptions::from_file(self.write("client.toml", &text))
    }
}

#[test]
fn each_kind_of_credential_is_read() {
    let folder = Folder::new();
    let options = folder.read("certificate = \"client.pem\"\nkey = \"client.key\"").expect("options");
    assert!(matches!(options.credential, Credential::Certificate { chain, .. } if chain.len() == 1));
    assert_eq!((options.address.as_str(), options.server_name.as_str()), ("127.0.0.1:7443", "localhost"));
    assert_eq!((options.lanes, options.deadline, options.roots.len()), (2, Duration::from_secs(1), 1));
    let options = folder.read("token = \"t\"\nlanes = 4\ndeadline_ms = 250").expect("options");
    assert!(matches!(options.credential, Credential::Token(token) if token == "t"));
    assert_eq!((options.lanes, options.deadline), (4, Duration::from_millis(250)));
    let options = folder.read("token_file = \"token\"").expect("options");
    assert!(matches!(options.credential, Credential::Token(token) if token == "from-a-file"));
}

#[test]
fn mistakes_name_file_and_key() {
    let folder = Folder::new();
    for (credential, words) in [
        ("", "`certificate` is missing"),
        ("certificate = \"client.pem\"", "`key` is missing"),
        ("key = \"client.key\"", "`certificate` is missing"),
        ("token = \"t\"\ntoken_file = \"token\"", "`token` is one credential too many"),
        ("token = \"\"", "`token` is empty"),
        ("token = \"t\"\nlanes = 5", "`lanes` is not between"),
        ("token = \"t\"\ndeadline_ms = 0", "`deadline_ms` is not between"),
        ("token = \"t\"\ntimeout = 3", "line 5: unknown field `timeout`"),
        ("token = 7", "line 4: "),
        ("token_file = \"absent\"", "absent` cannot be read"),
        ("certificate = \"empty.pem\"\nkey = \"client.key\"", "empty.pem` holds no certificate"),
        ("certificate = \"client.pem\"\nkey = \"empty.pem\"", "empty.pem` holds no private key"),
    ] {
        let error = folder.read(credential).expect_err("refused").to_string();
        assert!(error.contains(words), "{credential}: {error}");
    }
    let error = ClientOptions::from_file(folder.write("client.toml", "token = \"t\"")).expect_err("refused");
    assert!(error.to_string().contains("missing field `address`"), "{error}");
}

#[test]
fn secrets_are_never_shown() {
    let folder = Folder::new();
    let error = folder.read("token = \"very-secret\" oops").expect_err("refused");
    let key = folder.read("certificate = \"client.pem\"\nkey = \"client.key\"").expect("options");
    let token = folder.read("token = \"very-secret\"").expect("options");
    let shown = format!("{error} {error:?} {key:?} {token:?}");
    assert!(!shown.contains("very-secret") && !shown.contains("PRIVATE"), "{shown}");
}

#[test]
fn large_files_are_not_read() {
    let folder = Folder::new();
    folder.write("token", &"x".repeat(300 * 1024));
    assert!(matches!(folder.read("token_file = \"token\""), Err(OptionsError::Read { .. })));
}

#[test]
fn the_readme_shows_the_example() {
    assert!(include_str!("../../README.md").contains(include_str!("../../examples/guard_tool.rs")));
}
