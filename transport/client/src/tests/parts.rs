//! The parts that need no connection.

use std::sync::Arc;
use std::time::Duration;

use portcullis_model::Revision;
use portcullis_wire::frames::{EndedScope, EndedV1, HeartbeatV1, LimitsV1, RegisteredV1};
use tokio::time::{Instant, advance};

use super::peer::uid;
use crate::backoff::delay;
use crate::names::{Names, Number};
use crate::reply::Reply;
use crate::slots::{Abandon, Slots, Waiter};
use crate::trust::{Sequence, Trust};
use crate::{DecideError, Decision, DecisionId, NotAllowed, Reason, Require, Verdict};

#[test]
fn pauses_grow_and_stay_bounded() {
    let span = |attempt| (delay(attempt, 0.0, None), delay(attempt, 1.0, None));
    assert_eq!(span(0), (Duration::from_millis(50), Duration::from_millis(100)));
    assert_eq!(span(3), (Duration::from_millis(400), Duration::from_millis(800)));
    for attempt in [6, 31, 32, u32::MAX] {
        assert_eq!(span(attempt), (Duration::from_millis(2_500), Duration::from_secs(5)));
    }
    assert_eq!(delay(0, 0.0, Some(Duration::from_secs(1))), Duration::from_millis(1_050));
    assert_eq!(delay(0, f64::MAX, Some(Duration::MAX)), Duration::from_millis(5_100));
}

#[test]
fn slots_are_bounded_and_their_numbers_differ_with_every_use() {
    let slots = Arc::new(Slots::new(2));
    let first = slots.wait(Abandon::Free).expect("a slot");
    let second = slots.take(Waiter::Nothing).expect("a slot");
    assert!(matches!(slots.take(Waiter::Nothing), Err(DecideError::Overloaded)));
    let old = first.corr();
    drop(first);
    let again = slots.take(Waiter::Nothing).expect("the same slot");
    assert!(again != old && again != second && !slots.is_expected(old));
    assert!(slots.finish(old).is_none(), "a late answer finds nobody");
    assert!(slots.finish(again).is_some() && slots.finish(again).is_none());
    assert_eq!(slots.in_flight(), 1);
    slots.close();
    assert!(matches!(slots.take(Waiter::Nothing), Err(DecideError::ConnectionLost)));
}

#[test]
fn numbers_of_slots_are_never_zero() {
    let slots = Slots::new(1);
    let mut seen = 0;
    // More uses than a slot has generations.
    for _ in 0..300_000 {
        let corr = slots.take(Waiter::Nothing).expect("a slot");
        assert!(corr != 0 && corr != seen);
        seen = corr;
        assert!(slots.finish(corr).is_some());
    }
}

#[tokio::test]
async fn closing_ends_all_waiting() {
    let slots = Arc::new(Slots::new(2));
    let waiting = slots.wait(Abandon::CloseOpened).expect("a slot");
    slots.close();
    assert!(matches!(waiting.reply().await, Err(DecideError::ConnectionLost)));
    slots.until_idle().await;
}

#[tokio::test]
async fn abandoned_opens_keep_their_slot_until_the_answer() {
    let slots = Arc::new(Slots::new(1));
    let waiting = slots.wait(Abandon::CloseOpened).expect("a slot");
    let corr = waiting.corr();
    drop(waiting);
    assert!(matches!(slots.finish(corr), Some(Waiter::CloseOpened)));
    let answered = slots.wait(Abandon::CloseOpened).expect("a slot");
    match slots.finish(answered.corr()) {
        Some(Waiter::Answer(sender)) => sender.send(Reply::Closed).expect("somebody waits"),
        other => panic!("{other:?}"),
    }
    assert!(matches!(answered.reply().await, Ok(Reply::Closed)));
    assert_eq!(slots.in_flight(), 0);
}

#[test]
fn names_are_asked_for_once_and_bounded() {
    let limits = LimitsV1 { names: 2, name_bytes: 30, ..LimitsV1::default() };
    let names = Names::new(&limits);
    let (first, second, third) = (uid("A::a"), uid("A::b"), uid("A::c"));
    assert_eq!((names.find(&first), names.find(&first)), (Number::Ask, Number::Unknown));
    names.registered(vec![first.clone()], RegisteredV1 { first: 7, count: 1 });
    assert_eq!(names.find(&first), Number::Known(7));
    assert_eq!(names.find(&second), Number::Ask);
    names.unsent(&second);
    assert_eq!(names.find(&uid("A::averyveryverylongname")), Number::Unknown, "too many bytes");
    assert_eq!(names.find(&second), Number::Ask, "asked for again");
    assert_eq!(names.find(&third), Number::Unknown, "too many names");
    names.refused(vec![second.clone()]);
    assert_eq!((names.find(&second), names.find(&first)), (Number::Unknown, Number::Known(7)));
}

