#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::path::Path;

use portcullis_identity::{AgentTrust, Algorithm, KeySource, Role};
use serde_json::json;

use super::*;

/// A configuration from a file with this text, and the folder that it lies in.
fn load(text: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> (Result<Config, Mistakes>, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("portcullis.toml");
    std::fs::write(&file, text).unwrap();
    let owned = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let sources = Sources { file: Some(file), environment: owned(environment), flags: owned(flags) };
    (Config::load(&sources), folder.path().to_owned())
}

/// The mistakes in a file, without the path before line and column.
fn mistakes(text: &str) -> Vec<String> {
    let (loaded, folder) = load(text, &[], &[]);
    let prefix = format!("{}/portcullis.toml:", folder.display());
    let error = loaded.map(|_| ()).unwrap_err();
    error.as_slice().iter().map(|mistake| mistake.to_string().replace(&prefix, "")).collect()
}

const FULL: &str = r#"
[node]
data_dir = "data"
quic = "0.0.0.0:8443"
admin = "[::1]:8480"
admin_hosts = ["node.internal"]
workers = 2

[tls]
certificate = "tls/server.crt"
key = "/etc/portcullis/server.key"
client_ca = "tls/ca.crt"

[policy]
folder = "policies"
on_error = "skip"

[audit]
mode = "durable"
input = "keep"

[limits]
sessions_max = 1_000
connections_max = 64

[class.default]
audit = "buffered"

[class.write]
actions = 'Action::"write"'
audit = "durable"

[[issuer]]
name = "okta"
issuer = "https://corp.example/oauth2"
audience = "portcullis"
algorithms = ["RS256", "ES256"]
keys_url = "https://corp.example/keys"
subject_type = "Corp::User"
subject_claim = "uid"
agents = { client_claim = "azp" }
agent_type = "Corp::Agent"
token_types = ["at+jwt"]
leeway_seconds = 0

[[issuer]]
name = "local"
issuer = "local"
audience = "portcullis"
algorithms = ["EdDSA"]
keys_file = "keys.json"
agents = "act"

[[client]]
name = "ops"
role = "operator"
uri = ["portcullis:client/ops"]

[[client]]
name = "platform"
role = "platform"
certificate_sha256 = ["AAaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]
token_sha256 = ["bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"]
subjects = ['User::"ada"', "User::ben"]
subject_types = ["Service"]
agents = "Agent::triage-bot"
subject = "Service::ci"
agent = 'Agent::"digest bot"'
direct = true
attributes = ["topic"]

[[source]]
kind = "file"
name = "corp"
path = "directory.json"
"#;

#[test]
fn every_key_of_the_table_reaches_its_place() {
    let (config, folder) = load(FULL, &[], &[]);
    let config = config.unwrap();
    assert_eq!(config.node.data_dir, folder.join("data"));
    assert_eq!((config.node.quic.port(), config.node.admin.port(), config.node.workers), (8443, 8480, 2));
    assert_eq!(config.node.admin_hosts, ["node.internal"]);
    let tls = config.tls.as_ref().unwrap();
    assert_eq!(tls.certificate, folder.join("tls/server.crt"));
    assert_eq!(tls.key, Path::new("/etc/portcullis/server.key"));
    assert_eq!(tls.client_ca, Some(folder.join("tls/ca.crt")));
    assert_eq!(config.policy, PolicySection { folder: Some(folder.join("policies")), on_error: OnError::Skip });
    assert_eq!(config.audit, AuditSection { mode: AuditMode::Durable, input: AuditInput::Keep });
    assert_eq!(config.limits, LimitsSection { sessions_max: 1_000, connections_max: 64 });
    assert_eq!(config.classes["default"], Class { actions: Vec::new(), audit: Durability::Buffered });
    let write = vec!["Action::\"write\"".parse().unwrap()];
    assert_eq!(config.classes["write"], Class { actions: write, audit: Durability::Durable });
    let [okta, local] = config.issuers.as_slice() else { unreachable!("two issuers") };
    assert_eq!(okta.algorithms, [Algorithm::RS256, Algorithm::ES256]);
    assert_eq!(okta.keys, KeySource::Url("https://corp.example/keys".to_owned()));
    assert_eq!(okta.agents, AgentTrust::ClientClaim("azp".to_owned()));
    assert_eq!((okta.subject_type.as_str(), okta.agent_type.as_str()), ("Corp::User", "Corp::Agent"));
    assert_eq!((okta.token_types.as_slice(), okta.leeway_seconds), (&["at+jwt".to_owned()][..], 0));
    assert_eq!((local.token_types.len(), local.leeway_seconds), (3, 5));
    assert_eq!(local.keys, KeySource::File(folder.join("keys.json")));
    assert_eq!((local.subject_claim.as_str(), &local.agents), ("sub", &AgentTrust::Act));
    let [ops, platform] = config.clients.as_slice() else { unreachable!("two clients") };
    assert_eq!(
        (ops.role, ops.credentials.uris.as_slice()),
        (Role::Operator, &["portcullis:client/ops".to_owned()][..])
    );
    let credentials = &platform.credentials;
    assert_eq!(credentials.certificates, ["a".repeat(64).parse().unwrap()]);
    assert_eq!(credentials.bearers, ["b".repeat(64).parse().unwrap()]);
    let asserts = &platform.asserts;
    assert_eq!((asserts.subjects.len(), asserts.subject_types.len(), asserts.agents.len()), (2, 1, 1));
    assert_eq!(platform.subject, Some("Service::ci".parse().unwrap()));
    assert_eq!(platform.agent, Some("Agent::\"digest bot\"".parse().unwrap()));
    assert!(platform.direct);
    assert_eq!(platform.attributes, ["topic"]);
    assert_eq!((config.sources[0].name.as_str(), &config.sources[0].path), ("corp", &folder.join("directory.json")));

    let named: std::collections::BTreeSet<_> =
        config.settings.values.values().map(|setting| (setting.key.section, setting.key.name)).collect();
    assert_eq!(named.len(), KEYS.len(), "the full example sets every key of the table");
}

#[test]
fn nothing_said_takes_every_default() {
    let config = Config::load(&Sources::default()).unwrap();
    assert_eq!(config.node.data_dir, Path::new("./.portcullis"));
    assert_eq!(
        (config.node.quic.to_string(), config.node.admin.to_string()),
        ("127.0.0.1:7443".into(), "127.0.0.1:7480".into())
    );
    assert_eq!((config.node.workers, config.tls.is_none(), config.policy.on_error), (1, true, OnError::Deny));
    assert_eq!(config.audit, AuditSection { mode: AuditMode::Class, input: AuditInput::Digest });
    assert_eq!(config.classes.len(), 1);
    assert_eq!(config.classes["default"].audit, Durability::Durable);
    assert_eq!(config.limits.connections_max, 2_048);
    assert!(config.clients.is_empty() && config.issuers.is_empty() && config.sources.is_empty());
}

#[test]
fn flag_beats_environment_beats_file_and_origins_say_so() {
    let text = "[node]\nworkers = 2\nquic = \"127.0.0.1:1\"\nadmin = \"127.0.0.1:2\"\n";
    let environment = [
        ("PORTCULLIS_NODE__WORKERS", "3"),
        ("PORTCULLIS_NODE__QUIC", "127.0.0.1:3"),
        ("PORTCULLIS_DATA_DIR", "elsewhere"),
        ("PORTCULLIS_NODE__ADMIN_HOSTS", "a.internal, b.internal"),
        ("PORTCULLIS_LOG", "debug"),
        ("HOME", "/root"),
    ];
    let (config, folder) = load(text, &environment, &[("node.workers", "4")]);
    let config = config.unwrap();
    assert_eq!((config.node.workers, config.node.quic.port(), config.node.admin.port()), (4, 3, 2));
    assert_eq!((config.node.data_dir.as_path(), config.node.admin_hosts.len()), (Path::new("elsewhere"), 2));
    let text = show_text(&config, Origins::Shown);
    let origin = |key: &str| {
        let line = text.lines().find(|line| line.starts_with(&format!("{key} = "))).unwrap();
        line.rsplit_once("# ").unwrap().1.to_owned()
    };
    assert_eq!(origin("node.workers"), "command line");
    assert_eq!(origin("node.quic"), "environment variable PORTCULLIS_NODE__QUIC");
    assert_eq!(origin("node.admin"), format!("{}/portcullis.toml:4:9", folder.display()));
    assert_eq!(origin("policy.on_error"), "default");
    assert!(!show_text(&config, Origins::Hidden).contains('#'));
}

#[test]
fn secrets_are_never_shown() {
    let config = load(FULL, &[], &[]).0.unwrap();
    let all = show_text(&config, Origins::Shown) + &show_json(&config, Origins::Shown).to_string();
    assert!(!all.contains("bbbbbbbb") && all.contains("aaaaaaaa"));
    let document = show_json(&config, Origins::Shown);
    let shown = document["settings"].as_array().unwrap().iter().find(|s| s["key"] == "client[1].token_sha256").unwrap();
    assert_eq!(shown["value"], json!(["(not shown)"]));
    let line = FULL.lines().position(|line| line.starts_with("token_sha256")).unwrap() + 1;
    assert_eq!((&shown["origin"]["kind"], &shown["origin"]["line"]), (&json!("file"), &json!(line)));
    let told = mistakes("[[client]]\nname = \"a\"\nrole = \"pep\"\ntoken_sha256 = [\"my-secret-token\"]\n").join("\n");
    assert!(told.contains("`client[0].token_sha256` has what is not one") && !told.contains("my-secret"), "{told}");
}

#[test]
fn all_mistakes_are_told_at_once_with_their_place() {
    let text = "[node]\nquik = \"127.0.0.1:1\"\nworkers = 0\nadmin = \"localhost\"\n\n[polcy]\n\n[tls]\ncertificate = \"x\"\n\n[audit]\nmode = \"off\"\ninput = 7\n";
    assert_eq!(
        mistakes(text),
        [
            "2:1: unknown key `quik` in `node`: did you mean `quic`?",
            "3:11: `node.workers` is `0`: expected a whole number from 1 to 64",
            "4:9: `node.admin` is `localhost`: expected an IP address and port, as `127.0.0.1:7443`",
            "6:2: unknown section `polcy`: did you mean `policy`?",
            "9:15: `tls.key` is missing: `tls.certificate` needs it",
            "12:8: `audit.mode` is `off`: expected one of `class`, `durable`, `buffered`",
            "13:9: `audit.input` has the wrong type: expected one of `digest`, `keep`",
        ]
    );
}

#[test]
fn broken_text_is_told_by_place() {
    let told = mistakes("[node]\nworkers = \nquic = \"x\n[tls\n");
    let lines: Vec<&str> = told.iter().filter_map(|mistake| mistake.split(':').next()).collect();
    assert_eq!(lines, ["2", "3", "4"], "{told:?}");
    assert!(mistakes("[node]\nworkers = 1\nworkers = 2\n")[0].starts_with("3:1: "), "a key given twice");
}

#[test]
fn environment_and_flags_are_checked_like_the_file() {
    let environment =
        [("PORTCULLIS_NODE__QUIK", "x"), ("PORTCULLIS_NODE__WORKERS", "-1"), ("PORTCULLIS_CLIENT__NAME", "x")];
    let (loaded, _) = load("", &environment, &[("node.quic", "7443"), ("nonsense", "1")]);
    let told: Vec<String> = loaded.unwrap_err().as_slice().iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "environment variable PORTCULLIS_CLIENT__NAME: unknown key `client.name`",
            "environment variable PORTCULLIS_NODE__QUIK: unknown key `node.quik`: did you mean `node.quic`?",
            "environment variable PORTCULLIS_NODE__WORKERS: `node.workers` is `-1`: expected a whole number from 1 to 64",
            "command line: `node.quic` is `7443`: expected an IP address and port, as `127.0.0.1:7443`",
            "command line: unknown key `nonsense`",
        ]
    );
}

