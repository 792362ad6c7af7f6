//! Administrative calls.

use portcullis_model::ErrorCode;
use portcullis_wire::admin::{AdminReply, AdminRequest, chunks};
use portcullis_wire::{Flags, FrameKind, FrameWriter};

use super::node::{AUDITOR, LONG_REPLY_BYTES, Node, OPERATOR, PLATFORM};
use super::peer::{Got, Peer};

async fn call(peer: &mut Peer, corr: u32, json: &[u8]) -> Result<AdminReply, ErrorCode> {
    let mut writer = FrameWriter::default();
    for (flags, chunk) in chunks(FrameKind::Admin, json) {
        writer.append_bytes(FrameKind::Admin, flags, corr, chunk).unwrap();
    }
    peer.lane.write(writer.bytes()).await;
    match peer.lane.next().await.expect("a reply") {
        (answered, Got::Admin(json)) if answered == corr => Ok(AdminReply::from_json(&json).unwrap()),
        (answered, Got::Error(refusal)) if answered == corr => Err(refusal.code),
        other => panic!("{other:?}"),
    }
}

fn json(request: &AdminRequest) -> Vec<u8> {
    request.to_json().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_carried_out_for_the_roles_they_need() {
    let node = Node::start().await;
    let mut operator = Peer::meet(&node, OPERATOR).await;
    let mut auditor = Peer::meet(&node, AUDITOR).await;
    let mut platform = Peer::meet(&node, PLATFORM).await;
    let status = json(&AdminRequest::Status {});
    let done = AdminReply::Done { revision: node.engine.effective() };
    assert_eq!(call(&mut operator, 1, &status).await, Ok(done.clone()));
    assert_eq!(call(&mut auditor, 2, &status).await, Ok(done));
    assert_eq!(call(&mut platform, 3, &status).await, Err(ErrorCode::NotPermitted));
    let change = json(&AdminRequest::EntityPut { entities: Vec::new() });
    assert_eq!(call(&mut auditor, 4, &change).await, Err(ErrorCode::NotPermitted));
    let whys: Vec<_> = node.refusals().await.into_iter().map(|(_, why)| why).collect();
    assert_eq!(
        whys,
        [
            "`admin` needs a client of role `pep`, and this one is `platform`",
            "`entity_put` needs a client of role `operator`, and this one is `auditor`",
        ]
    );
    // A refusal of the service arrives whole, in as many chunks as it takes.
    let Ok(AdminReply::Refused(refusal)) = call(&mut operator, 5, &change).await else { panic!() };
    assert_eq!((refusal.code, refusal.message.len()), (ErrorCode::PolicyInvalid, LONG_REPLY_BYTES));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_are_none_are_refused_and_failing_ones_answered() {
    let node = Node::start().await;
    let mut operator = Peer::meet(&node, OPERATOR).await;
    for (corr, text) in (1..).zip(["", "{", "{}", r#"{"op":"launch"}"#, r#"{"op":"status","x":1}"#]) {
        assert_eq!(call(&mut operator, corr, text.as_bytes()).await, Err(ErrorCode::BadRequest), "{text}");
    }
    assert_eq!(call(&mut operator, 9, &json(&AdminRequest::PolicyShow {})).await, Err(ErrorCode::Internal));
    // An operator's call may be long; anybody else's not.
    let long = vec![b' '; 400_000];
    assert_eq!(call(&mut operator, 10, &long).await, Err(ErrorCode::BadRequest));
    let mut auditor = Peer::meet(&node, AUDITOR).await;
    let mut writer = FrameWriter::default();
    for _ in 0..17 {
        writer.append_bytes(FrameKind::Admin, Flags::MORE, 11, &[b' '; 1_024]).unwrap();
    }
    auditor.lane.write(writer.bytes()).await;
    let Some((11, Got::Error(refusal))) = auditor.lane.next().await else { panic!() };
    assert_eq!(refusal.code, ErrorCode::TooLarge);
    // More calls at once than there may be.
    writer.clear();
    for corr in 20..25 {
        writer.append_bytes(FrameKind::Admin, Flags::MORE, corr, b"{").unwrap();
    }
    operator.lane.write(writer.bytes()).await;
    let Some((24, Got::Error(refusal))) = operator.lane.next().await else { panic!() };
    assert_eq!(refusal.code, ErrorCode::TooLarge);
    node.stop().await;
}
