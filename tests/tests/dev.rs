//! The first ten minutes with `dev`, as child processes: typed commands, kill -9, restart, restore.

use std::path::Path;

use portcullis_client::{Client, Event, OpenRequest};
use portcullis_model::{Reason, Request, Verdict};
use portcullis_tests::names::{action, uid};
use portcullis_tests::process::{NodeProcess, Program, get};
use portcullis_tests::wait::{DEADLINE, until_async};
use serde_json::Value as Json;
use tokio::time::timeout;

const START: [&str; 5] = ["dev", "--quic", "127.0.0.1:0", "--admin", "127.0.0.1:0"];

pub(crate) fn program(folder: &Path) -> Program {
    // A node prints the path it really runs from.
    Program::new(&Path::new(env!("CARGO_BIN_EXE_node-under-test")).canonicalize().unwrap(), folder)
}

pub(crate) fn start(program: &Program) -> NodeProcess {
    program.start(&START, &program.folder.join(".portcullis")).unwrap_or_else(|ended| panic!("{ended:?}"))
}

/// A proposed line, answered in JSON.
fn in_json(program: &Program, line: &str) -> (Option<i32>, Json) {
    let ended = program.run_line(&format!("{line} -o json"));
    (ended.code, ended.json())
}

#[test]
fn the_try_list_does_what_it_says_and_a_revocation_outlives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path());
    let node = start(&program);
    let lines = node.try_list();
    assert!(lines.len() >= 4, "{}", node.stdout());
    assert!(lines.iter().all(|line| line.starts_with(program.path.to_str().unwrap())), "{lines:?}");

    let (code, allowed) = in_json(&program, &lines[0]);
    assert_eq!((code, &allowed["verdict"], &allowed["reason"]), (Some(0), &"allow".into(), &"permitted".into()));
    assert_eq!(allowed["schema_version"], 1);
    for field in ["decision_id", "policies", "revision", "latency_ns", "session", "chain"] {
        assert!(!allowed[field].is_null(), "{field} of {allowed}");
    }
    let policy = &allowed["policies"][0];
    assert!(policy["id"].is_string() && policy["file"].is_string() && policy["line"].is_u64(), "{policy}");
    let (code, denied) = in_json(&program, &lines[1]);
    assert_eq!((code, &denied["verdict"]), (Some(5), &"deny".into()));
    let explained = program.run_line(&lines[1]);
    assert_eq!(explained.code, Some(5));
    assert!(
        explained.stdout.to_lowercase().contains("deny") && explained.stdout.contains(".cedar"),
        "{}",
        explained.stdout
    );
    let (code, revoked) = in_json(&program, &lines[2]);
    assert_eq!(code, Some(0));
    for field in ["revision", "level", "sessions", "elapsed_us"] {
        assert!(!revoked[field].is_null(), "{field} of {revoked}");
    }
    let (code, after) = in_json(&program, &lines[0]);
    assert_eq!((code, &after["verdict"], &after["reason"]), (Some(5), &"deny".into(), &"agent_revoked".into()));
    node.kill();

    let node = start(&program);
    let (code, still) = in_json(&program, &lines[0]);
    assert_eq!((code, &still["reason"]), (Some(5), &"agent_revoked".into()), "the revocation outlives a kill");
    let again = node.try_list();
    assert!(again[0].contains(" restore agent "), "where the agent is revoked, its restoration comes first: {again:?}");
    assert_eq!(program.run_line(&again[0]).code, Some(0));
    assert_eq!(again[1], lines[0]);
    assert_eq!(in_json(&program, &again[1]).0, Some(0));

    let found = program.run(&["audit", "search", "-o", "json"]);
    assert_eq!(found.code, Some(0), "{}", found.stderr);
    for word in ["\"permitted\"", "\"agent_revoked\"", "\"revoke\"", "\"restore\""] {
        assert!(found.stdout.contains(word), "the record has {word}: {}", found.stdout);
    }
    for decision in [&allowed, &denied, &after, &still] {
        let id = decision["decision_id"].as_str().unwrap();
        assert!(found.stdout.contains(id), "{id} is in the record");
    }
    node.terminate();
    let mut node = node;
    assert_eq!(node.wait().code(), Some(0), "{}", node.stderr());
    let stopped = program.run(&["audit", "search", "-o", "json"]);
    assert_eq!(stopped.code, Some(0), "a stopped node's files are read: {}", stopped.stderr);
    assert!(stopped.stdout.contains(after["decision_id"].as_str().unwrap()));
}

