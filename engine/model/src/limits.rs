//! Bounds that more than one room keeps. Each names what it costs to exceed it.

use std::time::Duration;

/// Longest entity id in bytes; a longer one is refused where it is parsed.
pub const ID_BYTES_MAX: usize = 512;
/// Longest entity type name in bytes, namespaces included.
pub const TYPE_BYTES_MAX: usize = 256;
/// Deepest nesting of a [`crate::Value`]; a deeper one is refused where it is parsed.
pub const VALUE_DEPTH_MAX: usize = 32;
/// Most elements of one [`crate::Value`], nested ones included.
pub const VALUE_ELEMENTS_MAX: usize = 4_096;
/// Most agents in a session's chain.
pub const CHAIN_MAX: usize = 8;
/// Deepest delegation: how often a grant may be passed on.
pub const DELEGATION_DEPTH_MAX: u8 = 8;
/// Most bytes of raw input that one decision carries.
pub const INPUT_BYTES_MAX: usize = 4_096;
/// Most requests in one batch.
pub const BATCH_MAX: usize = 256;
/// Longest life of a session.
pub const SESSION_LIFE_MAX: Duration = Duration::from_secs(12 * 60 * 60);
/// Longest life of a session token before it must be refreshed.
pub const TOKEN_LIFE_MAX: Duration = Duration::from_secs(10 * 60);
/// How long a request that names a revision waits for it before `not_fresh`.
pub const FRESH_WAIT_MAX: Duration = Duration::from_millis(50);
/// Most ended sessions remembered; when full, new sessions are refused.
pub const TOMBSTONES_MAX: usize = 1_000_000;
/// Most attributes of one entity.
pub const ATTRIBUTES_MAX: usize = 256;
/// Most direct parents of one entity.
pub const PARENTS_MAX: usize = 1_024;
/// Most members that one membership change may add or remove.
pub const MEMBERS_PER_CHANGE_MAX: usize = 1_000_000;
/// Most entities that one engine holds.
pub const ENTITIES_MAX: usize = 16_000_000;
/// Most grants that one engine holds, ended ones included.
pub const GRANTS_MAX: usize = 4_000_000;
/// Most live sessions on one node.
pub const SESSIONS_MAX: usize = 4_000_000;
/// Most bytes of policy text and schema in one set.
pub const POLICY_BYTES_MAX: usize = 32 * 1024 * 1024;