#[test]
fn numbers_that_do_not_fit_their_names_are_not_taken() {
    let names = Names::new(&LimitsV1::default());
    let name = uid("A::a");
    assert_eq!(names.find(&name), Number::Ask);
    names.registered(vec![name.clone()], RegisteredV1 { first: 7, count: 2 });
    assert_eq!(names.find(&name), Number::Unknown);
}

fn heartbeat(trust: &Trust, push_seq: u64, echo: u64) -> Sequence {
    trust.heartbeat(&HeartbeatV1 { push_seq, echo, lease_ms: 1_000, epoch: 1, seq: 1 })
}

#[tokio::test(start_paused = true)]
async fn a_lease_runs_from_the_stamp_it_echoes() {
    let trust = Trust::new(Instant::now());
    assert_eq!(trust.check(), Err(DecideError::LeaseExpired), "nothing is believed before the welcome");
    let stamp = trust.stamp();
    advance(Duration::from_millis(900)).await;
    assert_eq!(heartbeat(&trust, 0, stamp), Sequence::Complete);
    assert_eq!(trust.check(), Ok(()));
    advance(Duration::from_millis(90)).await;
    assert_eq!(trust.check(), Ok(()));
    advance(Duration::from_millis(1)).await;
    assert_eq!(trust.check(), Err(DecideError::LeaseExpired), "delay and drift count against it");
    heartbeat(&trust, 0, trust.stamp());
    assert_eq!(trust.check(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn stamps_that_were_never_sent_renew_nothing() {
    let trust = Trust::new(Instant::now());
    for echo in [0, u64::MAX, trust.stamp() + 1] {
        heartbeat(&trust, 0, echo);
        assert_eq!(trust.check(), Err(DecideError::LeaseExpired));
    }
}

#[tokio::test(start_paused = true)]
async fn a_gap_is_said_once_and_ends_with_a_new_beginning() {
    let trust = Trust::new(Instant::now());
    trust.renew(trust.stamp(), Duration::from_secs(60));
    let ended = |push_seq| trust.ended(&EndedV1::new(push_seq, Revision::new(1, 1), &EndedScope::All, 1));
    assert_eq!((ended(1), ended(2)), (Sequence::Complete, Sequence::Complete));
    assert_eq!((ended(4), ended(6)), (Sequence::Gap, Sequence::Complete));
    assert_eq!(trust.check(), Err(DecideError::OutOfSync));
    trust.resynced(5);
    assert_eq!((trust.check(), trust.applied()), (Ok(()), 6));
    assert_eq!((ended(5), ended(7)), (Sequence::Complete, Sequence::Complete), "what was on its way is no gap");
    assert_eq!(heartbeat(&trust, 8, trust.stamp()), Sequence::Gap);
    assert_eq!(trust.check(), Err(DecideError::OutOfSync));
}

fn decision(verdict: Verdict, reason: Reason, obligations: &[&str]) -> Decision {
    let mut decision = Decision::new(DecisionId::from_bytes([0; 16]), verdict, reason, vec![], Revision::new(1, 1));
    decision.obligations = obligations.iter().map(|obligation| (*obligation).into()).collect();
    decision
}

#[test]
fn only_an_allow_without_unknown_obligations_is_allowed() {
    let allow = |obligations: &[&str]| decision(Verdict::Allow, Reason::Permitted, obligations);
    assert_eq!(allow(&[]).require().map(|allowed| allowed.decision().clone()), Ok(allow(&[])));
    let denied = decision(Verdict::Deny, Reason::AgentRevoked, &[]).require().expect_err("denied");
    assert_eq!(denied.to_string(), "denied: an agent of the chain was revoked");
    assert_eq!(denied.reason(), Reason::AgentRevoked);
    let suspended = decision(Verdict::Suspend, Reason::ApprovalRequired, &[]).require();
    assert!(matches!(suspended, Err(NotAllowed::NeedsApproval(_))));
    assert!(matches!(allow(&["notify"]).require(), Err(NotAllowed::Obligation { .. })));
    assert!(allow(&["notify"]).require_with(&["notify"]).is_ok());
    assert!(allow(&["notify", "redact"]).require_with(&["notify"]).is_err());
    assert!(decision(Verdict::Deny, Reason::NoPermit, &["notify"]).require_with(&["notify"]).is_err());
}

#[test]
fn clients_can_be_shared_between_threads() {
    fn check<T: Clone + Send + Sync + 'static>() {}
    check::<crate::Client>();
    fn shared<T: Send + Sync + 'static>() {}
    shared::<crate::Session>();
}
