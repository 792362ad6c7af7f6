//! What a deciding thread copies into its ring: a block of fixed words, then the few variable bytes.

use portcullis_model::limits::{CHAIN_MAX, INPUT_BYTES_MAX};
use portcullis_model::{
    DecisionId, EntityIndex, EntityUid, ErrorCode, GrantId, Intent, Reason, Revision, SessionId, Timestamp, Verdict,
};

use crate::code::{intent_number, mode_number, verdict_number};
use crate::entry::Durability;
use crate::error::PushError;
use crate::limits::{CLIENT_BYTES_MAX, POLICIES_MAX};

/// One decision as the deciding thread knows it: numbers where there are numbers, borrowed bytes
/// where not. Pushing copies it; the writer's thread turns numbers into names and hashes the input.
#[derive(Clone, Copy, Debug)]
pub struct HotRecord<'a> {
    /// The decision.
    pub decision_id: DecisionId,
    /// When.
    pub time: Timestamp,
    /// The session.
    pub session: Option<SessionId>,
    /// Whose authority was asked about.
    pub subject: EntityIndex,
    /// The chain of agents, outermost first, at most [`CHAIN_MAX`].
    pub agents: &'a [EntityIndex],
    /// The action.
    pub action: Name<'a>,
    /// The resource.
    pub resource: Name<'a>,
    /// The verdict, or why there is none.
    pub outcome: Outcome,
    /// Revision of the World that decided.
    pub revision: Revision,
    /// Tag of the policy set, as [`crate::Names::policy`] knows it.
    pub policy_set: u32,
    /// The determining policies by number in that set, at most [`POLICIES_MAX`].
    pub policies: &'a [u32],
    /// Leaf of the grant path that covered it.
    pub grant: Option<GrantId>,
    /// What the caller was going to do.
    pub intent: Intent,
    /// Whether the answer waits for this record.
    pub mode: Durability,
    /// How long it took, in nanoseconds.
    pub latency_ns: u64,
    /// Name of the client's registration, at most [`CLIENT_BYTES_MAX`] bytes; may be empty.
    pub client: &'a str,
    /// The input as it was sent, at most [`INPUT_BYTES_MAX`] bytes.
    pub input: Option<&'a [u8]>,
}

/// An entity in a hot record.
#[derive(Clone, Copy, Debug)]
pub enum Name<'a> {
    /// By its number.
    Number(EntityIndex),
    /// By its name, for one that has no number.
    Uid(&'a EntityUid),
}

/// How an evaluation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With a verdict.
    Decision(Verdict, Reason),
    /// Without one.
    Error(ErrorCode),
}

impl HotRecord<'_> {
    /// Calls `push` with the parts of the encoded record. No allocation.
    #[inline]
    pub(crate) fn encode<T>(&self, push: impl FnOnce(&[&[u8]]) -> T) -> Result<T, PushError> {
        if self.agents.len() > CHAIN_MAX {
            return Err(PushError::Limit("agents"));
        }
        if self.policies.len() > POLICIES_MAX {
            return Err(PushError::Limit("policies"));
        }
        let client = length(self.client.as_bytes(), CLIENT_BYTES_MAX, "client")?;
        let input_bytes = length(self.input.unwrap_or_default(), INPUT_BYTES_MAX, "input")?;
        let mut block = Block { bytes: [0; HOT_HEAD_BYTES], at: 0 };
        let (outcome, code) = match self.outcome {
            Outcome::Decision(verdict, reason) => (verdict_number(verdict), reason.number()),
            Outcome::Error(code) => (OUTCOME_ERROR, code.number()),
        };
        let has = (u8::from(self.session.is_some()) * HAS_SESSION)
            | (u8::from(self.grant.is_some()) * HAS_GRANT)
            | (u8::from(self.input.is_some()) * HAS_INPUT);
        block.put([outcome, has]);
        block.put(code.to_le_bytes());
        // Both counts are at most eight, checked above.
        let [agents, policies] = [self.agents.len(), self.policies.len()].map(|count| u8::try_from(count).unwrap_or(0));
        block.put([intent_number(self.intent), mode_number(self.mode), agents, policies]);
        block.put(self.decision_id.to_bytes());
        block.put(self.session.map_or([0; 16], SessionId::to_bytes));
        block.put(self.grant.map_or([0; 16], GrantId::to_bytes));
        block.put(self.time.as_millis().to_le_bytes());
        block.put(self.latency_ns.to_le_bytes());
        block.put(self.revision.seq.to_le_bytes());
        block.put(self.revision.epoch.to_le_bytes());
        block.put(self.subject.number().to_le_bytes());
        for place in 0..CHAIN_MAX {
            block.put(self.agents.get(place).map_or(0, |agent| agent.number()).to_le_bytes());
        }
        block.put(self.policy_set.to_le_bytes());
        for place in 0..POLICIES_MAX {
            block.put(self.policies.get(place).copied().unwrap_or(0).to_le_bytes());
        }
        let action = block.name(self.action);
        let resource = block.name(self.resource);
        block.put(client.to_le_bytes());
        block.put(input_bytes.to_le_bytes());
        block.put([0; 4]);
        let [action_type, action_id] = action;
        let [resource_type, resource_id] = resource;
        Ok(push(&[
            &block.bytes,
            action_type,
            action_id,
            resource_type,
            resource_id,
            self.client.as_bytes(),
            self.input.unwrap_or_default(),
        ]))
    }
}

fn length(bytes: &[u8], limit: usize, field: &'static str) -> Result<u16, PushError> {
    u16::try_from(bytes.len()).ok().filter(|_| bytes.len() <= limit).ok_or(PushError::Limit(field))
}

struct Block {
    bytes: [u8; HOT_HEAD_BYTES],
    at: usize,
}

impl Block {
    #[inline]
    fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        // INVARIANT: the calls above put exactly `HOT_HEAD_BYTES`; the round trip test holds them to it.
        if let Some(place) = self.bytes.get_mut(self.at..self.at + N) {
            place.copy_from_slice(&bytes);
        }
        self.at += N;
    }

    /// Puts a name as type length and id length, or as [`NUMBER`] and its number, and returns the texts.
    #[inline]
    fn name<'a>(&mut self, name: Name<'a>) -> [&'a [u8]; 2] {
        match name {
            Name::Number(number) => {
                self.put(NUMBER.to_le_bytes());
                self.put(number.number().to_le_bytes());
                [&[], &[]]
            }
            Name::Uid(uid) => {
                let texts = [uid.entity_type().as_str().as_bytes(), uid.id().as_bytes()];
                // Uids are at most 768 bytes long by construction.
                let [entity_type, id] = texts.map(|text| u16::try_from(text.len()).unwrap_or(0));
                self.put(entity_type.to_le_bytes());
                self.put(u32::from(id).to_le_bytes());
                texts
            }
        }
    }
}

/// Type length of a name that is a number.
pub(crate) const NUMBER: u16 = u16::MAX;
/// In place of a verdict's number.
pub(crate) const OUTCOME_ERROR: u8 = 0;
pub(crate) const HAS_SESSION: u8 = 1;
pub(crate) const HAS_GRANT: u8 = 2;
pub(crate) const HAS_INPUT: u8 = 4;
/// Bytes before the variable ones, a multiple of 8, and so the least that a record takes of a ring.
pub(crate) const HOT_HEAD_BYTES: usize = 8 + 3 * 16 + 3 * 8 + 4 + 4 + 4 * CHAIN_MAX + 4 + 4 * POLICIES_MAX + 2 * 6 + 8;
