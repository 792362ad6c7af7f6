//! What a revocation ends, and when.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use portcullis_model::{Origin, Reason, RevokeScope, SourceName, Verdict};

use super::*;
use crate::EndedScope;

fn admin() -> Origin {
    Origin::Admin("test".into())
}

fn source() -> SourceName {
    "test".parse().unwrap()
}

/// Revokes and waits until the world shows it: until then a session that was denied anyway may still
/// be denied for the older reason. Returns how many sessions ended.
async fn revoke_and_wait(engine: &Engine, scope: RevokeScope) -> u64 {
    let revoked = engine.revoke(scope, admin()).await.unwrap();
    engine.wait_effective(revoked.revision).await.unwrap();
    revoked.sessions
}

#[tokio::test(flavor = "multi_thread")]
async fn each_scope_ends_what_it_names_and_nothing_else() {
    let (_folder, engine) = organisation().await;
    let mut decider = engine.decider().unwrap();
    let open = |agents: &[&str]| engine.open_session(&terms("User::ada", agents), "test").unwrap();
    let (direct, outer, inner) = (open(&[]), open(&["Agent::outer"]), open(&["Agent::outer", "Agent::inner"]));
    let mut reasons =
        || [&direct, &outer, &inner].map(|session| decide(&mut decider, session.handle, "read").unwrap().reason);

    assert_eq!(revoke_and_wait(&engine, RevokeScope::Grant(grant_id(2))).await, 1);
    assert_eq!(reasons(), [Reason::Permitted, Reason::Permitted, Reason::GrantRevoked]);
    let again = GrantRecord { grantor: uid("Agent::outer"), ..grant(9, "User::ada", "Agent::inner", Some(1), 1) };
    engine.grant(again, admin()).await.unwrap();
    assert_eq!(reasons()[2], Reason::GrantRevoked, "a later grant revives no session");
    assert_eq!(revoke_and_wait(&engine, RevokeScope::Agent(uid("Agent::inner"))).await, 1);
    assert_eq!(reasons(), [Reason::Permitted, Reason::Permitted, Reason::AgentRevoked]);
    assert_eq!(revoke_and_wait(&engine, RevokeScope::Session { id: outer.id, until: Timestamp::MAX }).await, 1);
    assert_eq!(reasons(), [Reason::Permitted, Reason::SessionRevoked, Reason::AgentRevoked]);
    assert_eq!(revoke_and_wait(&engine, RevokeScope::User(uid("User::ada"))).await, 3);
    assert_eq!(reasons(), [Reason::UserRevoked, Reason::SessionRevoked, Reason::UserRevoked]);
    engine.restore(uid("User::ada"), admin()).await.unwrap();
    assert_eq!(reasons()[0], Reason::UserRevoked, "restoring revives no session");
    let fresh = engine.open_session(&terms("User::ada", &[]), "test").unwrap();
    assert_eq!(decide(&mut decider, fresh.handle, "read").unwrap().verdict, Verdict::Allow);
    engine.revoke(RevokeScope::Everything, admin()).await.unwrap();
    assert_eq!(decide(&mut decider, fresh.handle, "read").unwrap().reason, Reason::EverythingRevoked);
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_three_strengths_differ_in_what_comes_back() {
    let (_folder, engine) = organisation().await;
    let mut decider = engine.decider().unwrap();
    let session = engine.open_session(&terms("User::ada", &["Agent::outer"]), "test").unwrap();
    let mut after = |change: Change| {
        let engine = engine.clone();
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(engine.apply(vec![change], Origin::Node))
        })
        .unwrap();
        decide(&mut decider, session.handle, "read").unwrap().reason
    };
    let user = || uid("User::ada");
    assert_eq!(after(Change::Hold { uid: user(), source: source() }), Reason::UserHeld);
    assert_eq!(
        after(Change::Release { uid: user(), source: source() }),
        Reason::Permitted,
        "sessions revive from a hold"
    );
    assert_eq!(after(Change::Suspend { uid: user(), source: source() }), Reason::UserSuspended);
    assert_eq!(
        after(Change::Reactivate { uid: user(), source: source() }),
        Reason::UserSuspended,
        "not from a suspension"
    );
    let again = engine.open_session(&terms("User::ada", &["Agent::outer"]), "test");
    assert!(again.is_ok(), "grants only slept");
    engine
        .apply(
            vec![
                Change::Deactivate { uid: user(), source: source() },
                Change::Reactivate { uid: user(), source: source() },
            ],
            Origin::Node,
        )
        .await
        .unwrap();
    assert_eq!(
        engine.open_session(&terms("User::ada", &["Agent::outer"]), "test").map(|_| ()),
        Err(crate::OpenError::Denied(Reason::GrantRevoked))
    );
    assert!(engine.open_session(&terms("User::ada", &[]), "test").is_ok());
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_allow_is_given_for_a_request_made_after_the_acknowledgement() {
    let (_folder, engine) = organisation().await;
    let acknowledged = Arc::new(AtomicU64::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let rounds = 40;
    let (handles, receiver) = std::sync::mpsc::channel();
    let prober = {
        let (engine, acknowledged, stop) = (engine.clone(), Arc::clone(&acknowledged), Arc::clone(&stop));
        std::thread::spawn(move || {
            let mut decider = engine.decider().unwrap();
            let mut asked_after = 0_u64;
            for (round, handle) in receiver.iter().take(rounds).enumerate() {
                let round = u64::try_from(round).unwrap() + 1;
                let mut after = 0;
                while after < 50 && !stop.load(Ordering::Acquire) {
                    let acked = acknowledged.load(Ordering::SeqCst) >= round;
                    let verdict = decide(&mut decider, handle, "read").unwrap().verdict;
                    if acked {
                        assert_eq!(verdict, Verdict::Deny, "round {round}");
                        after += 1;
                    }
                }
                asked_after += after;
            }
            asked_after
        })
    };
    for round in 1..=u64::try_from(rounds).unwrap() {
        let session = engine.open_session(&terms("User::ada", &["Agent::outer"]), "test").unwrap();
        handles.send(session.handle).unwrap();
        match round % 3 {
            0 => drop(engine.revoke_session(session.id, admin()).await.unwrap()),
            1 => drop(engine.revoke(RevokeScope::User(uid("User::ada")), admin()).await.unwrap()),
            _ => drop(engine.revoke(RevokeScope::Agent(uid("Agent::outer")), admin()).await.unwrap()),
        }
        acknowledged.store(round, Ordering::SeqCst);
        engine.restore(uid("User::ada"), admin()).await.unwrap();
        engine.restore(uid("Agent::outer"), admin()).await.unwrap();
    }
    drop(handles);
    let asked_after = tokio::task::spawn_blocking(move || prober.join().unwrap()).await.unwrap();
    assert_eq!(asked_after, 50 * u64::try_from(rounds).unwrap());
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn watchers_and_the_feed_are_told_and_a_failing_actor_comes_back() {
    let (_folder, engine) = organisation().await;
    let session = engine.open_session(&terms("User::ada", &["Agent::outer"]), "test").unwrap();
    let mut watch = engine.watch_session(session.id).unwrap();
    let place = engine.ended_since(0).next;
    let revoked = engine.revoke(RevokeScope::User(uid("User::ada")), admin()).await.unwrap();
    let told = tokio::time::timeout(SOON, watch.wait_for(Option::is_some)).await.unwrap().unwrap();
    assert_eq!(*told, Some(Reason::UserRevoked));
    drop(told);
    engine.wait_effective(revoked.revision).await.unwrap();
    let mut feed = engine.ended_watch();
    tokio::time::timeout(SOON, feed.wait_for(|head| *head > place)).await.unwrap().unwrap();
    let notices = engine.ended_since(place);
    assert!(
        notices.notices.iter().any(|notice| notice.scope == EndedScope::User(uid("User::ada")) && notice.sessions == 1)
    );

    let user = engine.shared().world.names().find(&uid("User::ada")).unwrap();
    let restarts = engine.counters().restarts();
    let failed = tokio::time::timeout(SOON, async {
        while !engine.inner.actors.fail_user(user) {
            tokio::task::yield_now().await;
        }
        while engine.counters().restarts() == restarts {
            tokio::task::yield_now().await;
        }
    });
    failed.await.unwrap();
    let mut decider = engine.decider().unwrap();
    assert_eq!(
        decide(&mut decider, session.handle, "read").unwrap().reason,
        Reason::UserRevoked,
        "its cells are untouched"
    );
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_from_before_the_revocation_opens_no_session_after_the_restoration() {
    let (_folder, engine) = organisation().await;
    let before = engine.now();
    let open = |subject: Timestamp, agent: Timestamp| {
        let issued = crate::Issued { subject, agents: vec![agent] };
        engine.open_proven(&terms("User::ada", &["Agent::outer"]), &issued, "test").map(|_| ())
    };
    assert_eq!(open(before, before), Ok(()));
    engine.revoke(RevokeScope::User(uid("User::ada")), admin()).await.unwrap();
    engine.restore(uid("User::ada"), admin()).await.unwrap();
    let (old, fresh) = (before, engine.now().plus(Duration::from_secs(60)));
    assert_eq!(open(old, old), Err(crate::OpenError::Denied(Reason::UserRevoked)));
    assert_eq!(open(fresh, old), Ok(()), "the agent's credential was never ended");
    assert_eq!(open(Timestamp::MAX, Timestamp::MAX), Ok(()), "an assertion is made for this session");
    engine.revoke(RevokeScope::Agent(uid("Agent::outer")), admin()).await.unwrap();
    engine.restore(uid("Agent::outer"), admin()).await.unwrap();
    assert_eq!(open(fresh, old), Err(crate::OpenError::Denied(Reason::AgentRevoked)));
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entity_is_restricted_early_wherever_a_session_names_it() {
    let (_folder, engine) = organisation().await;
    let mut robot = EntityRecord::named(uid("User::robot"));
    robot.parents = vec![uid("Group::staff")];
    robot.sponsor = Some(uid("User::ben"));
    engine.apply(vec![Change::PutEntity(robot)], Origin::Node).await.unwrap();
    let session = engine.open_session(&terms("User::robot", &[]), "test").unwrap();
    let mut decider = engine.decider().unwrap();
    assert_eq!(decide(&mut decider, session.handle, "read").unwrap().verdict, Verdict::Allow);
    // The folder's lock keeps the applier from folding: only the deny table can answer.
    let folder = engine.shared().folder.lock().unwrap();
    let revoking = {
        let engine = engine.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(engine.revoke(RevokeScope::User(uid("User::ben")), admin())).unwrap()
        })
    };
    let revoked = revoking.join().unwrap();
    assert!(!engine.effective().covers(revoked.revision), "the world has not seen it");
    assert_eq!(decide(&mut decider, session.handle, "read").unwrap().reason, Reason::SponsorInactive);
    drop(folder);
    engine.wait_effective(revoked.revision).await.unwrap();
    assert_eq!(decide(&mut decider, session.handle, "read").unwrap().reason, Reason::SponsorInactive);
    engine.stop().await;
}
