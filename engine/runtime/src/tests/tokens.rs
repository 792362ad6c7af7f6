//! Session tokens: what they resume, and what no token resumes.

use portcullis_model::{ErrorCode, Origin, Reason, RevokeScope, SessionId, Verdict};

use super::*;
use crate::OpenError;

fn resume(engine: &Engine, token: &str) -> Result<SessionId, OpenError> {
    engine.resume_session(token, "test").map(|opened| opened.id)
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_outlive_a_restart_but_nothing_that_ended_comes_back() {
    let (folder, engine) = organisation().await;
    let open = |agents: &[&str]| {
        let opened = engine.open_session(&terms("User::ada", agents), "test").unwrap();
        let token = engine.session_token(opened.handle).unwrap().token;
        (opened, token)
    };
    let (live, closed, revoked) = (open(&["Agent::outer"]), open(&[]), open(&[]));
    let subtree = open(&["Agent::outer", "Agent::inner"]);
    assert!(engine.end_session(closed.0.handle, Origin::Node).await.unwrap());
    engine.revoke_session(revoked.0.id, Origin::Node).await.unwrap();
    engine.revoke(RevokeScope::Subtree(grant_id(2)), Origin::Node).await.unwrap();
    // Revoked without ever having been seen by this node: the token is good, the session is not.
    let unseen = open(&[]);
    engine.close_session(unseen.0.handle);
    engine.revoke_session(unseen.0.id, Origin::Node).await.unwrap();
    engine.stop().await;
    drop(engine);

    let engine = start(folder.path()).await.unwrap();
    assert_eq!(resume(&engine, &closed.1), Err(OpenError::Denied(Reason::SessionRevoked)));
    assert_eq!(resume(&engine, &revoked.1), Err(OpenError::Denied(Reason::SessionRevoked)));
    assert_eq!(resume(&engine, &unseen.1), Err(OpenError::Denied(Reason::SessionRevoked)));
    assert_eq!(resume(&engine, &subtree.1), Err(OpenError::Denied(Reason::GrantRevoked)));
    let resumed = engine.resume_session(&live.1, "test").unwrap();
    assert_eq!((resumed.id, resumed.born_at), (live.0.id, live.0.born_at));
    let mut decider = engine.decider().unwrap();
    assert_eq!(decide(&mut decider, resumed.handle, "read").unwrap().verdict, Verdict::Allow);
    let again = engine.resume_session(&live.1, "test").unwrap();
    assert_eq!(decide(&mut decider, resumed.handle, "read").unwrap_err().code, ErrorCode::UnknownHandle);

    engine.revoke(RevokeScope::User(uid("User::ada")), Origin::Node).await.unwrap();
    assert_eq!(decide(&mut decider, again.handle, "read").unwrap().reason, Reason::UserRevoked);
    engine.restore(uid("User::ada"), Origin::Node).await.unwrap();
    assert_eq!(resume(&engine, &live.1), Err(OpenError::Denied(Reason::UserRevoked)), "born before the revocation");
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_good_for_its_client_only_and_only_from_this_engine() {
    let (_folder, engine) = organisation().await;
    let opened = engine.open_session(&terms("User::ada", &[]), "test").unwrap();
    let token = engine.session_token(opened.handle).unwrap().token;
    let code = |token: &str, client: &str| match engine.resume_session(token, client) {
        Err(OpenError::Refused(refusal)) => refusal.code,
        other => panic!("{other:?}"),
    };
    assert_eq!(code(&token, "other"), ErrorCode::Unauthenticated);
    assert_eq!(code("", "test"), ErrorCode::Unauthenticated);
    let mut forged = token.clone();
    forged.replace_range(
        forged.len() - 5..forged.len() - 4,
        if forged.as_bytes()[forged.len() - 5] == b'A' { "B" } else { "A" },
    );
    assert_eq!(code(&forged, "test"), ErrorCode::Unauthenticated);
    engine.stop().await;
}
