//! Calls that change something.

use portcullis_identity::Registration;
use portcullis_model::{
    Change, EntityRecord, EntityUid, ErrorCode, GrantId, GrantRecord, PolicySetText, Refusal, RevokeScope,
};
use portcullis_quic::node_ns;
use portcullis_runtime::{Engine, PublishError};
use portcullis_wire::admin::{
    AdminReply, DelegateOrder, Enforcement, GrantOrder, PolicyPushed, PrincipalKind, RevokeTarget, Revoked,
};

use crate::service::caller::origin_of;
use crate::service::{directory, number};

pub(crate) async fn revoke(
    engine: &Engine,
    client: &Registration,
    target: RevokeTarget,
) -> Result<AdminReply, Refusal> {
    let by = origin_of(client);
    let revoked = match target {
        RevokeTarget::Session { id } => engine.revoke_session(id, by).await?,
        RevokeTarget::User { uid } => {
            directory::require(engine, "user", &uid)?;
            engine.revoke(RevokeScope::User(uid), by).await?
        }
        RevokeTarget::Agent { uid } => {
            directory::require(engine, "agent", &uid)?;
            engine.revoke(RevokeScope::Agent(uid), by).await?
        }
        RevokeTarget::Grant { id } => engine.revoke(RevokeScope::Grant(id), by).await?,
        RevokeTarget::Subtree { id } => engine.revoke(RevokeScope::Subtree(id), by).await?,
        RevokeTarget::Everything {} => engine.revoke(RevokeScope::Everything, by).await?,
        other => {
            let message = format!("this node does not know how to revoke {other:?}");
            return Err(Refusal::of_field(ErrorCode::BadRequest, "target", message));
        }
    };
    Ok(AdminReply::Revoked(Revoked {
        revision: revoked.revision,
        // There is one node: what it has acknowledged, it enforces.
        level: Enforcement::Enforced,
        sessions: revoked.sessions,
        elapsed_us: u64::try_from(revoked.elapsed.as_micros()).unwrap_or(u64::MAX),
        node_ns: node_ns(),
    }))
}

pub(crate) async fn restore(
    engine: &Engine,
    client: &Registration,
    kind: PrincipalKind,
    uid: EntityUid,
) -> Result<AdminReply, Refusal> {
    let kind = match kind {
        PrincipalKind::User => "user",
        PrincipalKind::Agent => "agent",
    };
    directory::require(engine, kind, &uid)?;
    let revision = engine.restore(uid, origin_of(client)).await?;
    Ok(AdminReply::Done { revision })
}

pub(crate) async fn grant(engine: &Engine, client: &Registration, order: GrantOrder) -> Result<AdminReply, Refusal> {
    issue(engine, client, order.into_record(fresh_id())).await
}

pub(crate) async fn delegate(
    engine: &Engine,
    client: &Registration,
    order: DelegateOrder,
) -> Result<AdminReply, Refusal> {
    let (table, parent) = (engine.clone(), order.parent);
    // A long table takes its time.
    let found = tokio::task::spawn_blocking(move || directory::grant(&table, parent)).await;
    let parent = found.map_err(|_| Refusal::new(ErrorCode::Internal, "the grants could not be read"))??;
    issue(engine, client, order.into_record(&parent, fresh_id())).await
}

async fn issue(engine: &Engine, client: &Registration, record: GrantRecord) -> Result<AdminReply, Refusal> {
    directory::require(engine, "user", &record.subject)?;
    directory::require(engine, "agent", &record.agent)?;
    let id = record.id;
    let revision = engine.grant(record, origin_of(client)).await?;
    Ok(AdminReply::Granted { id, revision })
}

pub(crate) async fn put(
    engine: &Engine,
    client: &Registration,
    entities: Vec<EntityRecord>,
) -> Result<AdminReply, Refusal> {
    let changes = entities.into_iter().map(Change::PutEntity).collect();
    let revision = engine.apply(changes, origin_of(client)).await?;
    Ok(AdminReply::Done { revision })
}

pub(crate) async fn events(
    engine: &Engine,
    client: &Registration,
    changes: Vec<Change>,
) -> Result<AdminReply, Refusal> {
    // Their own calls do more than append: an acknowledged revocation is enforced, a published set compiled.
    let own_call = changes.iter().find_map(|change| match change {
        Change::Revoke(_) => Some("revoke"),
        Change::StagePolicy(_) | Change::ActivatePolicy(_) => Some("policy_push"),
        _ => None,
    });
    if let Some(call) = own_call {
        let message = format!("this change has a call of its own: `{call}`");
        return Err(Refusal::of_field(ErrorCode::BadRequest, "changes", message));
    }
    let revision = engine.apply(changes, origin_of(client)).await?;
    Ok(AdminReply::Done { revision })
}

pub(crate) async fn push_policy(
    engine: &Engine,
    client: &Registration,
    set: PolicySetText,
) -> Result<AdminReply, Refusal> {
    let published = engine.publish_policy(set, origin_of(client)).await.map_err(|error| match error {
        PublishError::Refused(refusal) => refusal,
        PublishError::Invalid(errors) => Refusal::new(ErrorCode::PolicyInvalid, errors.to_string()),
    })?;
    Ok(AdminReply::PolicyPushed(PolicyPushed {
        hash: published.hash,
        policies: number(published.policies),
        revision: published.revision,
        warnings: published.warnings.iter().map(ToString::to_string).collect(),
    }))
}

fn fresh_id() -> GrantId {
    GrantId::from_bytes(*uuid::Uuid::now_v7().as_bytes())
}