#[test]
fn commands_end_with_the_code_of_what_happened() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path());
    let unreachable = program.run(&["check", "--for", "ada", "slack/list_channels", "Server::slack", "-o", "json"]);
    assert_eq!(unreachable.code, Some(8));
    for field in ["code", "message", "fix", "retryable"] {
        assert!(!unreachable.json()["error"][field].is_null(), "{unreachable:?}");
    }
    let node = start(&program);
    let data = folder.path().join(".portcullis");
    let auditor = data.join("auditor.toml");
    let policies = data.join("sample/policies");
    let (auditor, policies) = (auditor.to_str().unwrap(), policies.to_str().unwrap());
    for (words, code) in [
        (&["check", "--for", "ada", "slack/list_channels", "Server::slack"][..], 0),
        (&["check", "--agent", "mailer", "--for", "ada", "slack/list_channels", "Server::slack"], 5),
        (&["check", "--for", "ada", "slack/list_channels"], 2),
        (&["chekc"], 2),
        (&["check", "--for", "nobody", "slack/list_channels", "Server::slack"], 2),
        (&["check", "--agent", "triage-bott", "--for", "ada", "slack/list_channels", "Server::slack"], 2),
        (&["check", "--for", "ada", "slack/list_channel", "Server::slack"], 2),
        (&["check", "--for", "ada", "slack/list_channels", "Server slack"], 2),
        (&["revoke", "agent", "nobody"], 2),
        (&["revoke", "grant", "g_00"], 2),
        (&["revoke", "agent", "mailer", "--client", auditor], 7),
        (&["policy", "validate", policies], 0),
        (&["policy", "test", policies], 0),
        (&["session", "list"], 0),
        (&["entity", "list", "--type", "User"], 0),
        (&["entity", "show", "User::ada"], 0),
        (&["grant", "list"], 0),
        (&["audit", "tail"], 0),
        (&["healthcheck"], 0),
        (&["doctor"], 0),
        (&["config", "schema"], 0),
        (&["config", "show", "--origin"], 0),
        (&["completions", "bash"], 0),
        (&["--version"], 0),
    ] {
        let ended = program.run(words);
        assert_eq!(ended.code, Some(code), "{words:?}: {ended:?}");
    }
    let near =
        program.run(&["check", "--agent", "triage-bott", "--for", "ada", "slack/list_channels", "Server::slack"]);
    assert!(near.stderr.contains("triage-bot`"), "the nearest name is told: {near:?}");
    let refused = program.run(&["revoke", "agent", "mailer", "--client", auditor, "-o", "json"]);
    assert_eq!(refused.json()["error"]["retryable"], false);
    drop(node);
}

#[test]
fn a_policy_set_that_is_wrong_is_not_pushed_and_says_where() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path());
    let node = start(&program);
    let broken = folder.path().join("broken");
    std::fs::create_dir(&broken).unwrap();
    for (name, text) in portcullis_sample::files() {
        if let Some(name) = name.strip_prefix("policies/") {
            std::fs::write(broken.join(name), text).unwrap();
        }
    }
    let check = &["check", "--for", "ada", "slack/list_channels", "Server::slack"];
    assert_eq!(program.run(check).code, Some(0));
    let mail = std::fs::read_to_string(broken.join("mail.cedar")).unwrap();
    let line = mail.lines().count() + 2;
    let wrong =
        format!("{mail}\n@id(\"wrong\") permit(principal is User, action == Action::\"mail/raed\", resource);\n");
    std::fs::write(broken.join("mail.cedar"), wrong).unwrap();
    for words in [["policy", "validate", "broken"], ["policy", "push", "broken"]] {
        let ended = program.run(&words);
        assert_eq!(ended.code, Some(3), "{words:?}: {ended:?}");
        assert!(ended.stderr.contains(&format!("mail.cedar:{line}")), "{words:?} says where: {}", ended.stderr);
    }
    assert_eq!(program.run(check).code, Some(0), "the last good set stays in force");
    std::fs::write(
        broken.join("mail.cedar"),
        format!("{mail}\n@id(\"stop\") forbid(principal is User, action, resource);\n"),
    )
    .unwrap();
    let tested = program.run(&[
        "policy",
        "test",
        "broken",
        "--directory",
        ".portcullis/sample/directory.json",
        "--resources",
        ".portcullis/sample/resources.json",
    ]);
    assert_eq!(tested.code, Some(4), "{tested:?}");
    assert_eq!(program.run(&["policy", "push", "broken"]).code, Some(0));
    let forbidden = program.run(&[check, &["-o", "json"][..]].concat());
    assert_eq!((forbidden.code, &forbidden.json()["reason"]), (Some(5), &"forbidden".into()));
    assert_eq!(forbidden.json()["policies"][0]["id"], "stop");
    drop(node);
}