#[test]
fn issuers_that_could_be_forged_are_refused() {
    let issuer = |lines: &str| {
        format!(
            "[[issuer]]\nname = \"a\"\nissuer = \"i\"\naudience = \"x\"\nalgorithms = [\"ES256\"]\nkeys_file = \"k\"\n{lines}"
        )
    };
    let told = |text: &str| mistakes(text).join("\n");
    for algorithm in ["none", "HS256", "es256", ""] {
        let text = issuer("").replace("ES256", algorithm);
        assert!(told(&text).contains(&format!("5:14: `issuer[0].algorithms` is `{algorithm}`")), "{}", told(&text));
    }
    assert!(told(&issuer("").replace("\"ES256\"", "")).contains("`issuer[0].algorithms` is empty"));
    assert!(told(&issuer("keys_url = \"https://x.example\"")).contains("only one may stand"));
    assert!(told(&issuer("").replace("keys_file = \"k\"\n", "")).contains("neither `keys_file` nor `keys_url`"));
    assert!(told(&issuer(&issuer("").replace("\"a\"", "\"b\""))).contains("9:10: `a` and `b` have the same issuer"));
    assert!(told("[[issuer]]\nname = \"a\"\n").contains("1:1: `issuer[0].audience` is missing"));
    for url in [
        "http://keys.example",
        "ftp://x",
        "https://",
        "https://u:p@x.example",
        "http://127.0.0.1.evil.example",
        "https://a b",
    ] {
        let text = issuer("").replace("keys_file = \"k\"", &format!("keys_url = \"{url}\""));
        assert!(told(&text).contains("6:12: `issuer.a.keys.url` is wrong"), "{url}: {}", told(&text));
    }
    assert!(told(&issuer("subject_claim = \"email\"")).contains("7:17: `issuer.a.subject_claim` is wrong"));
    assert!(
        told(&issuer("agents = { client_claim = \"sub\" }")).contains("7:10: `issuer.a.agents.client_claim` is wrong")
    );
    assert!(told(&issuer("subject_type = \"Agent\"")).contains("7:16: `issuer.a.subject_type` is wrong"));
    for (agents, fine) in
        [("\"act\"", true), ("{ client_claim = \"azp\" }", true), ("{ claim = \"azp\" }", false), ("true", false)]
    {
        assert_eq!(load(&issuer(&format!("agents = {agents}")), &[], &[]).0.is_ok(), fine, "{agents}");
    }
}

