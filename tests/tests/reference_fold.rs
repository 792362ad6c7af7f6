//! Two events in every order and a decision at every place: the engine answers as a model that does
//! nothing but look through the list of what has happened.

mod model;
mod subject;

use portcullis_model::{Origin, Reason, Revision};
use portcullis_runtime::{AuditMode, Engine, EngineOptions};
use portcullis_tests::engines;
use portcullis_tests::wait::{self, DEADLINE};
use tempfile::TempDir;

use self::model::{Chain, Happening, History, Opened, Outcome};
use self::subject::Subject;

/// Every ordered pair of happenings, the same one twice included.
fn pairs() -> Vec<[Happening; 2]> {
    let all = Happening::ALL;
    all.iter().flat_map(|one| all.iter().map(|other| [*one, *other])).collect()
}

async fn furnished(cases: usize, audit_mode: AuditMode) -> (TempDir, Engine) {
    let folder = TempDir::new().unwrap();
    let options = EngineOptions { audit_mode, ..engines::options(folder.path(), engines::LIVE) };
    let engine = Engine::start(options).await.unwrap();
    engine.publish_policy(subject::policy_set(subject::OPEN), Origin::Node).await.unwrap();
    let mut changes = subject::groups();
    changes.extend((0..cases).flat_map(|case| Subject::of(case).changes()));
    engine.apply(changes, Origin::Node).await.unwrap();
    (folder, engine)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_order_of_two_events_and_a_decision_is_answered_as_the_model_answers() {
    let pairs = pairs();
    let (folder, engine) = furnished(pairs.len(), AuditMode::ByClass).await;
    for (case, pair) in pairs.iter().enumerate() {
        play(&engine, &Subject::of(case), pair).await;
    }
    engine.stop().await;
    drop(engine);

    let engine = engines::start(folder.path()).await;
    let mut decider = engine.decider().unwrap();
    for (case, pair) in pairs.iter().enumerate() {
        let lasting = pair.iter().copied().filter(|happening| *happening != Happening::ClosePolicy).collect();
        let history = History::new(lasting);
        for chain in Chain::ALL {
            let (found, _) = Subject::of(case).open(&engine, &mut decider, chain);
            assert_eq!(found, history.opening(chain), "{pair:?}, {chain:?}, after a restart");
        }
    }
    engine.stop().await;
}

/// Opens sessions, lets one thing happen, asks, opens more, lets the next happen, asks again.
async fn play(engine: &Engine, subject: &Subject, pair: &[Happening]) {
    let mut decider = engine.decider().unwrap();
    let mut history = History::default();
    let mut sessions = Vec::new();
    open_all(engine, subject, &mut decider, &history, &mut sessions);
    for happening in pair {
        let first = sessions.first().map(|(opened, _): &(Opened, _)| opened.id);
        let revision = subject.bring_about(engine, *happening, history.len(), first).await;
        history.push(*happening);
        for (opened, handle) in &sessions {
            let found = subject.decide(&mut decider, *handle);
            let wanted = history.answer(opened);
            assert_eq!(found.verdict(), wanted.verdict(), "{history:?}, {opened:?}, at the acknowledgement");
        }
        engine.wait_effective(revision).await.unwrap();
        for (opened, handle) in &sessions {
            assert_eq!(subject.decide(&mut decider, *handle), history.answer(opened), "{history:?}, {opened:?}");
        }
        open_all(engine, subject, &mut decider, &history, &mut sessions);
    }
    if history.has(Happening::ClosePolicy) {
        engine.publish_policy(subject::policy_set(subject::OPEN), Origin::Node).await.unwrap();
    }
}

fn open_all(
    engine: &Engine,
    subject: &Subject,
    decider: &mut portcullis_runtime::Decider,
    history: &History,
    sessions: &mut Vec<(Opened, portcullis_cells::Handle)>,
) {
    for chain in Chain::ALL {
        let wanted = history.opening(chain);
        // The early restriction of a revocation of everything outlives its effect until every worker has
        // passed a batch boundary: meanwhile it denies new sessions too, and only those.
        let mut tried = None;
        let answered = wait::until(|| {
            tried = Some(subject.open(engine, decider, chain));
            let (found, _) = tried.as_ref()?;
            (found.0 != Reason::EverythingRevoked || *found == wanted).then_some(())
        });
        assert!(answered.is_some(), "{history:?}, {chain:?}: the early restriction stays");
        let (found, opened) = tried.unwrap();
        assert_eq!(found, wanted, "{history:?}, {chain:?}");
        sessions.extend(opened.map(|(id, handle)| {
            let is_first = sessions.is_empty();
            (Opened { chain, born: history.len(), id, is_first }, handle)
        }));
    }
}

/// Nothing waits here: the revision that a decision names must be the one whose state it saw.
#[tokio::test(flavor = "multi_thread")]
async fn a_decision_that_races_two_events_sees_exactly_the_state_at_its_revision() {
    let logged: Vec<_> = pairs()
        .into_iter()
        .filter(|pair| pair.iter().all(|happening| Subject::of(0).change(*happening, 0, None).is_some()))
        .collect();
    assert!(logged.len() > 100);
    // So many decisions a moment fill any queue; what is recorded is not the question here.
    let (_folder, engine) = furnished(logged.len(), AuditMode::Off).await;
    let mut decider = engine.decider().unwrap();
    let mut between = 0;
    for (case, pair) in logged.iter().enumerate() {
        let subject = Subject::of(case);
        let (_, session) = subject.open(&engine, &mut decider, Chain::Delegated);
        let (id, handle) = session.unwrap();
        let opened = Opened { chain: Chain::Delegated, born: 0, id, is_first: true };
        let (sender, mut places) = tokio::sync::mpsc::unbounded_channel();
        let writing = tokio::spawn(commit(engine.clone(), subject.clone(), *pair, sender));
        let deadline = std::time::Instant::now() + DEADLINE;
        let mut seen = Vec::new();
        loop {
            assert!(std::time::Instant::now() < deadline, "{pair:?} never came into effect");
            let (revision, outcome) = subject.decide_at(&mut decider, handle);
            seen.push((revision, outcome));
            let last = places.try_recv().ok();
            if let Some([_, second]) = last
                && seen.last().is_some_and(|(revision, _)| revision.covers(second))
            {
                between += check(&seen, last.unwrap(), pair, &opened);
                break;
            }
            if let Some(last) = last {
                engine.wait_effective(last[1]).await.unwrap();
                seen.push(subject.decide_at(&mut decider, handle));
                between += check(&seen, last, pair, &opened);
                break;
            }
            tokio::task::yield_now().await;
        }
        writing.await.unwrap();
    }
    println!("{between} decisions fell between two events");
    engine.stop().await;
}

async fn commit(
    engine: Engine,
    subject: Subject,
    pair: [Happening; 2],
    places: tokio::sync::mpsc::UnboundedSender<[Revision; 2]>,
) {
    let mut revisions = Vec::new();
    for (at, happening) in pair.into_iter().enumerate() {
        let change = subject.change(happening, at, None).unwrap();
        revisions.push(engine.commit(vec![change], Origin::Node).await.unwrap());
    }
    places.send([revisions[0], revisions[1]]).unwrap();
}

/// Compares every decision with the model at its revision; counts those between the two events.
fn check(seen: &[(Revision, Outcome)], places: [Revision; 2], pair: &[Happening; 2], opened: &Opened) -> usize {
    let mut between = 0;
    for (revision, outcome) in seen {
        let happened = places.iter().filter(|place| revision.covers(**place)).count();
        between += usize::from(happened == 1);
        let history = History::new(pair[..happened].to_vec());
        assert_eq!(*outcome, history.answer(opened), "{history:?} at {revision}");
    }
    between
}