#[test]
fn one_data_folder_one_port_and_known_hosts_only() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path());
    let node = start(&program);
    let second = program.run(&START);
    assert_eq!(second.code, Some(1), "{second:?}");
    assert!(second.stderr.contains("another node runs"), "{second:?}");

    let (quic, admin) = (node.quic().to_string(), node.admin().to_string());
    let other = ["--data-dir", "other"];
    for (flag, address) in [("--quic", &quic), ("--admin", &admin)] {
        let mut words = START.to_vec();
        words.extend(other);
        let at = words.iter().position(|word| *word == flag).unwrap();
        words[at + 1] = address;
        let ended = program.run(&words);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains(address.as_str()), "the address is named: {ended:?}");
    }

    let port = node.admin().port();
    let local = format!("localhost:{port}");
    for (path, host, code) in [
        ("/readyz", &local, 200),
        ("/livez", &admin, 200),
        ("/metrics", &admin, 200),
        ("/readyz", &"evil.example".to_owned(), 403),
        ("/metrics", &format!("localhost.evil.example:{port}"), 403),
        ("/metrics", &format!("evil.example:{port}"), 403),
        ("/metrics", &"localhost:1".to_owned(), 403),
        ("/", &local, 404),
        ("/admin", &local, 404),
    ] {
        let (found, answer) = get(node.admin(), path, host).unwrap();
        assert_eq!(found, code, "{path} {host}: {answer}");
    }
    let (_, metrics) = get(node.admin(), "/metrics", &local).unwrap();
    assert!(metrics.contains("portcullis_"), "{metrics}");
    let status = program.run(&["check", "--for", "ada", "slack/list_channels", "Server::slack"]);
    assert_eq!(status.code, Some(0), "the first node goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_is_deactivated_in_the_directory_is_out_and_sigterm_drains() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path());
    let mut node = start(&program);
    let data = folder.path().join(".portcullis");
    let client = Client::from_file(data.join("client.toml")).await.unwrap();
    let session = client.open(&OpenRequest::asserted(uid("User::ada"), [])).await.unwrap();
    let chen = client.open(&OpenRequest::asserted(uid("User::chen"), [])).await.unwrap();
    let read = Request::new(action("slack/list_channels"), uid("Server::slack"));
    assert_eq!(session.decide(&read).await.unwrap().verdict, Verdict::Allow);
    let mut events = client.subscribe();

    let path = data.join("sample/directory.json");
    let mut directory: Json = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let resources = directory["Resources"].as_array_mut().unwrap();
    resources.iter_mut().find(|resource| resource["id"] == "ada").unwrap()["active"] = false.into();
    std::fs::write(&path, directory.to_string()).unwrap();
    let ended = until_async(async || {
        let decision = session.decide(&read).await.unwrap();
        (decision.verdict == Verdict::Deny).then_some(decision.reason)
    });
    assert_eq!(ended.await, Some(Reason::UserSuspended));
    let told = timeout(DEADLINE, async { while !matches!(events.next().await, Some(Event::Ended { .. })) {} });
    told.await.expect("the client is told");
    assert_eq!(chen.decide(&read).await.unwrap().verdict, Verdict::Allow, "and nobody else");
    assert!(client.open(&OpenRequest::asserted(uid("User::ada"), [])).await.is_err());

    node.terminate();
    let away = timeout(DEADLINE, async {
        loop {
            match events.next().await {
                Some(Event::GoAway { .. }) => break true,
                Some(Event::Disconnected) | None => break false,
                Some(_) => {}
            }
        }
    });
    assert!(away.await.expect("the client is told"), "first that the node goes, then that it is gone");
    drop((session, chen));
    client.close().await;
    let status = tokio::task::spawn_blocking(move || (node.wait(), node.stderr())).await.unwrap();
    assert_eq!(status.0.code(), Some(0), "{}", status.1);
    let record = program.run(&["audit", "search", "-o", "json", "--limit", "1000"]);
    assert!(record.stdout.contains("\"stop\""), "the record ends in order: {}", record.stdout);
}