#[test]
fn clients_without_a_credential_of_their_own_are_refused() {
    let digest = "a".repeat(64);
    let text = format!(
        "[[client]]\nname = \"a\"\nrole = \"auditor\"\ncertificate_sha256 = [\"{digest}\"]\nsubjects = \"User::x\"\ndirect = true\n\
         [[client]]\nname = \"b\"\nrole = \"platform\"\ncertificate_sha256 = [\"{digest}\"]\n\
         [[client]]\nname = \"c\"\nrole = \"pep\"\nuri = [\"no uri\"]\n\
         [[client]]\nname = \"d\"\nrole = \"pep\"\n\
         [[client]]\nname = \"e\"\nrole = \"platfrom\"\nuri = [\"x:y\"]\n\
         [[client]]\nname = \"a\"\nrole = \"pep\"\nuri = [\"x:z\"]\n"
    );
    assert_eq!(
        mistakes(&text),
        [
            "5:12: `client[0].subjects` is of no use to the role `auditor`",
            "6:10: `client[0].direct` is of no use to the role `auditor`",
            "10:22: `a` and `b` have the same certificate",
            "14:7: `client.c.credentials.uris` is wrong: a URI has a scheme, no spaces and at most 2048 bytes",
            "16:8: `client.d.credentials` is empty",
            "20:8: `client[4].role` is `platfrom`: did you mean `platform`?",
            "23:8: `a` and `a` have the same name",
        ]
    );
}

