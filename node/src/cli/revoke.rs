//! `revoke` and `restore`.

use portcullis_client::admin::{AdminReply, AdminRequest, PrincipalKind, RevokeTarget, Revoked};
use portcullis_model::EntityUid;
use serde_json::{Value as Json, json};

use crate::cli::arguments::{Global, RestoreOrder, RevokeOrder};
use crate::cli::connection::{Connection, unexpected};
use crate::cli::{SCHEMA_VERSION, known, names, print, style};
use crate::exit::Exit;
use crate::output::Failure;
use crate::shell::Program;

/// Withdraws; when it returns, nothing is allowed against it any more.
pub(crate) fn revoke(global: &Global, order: &RevokeOrder) -> Result<Exit, Failure> {
    let connection = Connection::open(global)?;
    let reply = connection.call(&AdminRequest::Revoke { target: target(order) });
    let reply = reply.map_err(|failure| match order {
        RevokeOrder::User { uid } | RevokeOrder::Agent { uid } => known::or_nearest(&connection, failure, uid),
        _ => failure,
    })?;
    let AdminReply::Revoked(revoked) = reply else { return Err(unexpected()) };
    print(global.output, &revoked_json(&revoked), |_| revoked_text(order, &revoked, &global.program()))?;
    Ok(Exit::Ok)
}

/// Lifts an administrator's revocation.
pub(crate) fn restore(global: &Global, order: &RestoreOrder) -> Result<Exit, Failure> {
    let connection = Connection::open(global)?;
    let (kind, uid) = match order {
        RestoreOrder::User { uid } => (PrincipalKind::User, uid),
        RestoreOrder::Agent { uid } => (PrincipalKind::Agent, uid),
    };
    let reply = connection.call(&AdminRequest::Restore { kind, uid: uid.clone() });
    let AdminReply::Done { revision } = reply.map_err(|failure| known::or_nearest(&connection, failure, uid))? else {
        return Err(unexpected());
    };
    let document = json!({ "schema_version": SCHEMA_VERSION, "revision": revision });
    print(global.output, &document, |_| {
        format!("{} {} at revision {revision}; ended sessions stay ended", style::good("✔ restored"), uid.shown())
    })?;
    Ok(Exit::Ok)
}

fn target(order: &RevokeOrder) -> RevokeTarget {
    match order {
        RevokeOrder::Session { id } => RevokeTarget::Session { id: *id },
        RevokeOrder::User { uid } => RevokeTarget::User { uid: uid.clone() },
        RevokeOrder::Agent { uid } => RevokeTarget::Agent { uid: uid.clone() },
        RevokeOrder::Grant { id } => RevokeTarget::Grant { id: *id },
        RevokeOrder::Subtree { id } => RevokeTarget::Subtree { id: *id },
        RevokeOrder::Everything => RevokeTarget::Everything {},
    }
}

fn revoked_json(revoked: &Revoked) -> Json {
    json!({
        "schema_version": SCHEMA_VERSION,
        "revision": revoked.revision,
        "level": revoked.level,
        "sessions": revoked.sessions,
        "elapsed_us": revoked.elapsed_us,
    })
}

fn revoked_text(order: &RevokeOrder, revoked: &Revoked, program: &Program) -> String {
    let what = match order {
        RevokeOrder::Session { id } => id.to_string(),
        RevokeOrder::User { uid } | RevokeOrder::Agent { uid } => uid.shown(),
        RevokeOrder::Grant { id } => id.to_string(),
        RevokeOrder::Subtree { id } => format!("{id} and all below it"),
        RevokeOrder::Everything => "everything".to_owned(),
    };
    let sessions = match revoked.sessions {
        1 => "1 session ended".to_owned(),
        count => format!("{count} sessions ended"),
    };
    let elapsed = style::nanoseconds(revoked.elapsed_us.saturating_mul(1_000));
    let level = names::word(&revoked.level);
    let mut text = format!(
        "{} {what}: {level}, {sessions}, in {elapsed}, at revision {}",
        style::good("✔ revoked"),
        revoked.revision
    );
    let lift = match order {
        RevokeOrder::User { uid } => Some(program.line(&["restore", "user", &typed(uid, "User")])),
        RevokeOrder::Agent { uid } => Some(program.line(&["restore", "agent", &typed(uid, "Agent")])),
        _ => None,
    };
    if let Some(lift) = lift {
        text.push_str(&format!("\n  to lift it    {lift}"));
    }
    text
}

/// A principal as it is typed: by its id, unless another type was meant.
fn typed(uid: &EntityUid, entity_type: &str) -> String {
    if uid.entity_type().as_str() == entity_type && !uid.id().contains("::") {
        uid.id().to_owned()
    } else {
        uid.to_string()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use portcullis_client::admin::Enforcement;
    use portcullis_model::Revision;

    use super::*;

    const REVOKED: Revoked = Revoked {
        revision: Revision::new(1, 9),
        level: Enforcement::Enforced,
        sessions: 2,
        elapsed_us: 4_200,
        node_ns: 1,
    };

    #[test]
    fn json_has_what_scripts_rely_on() {
        let json = revoked_json(&REVOKED);
        assert_eq!(json["revision"], json!({"epoch": 1, "seq": 9}));
        assert_eq!(
            (&json["level"], &json["sessions"], &json["elapsed_us"]),
            (&json!("enforced"), &json!(2), &json!(4_200))
        );
    }

    #[test]
    fn text_says_how_far_it_reaches_and_how_to_lift_it() {
        let order = RevokeOrder::Agent { uid: "Agent::triage-bot".parse().unwrap() };
        let text = anstream::adapter::strip_str(&revoked_text(&order, &REVOKED, &Program::by_name())).to_string();
        assert_eq!(
            text,
            "✔ revoked Agent::triage-bot: enforced, 2 sessions ended, in 4.2 ms, at revision 1.9\n  to lift it    portcullis restore agent triage-bot"
        );
    }

    #[test]
    fn a_name_is_typed_so_that_it_is_read_back() {
        for (uid, entity_type, text) in [
            (EntityUid::of("User", "it's me"), "User", "it's me"),
            (EntityUid::of("Group", "staff"), "User", "Group::\"staff\""),
            (EntityUid::of("User", "a::b"), "User", "User::\"a::b\""),
        ] {
            assert_eq!(typed(&uid.unwrap(), entity_type), text);
        }
    }
}
