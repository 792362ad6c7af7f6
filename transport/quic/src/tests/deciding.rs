//! Sessions and questions.

use portcullis_model::{ErrorCode, Reason, Refusal, Revision, Verdict};
use portcullis_runtime::AuditMode;
use portcullis_wire::frames::{
    BatchItemV1, BatchV1, CloseV1, DecideV1, DetailsV1, OpenV1, Proof, ProofV1, RefreshV1, RegisterV1, RevisionV1,
};

use super::node::{AUDITOR, Node, OPERATOR, PLATFORM, Setting, advance};
use super::peer::{Dial, Got, Peer, Stream, list, open, text};
use super::until;

fn error(got: Got) -> (ErrorCode, Option<String>) {
    match got {
        Got::Error(Refusal { code, field, .. }) => (code, field),
        other => panic!("{other:?}"),
    }
}

const ALLOW: Got = Got::Decision(Verdict::Allow, Reason::Permitted);

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_opened_asked_and_closed() {
    let node = Node::start().await;
    let mut peer = Peer::meet(&node, PLATFORM).await;
    let opened = peer.open(&["Agent::triage-bot"]).await;
    assert_eq!(opened.principals().unwrap(), (super::uid("User::ada"), vec![super::uid("Agent::triage-bot")]));
    assert_eq!(opened.token, "");
    let lane = &mut peer.lane;
    assert_eq!(lane.ask(1, &list(opened.handle)).await, ALLOW);
    let deny = text(opened.handle, "Action::slack/archive_channel", "Channel::general");
    assert_eq!(lane.ask(2, &deny).await, Got::Decision(Verdict::Deny, Reason::NoPermit));

    let names = ["Action::slack/list_channels", "Server::slack", "Channel::general", "Action::slack/read_channel"];
    let names = RegisterV1 { names: names.map(str::to_owned).to_vec() };
    let Got::Registered(numbers) = lane.ask(3, &names).await else { panic!() };
    let hot = |action, resource| DecideV1 {
        session: opened.handle,
        at_least: RevisionV1::default(),
        action: numbers.first + action,
        resource: numbers.first + resource,
        details: DetailsV1::default(),
    };
    assert_eq!(lane.ask(4, &hot(0, 1)).await, ALLOW);
    assert_eq!(error(lane.ask(5, &hot(0, 4)).await), (ErrorCode::BadRequest, Some("resource".into())));
    assert_eq!(error(lane.ask(6, &hot(9, 1)).await), (ErrorCode::BadRequest, Some("action".into())));

    let item = |action, resource| BatchItemV1 { action, resource, details: DetailsV1::default() };
    let items = vec![item(0, 1), item(3, 2), item(7, 7), item(2, 2)];
    let batch = BatchV1 { session: opened.handle, at_least: RevisionV1::default(), items };
    let Got::Batch(answers) = lane.ask(7, &batch).await else { panic!() };
    assert_eq!(answers[..2], [Ok(Verdict::Allow), Ok(Verdict::Allow)]);
    assert_eq!(answers[2].as_ref().unwrap_err().code, ErrorCode::BadRequest);
    assert_eq!(answers[3].as_ref().unwrap_err().code, ErrorCode::UnknownAction);

    assert_eq!(lane.ask(8, &CloseV1 { session: opened.handle }).await, Got::Closed);
    assert_eq!(lane.ask(9, &CloseV1 { session: opened.handle }).await, Got::Closed);
    assert_eq!(error(lane.ask(10, &list(opened.handle)).await).0, ErrorCode::UnknownHandle);
    assert_eq!(node.engine.status().sessions, 0);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn handles_of_other_connections_name_nothing() {
    let node = Node::start().await;
    let (mut one, mut two) = (Peer::meet(&node, PLATFORM).await, Peer::meet(&node, PLATFORM).await);
    let opened = one.open(&[]).await;
    for session in [opened.handle, 0, 1, u64::MAX, opened.handle + 1, opened.handle ^ (1 << 32)] {
        let (code, field) = error(two.lane.ask(1, &list(session)).await);
        assert_eq!((code, field.as_deref()), (ErrorCode::UnknownHandle, Some("session")), "{session:#x}");
        assert_eq!(error(two.lane.ask(2, &CloseV1 { session }).await).0, ErrorCode::UnknownHandle);
        let refresh = RefreshV1 { session, proofs: Vec::new() };
        assert_eq!(error(two.lane.ask(3, &refresh).await).0, ErrorCode::UnknownHandle);
    }
    assert_eq!(one.lane.ask(4, &list(opened.handle)).await, ALLOW);
    // The same on every lane of its own connection.
    let mut second = Stream::open(&one.connection).await;
    assert_eq!(second.ask(5, &list(opened.handle)).await, ALLOW);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_without_proof_open_nothing() {
    let node = Node::start().await;
    let mut platform = Peer::meet(&node, PLATFORM).await;
    let mut service = Peer::dial(&node, Dial { certificate: Some(node.pki.service()), ..Dial::token("") }).await;
    let mut auditor = Peer::meet(&node, AUDITOR).await;
    let own = |proof: &Proof| OpenV1 { agents: vec![ProofV1::from(proof)], ..open("User::ada", &[]) };
    let lane = &mut platform.lane;
    assert_eq!(error(lane.ask(1, &open("User::ada", &["Agent::digest-bot"])).await).0, ErrorCode::NotPermitted);
    assert_eq!(error(lane.ask(2, &open("Server::slack", &[])).await).0, ErrorCode::NotPermitted);
    assert_eq!(error(lane.ask(3, &own(&Proof::Certificate)).await).0, ErrorCode::Unauthenticated);
    assert_eq!(error(lane.ask(4, &own(&Proof::Token("a.b.c".into()))).await).0, ErrorCode::Unauthenticated);
    assert_eq!(error(service.lane.ask(5, &open("User::ada", &[])).await).0, ErrorCode::NotPermitted);
    assert_eq!(error(auditor.lane.ask(6, &open("User::ada", &[])).await).0, ErrorCode::NotPermitted);
    let refusals = node.refusals().await;
    let whys: Vec<_> = refusals.iter().map(|(_, why)| why.as_str()).collect();
    assert_eq!(whys.len(), 6, "{whys:?}");
    assert!(whys[0].contains("may not assert the agent"), "{whys:?}");
    assert!(whys[2].contains("no certificate that proves the agent"), "{whys:?}");
    assert!(whys[4].contains("may not open sessions without agents"), "{whys:?}");
    assert_eq!(whys[5], "`open` needs a client of role `platform`, and this one is `auditor`");
    // The certificate proves the agent that the registration names.
    assert!(matches!(service.lane.ask(7, &own(&Proof::Certificate)).await, Got::Opened(_)));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_principals_are_a_decision_and_malformed_questions_an_error() {
    let node = Node::start().await;
    let mut peer = Peer::meet(&node, PLATFORM).await;
    let lane = &mut peer.lane;
    assert_eq!(lane.ask(1, &open("User::eve", &[])).await, Got::Decision(Verdict::Deny, Reason::UnknownUser));
    let undelegated = open("User::ben", &["Agent::triage-bot"]);
    assert_eq!(lane.ask(2, &undelegated).await, Got::Decision(Verdict::Deny, Reason::NotDelegated));
    let Got::Opened(opened) = lane.ask(3, &open("User::ada", &[])).await else { panic!() };
    let with = |details| portcullis_wire::frames::DecideTextV1 { details, ..list(opened.handle) };
    let context = |json: &str| DetailsV1 { context: json.into(), ..DetailsV1::default() };
    let attributes = DetailsV1 { attributes: br#"{"members":[]}"#.to_vec(), ..DetailsV1::default() };
    for (details, code, field) in [
        (context("{"), ErrorCode::BadRequest, "context"),
        (context(r#"{"user":"x"}"#), ErrorCode::ReservedKey, "context.user"),
        (context(r#"{"moon":"full"}"#), ErrorCode::SchemaMismatch, "context.moon"),
        (attributes, ErrorCode::AttributeNotOwned, "resource_attributes.members"),
        (DetailsV1 { intent: 9, ..DetailsV1::default() }, ErrorCode::BadRequest, "intent"),
        (DetailsV1 { want: 9, ..DetailsV1::default() }, ErrorCode::BadRequest, "want"),
        (DetailsV1 { input: vec![b' '; 4_097], ..DetailsV1::default() }, ErrorCode::BadRequest, "input"),
        (DetailsV1 { input: vec![0xff], ..DetailsV1::default() }, ErrorCode::BadRequest, "input"),
    ] {
        let mut frame = portcullis_wire::FrameWriter::default();
        let bytes = match frame.append(4, &with(details.clone())) {
            Ok(()) => frame.bytes().to_vec(),
            // What this side's writer refuses, another writer may send.
            Err(_) => super::hostile::unchecked(4, &with(details.clone())),
        };
        lane.write(&bytes).await;
        let (_, got) = lane.next().await.unwrap();
        assert_eq!(error(got), (code, Some(field.to_owned())), "{details:?}");
    }
    assert_eq!(lane.ask(5, &list(opened.handle)).await, ALLOW);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_wait_for_their_revision_but_not_for_ever() {
    let node = Node::start().await;
    let mut peer = Peer::meet(&node, PLATFORM).await;
    let opened = peer.open(&[]).await;
    let now = node.engine.effective();
    let at = |revision: Revision| portcullis_wire::frames::DecideTextV1 {
        at_least: RevisionV1::from(revision),
        ..list(opened.handle)
    };
    assert_eq!(peer.lane.ask(1, &at(now)).await, ALLOW);
    let far = Revision::new(now.epoch, now.seq + 1_000_000);
    assert_eq!(error(peer.lane.ask(2, &at(far)).await), (ErrorCode::NotFresh, Some("at_least".into())));
    let other = Revision::new(now.epoch + 1, now.seq);
    assert_eq!(error(peer.lane.ask(3, &at(other)).await).0, ErrorCode::NotFresh);
    // One that comes while it is waited for. Whoever asks without a revision does not wait.
    let next = Revision::new(now.epoch, now.seq + 1);
    peer.lane.send(4, &at(next)).await;
    peer.lane.send(5, &list(opened.handle)).await;
    assert_eq!(peer.lane.next().await, Some((5, ALLOW)));
    assert!(advance(&node.engine).await.covers(next));
    let (corr, got) = peer.lane.next().await.unwrap();
    // The change may have taken longer than the wait.
    assert!(corr == 4 && (got == ALLOW || error(got).0 == ErrorCode::NotFresh));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn durable_answers_leave_after_their_record() {
    let node = Node::start_with(Setting { audit: AuditMode::Durable, ..Setting::default() }).await;
    let mut peer = Peer::meet(&node, PLATFORM).await;
    let opened = peer.open(&[]).await;
    node.gate.shut();
    peer.lane.send(1, &list(opened.handle)).await;
    // A denial waits for nothing, nor do other frames; the allow before them does.
    let deny = text(opened.handle, "Action::slack/archive_channel", "Channel::general");
    peer.lane.send(2, &deny).await;
    peer.lane.send(3, &RegisterV1 { names: vec!["A::a".into()] }).await;
    assert_eq!(peer.lane.next().await, Some((2, Got::Decision(Verdict::Deny, Reason::NoPermit))));
    assert!(matches!(peer.lane.next().await, Some((3, Got::Registered(_)))));
    node.gate.open();
    assert_eq!(peer.lane.next().await, Some((1, ALLOW)));
    // And again when nothing stands in the way: nobody waits for a timer to look.
    for corr in 10..20 {
        assert_eq!(peer.lane.ask(corr, &list(opened.handle)).await, ALLOW);
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_whose_record_fails_are_refused() {
    let node = Node::start_with(Setting { audit: AuditMode::Durable, ..Setting::default() }).await;
    let mut peer = Peer::meet(&node, PLATFORM).await;
    let opened = peer.open(&[]).await;
    let mut push = peer.push().await;
    node.engine.flush_audit().await.unwrap();
    node.gate.shut();
    for corr in 1..=100 {
        peer.lane.send(corr, &list(opened.handle)).await;
    }
    node.gate.break_down();
    node.gate.open();
    // What was decided before the failure and what comes after it, in any order.
    let mut answered = std::collections::BTreeSet::new();
    for _ in 1..=100 {
        let (corr, got) = peer.lane.next().await.unwrap();
        assert_eq!(error(got).0, ErrorCode::AuditUnavailable);
        answered.insert(corr);
    }
    assert!(answered.into_iter().eq(1..=100));
    assert_eq!(error(peer.lane.ask(101, &list(opened.handle)).await).0, ErrorCode::AuditUnavailable);
    // And the client's lease is not renewed any more.
    loop {
        let Some((_, Got::Heartbeat(beat))) = push.next().await else { panic!() };
        if beat.lease_ms == 0 {
            break;
        }
    }
    node.server.shutdown(std::time::Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_resume_a_session_on_another_connection() {
    let node = Node::start().await;
    let mut one = Peer::meet(&node, PLATFORM).await;
    let opened = one.open(&["Agent::triage-bot"]).await;
    let refresh = RefreshV1 { session: opened.handle, proofs: Vec::new() };
    let Got::Opened(refreshed) = one.lane.ask(1, &refresh).await else { panic!() };
    assert!(!refreshed.token.is_empty() && refreshed.session == opened.session);
    let others = RefreshV1 { proofs: vec![ProofV1::from(&Proof::Asserted(super::uid("User::ben")))], ..refresh };
    assert_eq!(error(one.lane.ask(2, &others).await).0, ErrorCode::NotPermitted);
    one.connection.close(0_u32.into(), b"");
    until("the sessions of a lost connection", || node.engine.status().sessions == 0).await;

    let resume =
        OpenV1 { subject: ProofV1::from(&Proof::Session(refreshed.token.clone())), agents: Vec::new(), life_ms: 0 };
    let mut operator = Peer::meet(&node, OPERATOR).await;
    assert_eq!(error(operator.lane.ask(3, &resume).await).0, ErrorCode::Unauthenticated, "another client's");
    let mut two = Peer::meet(&node, PLATFORM).await;
    let Got::Opened(resumed) = two.lane.ask(4, &resume).await else { panic!() };
    assert_eq!((resumed.session, resumed.born_at()), (opened.session, opened.born_at()));
    assert!(!resumed.token.is_empty());
    assert_eq!(two.lane.ask(5, &list(resumed.handle)).await, ALLOW);
    // Closed for good, on every node.
    assert_eq!(two.lane.ask(6, &CloseV1 { session: resumed.handle }).await, Got::Closed);
    assert_eq!(two.lane.ask(7, &resume).await, Got::Decision(Verdict::Deny, Reason::SessionRevoked));
    node.stop().await;
}
