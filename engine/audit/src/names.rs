//! How dense numbers become names again, before anything is written.

use portcullis_model::{EntityIndex, EntityUid, PolicyRef};

/// Asked by the writer's thread for every number in a hot record. Answers must not depend on when
/// they are asked: a name keeps its number for the life of the process, and a policy set keeps its
/// tag until every record that names it has been written.
pub trait Names: Send + Sync {
    /// The name of an entity; an unknown number is stored as `Unresolved::"<number>"`.
    fn entity(&self, entity: EntityIndex) -> Option<EntityUid>;

    /// Policy number `policy` of the set tagged `set`; an unknown one is stored with the id
    /// `#<set>/<number>` and no file.
    fn policy(&self, set: u32, policy: u32) -> Option<PolicyRef>;
}
