//! The check after a kill finds what is lost: it is tried on a node that never had it.

use portcullis_model::{DecisionId, GrantId, Revision, SessionId, Timestamp};
use portcullis_tests::crash::{Fate, HeldSession, Ledger, differences};
use portcullis_tests::names::uid;

use crate::dev;

#[tokio::test(flavor = "multi_thread")]
async fn whatever_was_acknowledged_and_is_not_there_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let program = dev::program(folder.path());
    let node = tokio::task::spawn_blocking(move || dev::start(&program)).await.unwrap();
    let data = folder.path().join(".portcullis");
    let nothing = Ledger { since: Timestamp::from_millis(1), ..Ledger::default() };
    assert_eq!(differences(&data, &nothing).await, Ok(Vec::new()), "a node that lost nothing");

    let sample = portcullis_sample::grants().unwrap()[0].id;
    let held = |story, fate| HeldSession {
        story,
        id: SessionId::from_bytes([7; 16]),
        handle: 12_345,
        token: "x.y.z".to_owned(),
        fate,
    };
    let mut lost = Ledger {
        revision: Some(Revision::new(1, 1_000_000)),
        changes: [2, 1_000_000].into(),
        grants: [(GrantId::from_bytes([9; 16]), Fate::Untouched), (sample, Fate::Ended)].into(),
        entities: [uid("Server::gone")].into(),
        users: [(uid("User::ada"), Fate::Ended)].into(),
        decisions: [DecisionId::from_bytes([8; 16])].into(),
        sessions: vec![held("live", Fate::Untouched), held("closed", Fate::Ended)],
        since: Timestamp::from_millis(1),
        twice: Vec::new(),
    };
    lost.acknowledge(Revision::new(1, 2));
    let found = differences(&data, &lost).await.unwrap();
    for told in [
        "acknowledged twice",
        "the node is at",
        "is lost",
        "the revocation of grant",
        "entity Server::\"gone\" is lost",
        "the revocation of User::\"ada\" is lost",
        "is not in the record",
        "change 1000000 is not in the record",
        "the session that is live",
    ] {
        assert!(found.iter().any(|difference| difference.contains(told)), "{told}: {found:#?}");
    }
    assert!(!found.iter().any(|difference| difference.contains("the session that is closed")), "{found:#?}");
    drop(node);
}
