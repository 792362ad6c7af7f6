//! Names that do not exist, told with the nearest that does.

use portcullis_client::admin::{AdminReply, AdminRequest, EntityQuery};
use portcullis_model::{EntityUid, ErrorCode};

use crate::cli::connection::Connection;
use crate::output::Failure;

/// What was not found, with the nearest name of its type; `failure` where the names cannot be read
/// or it is not about a name.
pub(crate) fn or_nearest(connection: &Connection, failure: Failure, uid: &EntityUid) -> Failure {
    if failure.code != ErrorCode::NotFound.code() {
        return failure;
    }
    let known = names(connection, uid);
    if known.is_empty() || known.iter().any(|name| name == uid.id()) {
        return failure;
    }
    unknown(uid, &known)
}

/// The first of some principals that is not stored, as a failure with the nearest name.
pub(crate) fn first_unknown<'a>(
    connection: &Connection,
    uids: impl IntoIterator<Item = &'a EntityUid>,
) -> Option<Failure> {
    uids.into_iter().find_map(|uid| {
        let known = names(connection, uid);
        (!known.iter().any(|name| name == uid.id())).then(|| unknown(uid, &known))
    })
}

fn unknown(uid: &EntityUid, known: &[String]) -> Failure {
    let kind = uid.entity_type().as_str().to_lowercase();
    Failure::unknown(&kind, uid.id(), known.iter().map(String::as_str))
}

/// The ids of stored entities of the same type, as far as the caller may see them.
fn names(connection: &Connection, like: &EntityUid) -> Vec<String> {
    let mut names = Vec::new();
    let mut after = None;
    for _ in 0..PAGES_MAX {
        let query = EntityQuery { entity_type: Some(like.entity_type().clone()), limit: 0, after: after.take() };
        let Ok(AdminReply::Entities(page)) = connection.call(&AdminRequest::EntityList(query)) else { break };
        names.extend(page.entities.iter().map(|view| view.entity.uid.id().to_owned()));
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    names
}

/// Most pages of names that are compared: a typing mistake is not worth reading a whole directory.
const PAGES_MAX: usize = 10;