#[test]
fn classes_name_actions_and_the_default_class_does_not() {
    let told = mistakes(
        "[class.default]\nactions = 'Action::\"x\"'\n[class.a]\n[class.b]\nactions = ['User::\"x\"']\n[class.C]\n",
    );
    assert_eq!(
        told,
        [
            "2:11: `class.default.actions` may not stand: it is for actions that are in no class",
            "3:1: `class.a.actions` is missing or empty",
            "5:11: `class.b.actions` has `User::\"x\"`, which is not an action",
            "6:8: `C` is not a name: 1 to 64 of `a-z0-9_-`",
        ]
    );
    assert!(mistakes("class = 1\nclient = {}\nnode = []\n").len() == 3);
}

#[test]
fn hostile_files_are_bounded() {
    let many = (0..5_000).map(|index| format!("x{index} = 1\n")).collect::<String>();
    assert_eq!(mistakes(&format!("[node]\n{many}")).len(), 100);
    assert!(mistakes(&"[[client]]\n".repeat(2_000)).join("\n").contains("more than 1024 of `[[client]]`"));
    assert!(mistakes(&"#".repeat(9 * 1024 * 1024))[0].contains("is larger than"));
    assert!(!mistakes(&format!("[node]\ndata_dir = {}", "[".repeat(100_000))).is_empty());
    let missing = Sources { file: Some("/nonexistent/portcullis.toml".into()), ..Sources::default() };
    assert!(Config::load(&missing).unwrap_err().to_string().contains("could not be opened"));
    let control = mistakes("[node]\nquic = \"\\u001b[31m\"\n").join("");
    assert!(!control.contains('\u{1b}'), "{control:?}");
}

