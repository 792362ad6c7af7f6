//! `init`, then `serve` as printed; and configurations that are wrong.

use std::path::Path;

use portcullis_tests::process::Program;

fn program(folder: &Path) -> Program {
    // A node prints the path it really runs from.
    Program::new(&Path::new(env!("CARGO_BIN_EXE_node-under-test")).canonicalize().unwrap(), folder)
}

#[test]
fn what_init_prints_works_as_printed() {
    let folder = tempfile::tempdir().unwrap();
    let anywhere = program(folder.path());
    let init = anywhere.run(&["init", "site"]);
    assert_eq!(init.code, Some(0), "{init:?}");
    let lines: Vec<_> = init.stdout.lines().skip_while(|line| line.trim() != "next:").skip(1).collect();
    assert!(lines.len() >= 4 && lines[0].contains(" serve --config "), "{lines:?}");
    assert_ne!(anywhere.run(&["init", "site"]).code, Some(0), "nothing is written over");

    // Only the ports are others, so that nothing else on the machine is in the way.
    let ported = program(folder.path())
        .with("PORTCULLIS_NODE__QUIC", "127.0.0.1:0")
        .with("PORTCULLIS_NODE__ADMIN", "127.0.0.1:0");
    let data = folder.path().join("site/data");
    let mut node =
        ported.start(&["serve", "--config", "site/portcullis.toml"], &data).unwrap_or_else(|ended| panic!("{ended:?}"));
    for file in ["site/operator.toml", "site/client.toml"] {
        let path = folder.path().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        let here = text.replace("127.0.0.1:7443", &node.quic().to_string());
        assert_ne!(text, here, "{file} names the port");
        std::fs::write(&path, here).unwrap();
    }
    for line in &lines[1..] {
        let ended = anywhere.run_line(line);
        assert_eq!(ended.code, Some(0), "{line}: {ended:?}");
    }
    let operator = ["--client", "site/operator.toml"];
    let reserved = anywhere
        .run(&[&["check", "--for", "ada", "slack/post_message", "Channel::leadership"], &operator[..]].concat());
    assert_eq!(reserved.code, Some(5), "{reserved:?}");
    node.terminate();
    assert_eq!(node.wait().code(), Some(0), "{}", node.stderr());
}

#[test]
fn every_mistake_of_a_configuration_is_told_at_once_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path());
    assert_eq!(program.run(&["init", "site"]).code, Some(0));
    let path = folder.path().join("site/portcullis.toml");
    let wrong = "[node]\nqiuc = \"127.0.0.1:7443\"\nworkers = 0\n\n[policy]\non_error = \"alow\"\n";
    std::fs::write(&path, wrong).unwrap();
    let ended = program.run(&["serve", "--config", "site/portcullis.toml"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    for told in ["qiuc", "quic", "workers", "on_error", ":2:", ":3:", ":6:"] {
        assert!(ended.stderr.contains(told), "{told}: {}", ended.stderr);
    }
    assert!(!folder.path().join("site/data").exists(), "nothing was opened before");
}

#[test]
fn a_node_does_not_serve_with_what_belongs_to_dev_or_with_open_keys() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path())
        .with("PORTCULLIS_NODE__QUIC", "127.0.0.1:0")
        .with("PORTCULLIS_NODE__ADMIN", "127.0.0.1:0");
    assert_eq!(program.run(&["init", "site"]).code, Some(0));
    let dev = folder.path().join(".portcullis");
    program.start(&["dev"], &dev).unwrap_or_else(|ended| panic!("{ended:?}")).kill();
    let config = folder.path().join("site/portcullis.toml");
    let good = std::fs::read_to_string(&config).unwrap();
    let serve = ["serve", "--config", "site/portcullis.toml"];

    let on_dev_data = program.clone().with("PORTCULLIS_NODE__DATA_DIR", dev.to_str().unwrap()).run(&serve);
    assert!(on_dev_data.code.is_some_and(|code| code != 0) && on_dev_data.stderr.contains("dev"), "{on_dev_data:?}");
    std::fs::write(&config, good.replace("pki/ca.crt", "../.portcullis/pki/ca.crt")).unwrap();
    let with_dev_clients = program.run(&serve);
    assert!(
        with_dev_clients.code.is_some_and(|code| code != 0) && with_dev_clients.stderr.contains("dev"),
        "{with_dev_clients:?}"
    );
    std::fs::write(&config, good).unwrap();
    let key = folder.path().join("site/pki/server.key");
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let open_key = program.run(&serve);
    assert!(open_key.code.is_some_and(|code| code != 0) && open_key.stderr.contains("chmod 600"), "{open_key:?}");
}
