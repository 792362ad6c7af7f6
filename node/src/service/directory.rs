//! Finds what callers name, and what they probably meant.

use portcullis_directory::GrantState;
use portcullis_model::{EntityUid, ErrorCode, GrantId, GrantRecord, Refusal};
use portcullis_runtime::Engine;

use crate::output::{excerpt, nearest};

/// Whether an entity is stored; else a refusal with the nearest name of its type. `kind` is one word.
pub(crate) fn require(engine: &Engine, kind: &str, uid: &EntityUid) -> Result<(), Refusal> {
    if engine.is_stored(uid) { Ok(()) } else { Err(unknown(engine, kind, uid)) }
}

/// The refusal for a name that is not stored.
pub(crate) fn unknown(engine: &Engine, kind: &str, uid: &EntityUid) -> Refusal {
    let hint = near(engine, uid).map_or_else(String::new, |near| format!(": did you mean `{near}`?"));
    Refusal::of_field(ErrorCode::NotFound, kind, format!("no {kind} `{}`{hint}", excerpt(uid.id())))
}

/// The stored id of the same type that was probably meant.
pub(crate) fn near(engine: &Engine, uid: &EntityUid) -> Option<String> {
    let page = engine.entities(Some(uid.entity_type().as_str()), 0, NAMES_COMPARED_MAX);
    let ids = page.entities.iter().map(|(record, _)| record.uid.id());
    nearest(uid.id(), ids).map(str::to_owned)
}

/// The first grant that `wanted` accepts among the [`GRANTS_TOLD_MAX`] oldest, and how it stands. For
/// words only: a table of millions is not read for a sentence.
pub(crate) fn find_grant(
    engine: &Engine,
    wanted: impl Fn(&GrantRecord, GrantState) -> bool,
) -> Option<(GrantRecord, GrantState)> {
    let mut pages = each_page(engine).take(GRANTS_TOLD_MAX / GRANTS_PER_PAGE);
    pages.find_map(|page| page.into_iter().find(|(record, state)| wanted(record, *state)))
}

/// The grant of an id; else a refusal.
pub(crate) fn grant(engine: &Engine, id: GrantId) -> Result<GrantRecord, Refusal> {
    let found = each_page(engine).find_map(|page| page.into_iter().find(|(record, _)| record.id == id));
    let missing = || Refusal::of_field(ErrorCode::NotFound, "grant", format!("no grant `{id}`"));
    found.map(|(record, _)| record).ok_or_else(missing)
}

/// Every grant in the order in which they were issued, page by page: the folder is borrowed for one
/// page at a time, never for the whole table.
pub(crate) fn each_page(engine: &Engine) -> impl Iterator<Item = Vec<(GrantRecord, GrantState)>> + '_ {
    (0..)
        .map(|page: usize| engine.grants(page.saturating_mul(GRANTS_PER_PAGE), GRANTS_PER_PAGE))
        .take_while(|page| !page.is_empty())
}

/// Most names that a mistyped one is compared with. BOUND: each comparison takes about a microsecond.
const NAMES_COMPARED_MAX: usize = 10_000;
/// Grants copied at a time. BOUND: under a millisecond each, so that folding is not held up.
const GRANTS_PER_PAGE: usize = 1_024;
/// Most grants that are looked at for a sentence. BOUND: some ten milliseconds.
const GRANTS_TOLD_MAX: usize = 16_384;