#[test]
fn schema_lists_every_key_and_refuses_others() {
    let schema = schema();
    for section in SECTIONS {
        let told = &schema["properties"][section.name];
        let table = match section.shape {
            Shape::Once => told,
            Shape::Named(_) => &told["additionalProperties"],
            Shape::Listed(_) => &told["items"],
        };
        assert_eq!(table["additionalProperties"], json!(false), "{}", section.name);
        for key in KEYS.iter().filter(|key| key.section == section.name) {
            assert!(table["properties"][key.name]["description"].is_string(), "{}.{}", section.name, key.name);
        }
    }
    assert_eq!(schema["properties"]["node"]["properties"]["quic"]["default"], json!("127.0.0.1:7443"));
    for role in keys::ROLES {
        assert_eq!(serde_json::from_value::<Role>(json!(role)).unwrap().as_str(), *role);
    }
    for algorithm in keys::ALGORITHMS {
        assert!(serde_json::from_value::<Algorithm>(json!(algorithm)).is_ok(), "{algorithm}");
    }
    assert!(KEYS.iter().all(|key| SECTIONS.iter().any(|section| section.name == key.section)));
}

#[test]
fn template_loads_as_it_is_and_with_every_default_uncommented() {
    let text = template(
        &[("node.data_dir", "\"data\""), ("tls.certificate", "\"c\""), ("tls.key", "\"k\"")],
        "[class.read]\nactions = 'Action::\"read\"'\naudit = \"buffered\"\n",
    );
    let config = load(&text, &[], &[]).0.unwrap();
    assert!(config.node.data_dir.ends_with("data") && config.tls.is_some() && config.classes.contains_key("read"));
    let is_key = |line: &str| line.contains(" = ") && !line.ends_with("...") && line.starts_with("# ");
    let said: String =
        text.lines().map(|line| if is_key(line) { &line[2..] } else { line }).collect::<Vec<_>>().join("\n");
    let config = load(&said, &[], &[]).0.unwrap();
    assert_eq!(config.limits.sessions_max, 1_000_000);
}

#[test]
fn a_variable_with_one_underline_too_few_is_not_passed_over() {
    let environment = [("PORTCULLIS_NODE_QUIC", "127.0.0.1:9"), ("PORTCULLIS_LOG", "debug"), ("PORTCULLIS_X", "1")];
    let (loaded, _) = load("", &environment, &[]);
    let told: Vec<String> = loaded.unwrap_err().as_slice().iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        ["environment variable PORTCULLIS_NODE_QUIC: it sets nothing: did you mean `PORTCULLIS_NODE__QUIC`?"]
    );
}
