//! Questions and answers.

use portcullis_model::limits::INPUT_BYTES_MAX;
use portcullis_model::{Intent, Reason, Revision, Verdict};
use rkyv::{Archive, Deserialize, Serialize};

use crate::error::WireError;
use crate::kind::FrameKind;
use crate::payload::Payload;

/// What a decision shall tell besides verdict, reason and revision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Want {
    /// Nothing: the fastest.
    #[default]
    Verdict,
    /// The determining policies and where they stand.
    Policies,
}

impl Want {
    pub(super) const fn number(self) -> u8 {
        match self {
            Self::Verdict => 0,
            Self::Policies => 1,
        }
    }

    pub(super) const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Verdict),
            1 => Some(Self::Policies),
            _ => None,
        }
    }
}

/// A revision as it travels; epoch 0 stands for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct RevisionV1 {
    /// Sequence number.
    pub seq: u64,
    /// Epoch.
    pub epoch: u32,
}

impl From<Revision> for RevisionV1 {
    fn from(revision: Revision) -> Self {
        Self { seq: revision.seq, epoch: revision.epoch }
    }
}

impl From<Option<Revision>> for RevisionV1 {
    fn from(revision: Option<Revision>) -> Self {
        revision.map_or_else(Self::default, Self::from)
    }
}

impl RevisionV1 {
    /// The revision, or `None` for epoch 0.
    pub const fn to_revision(self) -> Option<Revision> {
        if self.epoch == 0 { None } else { Some(Revision::new(self.epoch, self.seq)) }
    }
}

impl ArchivedRevisionV1 {
    /// The revision, or `None` for epoch 0.
    #[inline]
    pub const fn to_revision(&self) -> Option<Revision> {
        RevisionV1 { seq: self.seq.to_native(), epoch: self.epoch.to_native() }.to_revision()
    }
}

/// What a question carries besides names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct DetailsV1 {
    /// 0 preview, 1 perform.
    pub intent: u8,
    /// 0 verdict only, 1 with policies.
    pub want: u8,
    /// The tool's input, a JSON object; empty for none. At most [`INPUT_BYTES_MAX`].
    pub input: Vec<u8>,
    /// The context, a JSON object in Cedar's form; empty for none.
    pub context: Vec<u8>,
    /// Attributes of the resource that the request owns, a JSON object in Cedar's form; empty for none.
    pub attributes: Vec<u8>,
}

impl DetailsV1 {
    pub(super) fn validate(&self) -> Result<(), WireError> {
        check_details(self.intent, self.want, self.input.len()).map(drop)
    }
}

impl ArchivedDetailsV1 {
    /// The intent and what is wanted.
    ///
    /// # Errors
    /// [`WireError::Field`] for an unknown number or an input that is too long.
    #[inline]
    pub fn check(&self) -> Result<(Intent, Want), WireError> {
        check_details(self.intent, self.want, self.input.len())
    }
}

fn check_details(intent: u8, want: u8, input_bytes: usize) -> Result<(Intent, Want), WireError> {
    let intent = match intent {
        0 => Intent::Preview,
        1 => Intent::Perform,
        _ => return Err(WireError::field("intent", "is not a known intent number")),
    };
    let want = Want::from_number(want).ok_or(WireError::field("want", "is not a known number"))?;
    if input_bytes > INPUT_BYTES_MAX {
        return Err(WireError::field("input", "is longer than 4096 bytes"));
    }
    Ok((intent, want))
}

/// One question with registered names: the hot frame. Answered by [`DecisionV1`].
#[derive(Clone, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct DecideV1 {
    /// The session's handle.
    pub session: u64,
    /// The revision that the answer must have seen.
    pub at_least: RevisionV1,
    /// Registered number of the action's name.
    pub action: u32,
    /// Registered number of the resource's name.
    pub resource: u32,
    /// The rest.
    pub details: DetailsV1,
}

impl Payload for DecideV1 {
    const KIND: FrameKind = FrameKind::Decide;

    fn validate(&self) -> Result<(), WireError> {
        self.details.validate()
    }
}

/// One question with names as text. Answered by [`DecisionV1`].
#[derive(Clone, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct DecideTextV1 {
    /// The session's handle.
    pub session: u64,
    /// The revision that the answer must have seen.
    pub at_least: RevisionV1,
    /// The action, in Cedar's form.
    pub action: String,
    /// The resource, in Cedar's form.
    pub resource: String,
    /// The rest.
    pub details: DetailsV1,
}

impl Payload for DecideTextV1 {
    const KIND: FrameKind = FrameKind::DecideText;

    fn validate(&self) -> Result<(), WireError> {
        super::action_and_resource(&self.action, &self.resource)?;
        self.details.validate()
    }
}

/// A policy and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct PolicyV1 {
    /// Its id.
    pub id: String,
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
}

/// An answer at one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct DecisionV1 {
    /// The decision's id.
    pub id: [u8; 16],
    /// The revision: sequence number.
    pub seq: u64,
    /// Place of its audit record in the node's audit log; 0 where auditing is off.
    pub audit_seq: u64,
    /// The node's monotonic clock when the answer was written, in nanoseconds.
    pub node_ns: u64,
    /// The revision: epoch.
    pub epoch: u32,
    /// How long the answer may be reused, in milliseconds; 0, the only value yet, for not at all.
    pub ttl_ms: u32,
    /// Number of the [`Reason`].
    pub reason: u16,
    /// 1 allow, 2 deny, 3 suspend.
    pub verdict: u8,
    /// One sufficient set of determining policies, where asked for.
    pub policies: Vec<PolicyV1>,
    /// What the enforcement point must do besides.
    pub obligations: Vec<String>,
}

impl Payload for DecisionV1 {
    const KIND: FrameKind = FrameKind::Decision;

    fn validate(&self) -> Result<(), WireError> {
        check_verdict(self.verdict, self.reason).map(drop)
    }
}

/// The verdict's number, as frames carry it.
pub(super) const fn verdict_number(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Allow => 1,
        Verdict::Deny => 2,
        Verdict::Suspend => 3,
    }
}

/// Verdict and reason of their numbers. An allow with a reason to deny, or a denial with the reason
/// `permitted`, is a defect of the peer and no decision.
pub(super) fn check_verdict(verdict: u8, reason: u16) -> Result<(Verdict, Reason), WireError> {
    let verdict = match verdict {
        1 => Verdict::Allow,
        2 => Verdict::Deny,
        3 => Verdict::Suspend,
        _ => return Err(WireError::field("verdict", "is not a known verdict number")),
    };
    let reason = Reason::from_number(reason).ok_or(WireError::field("reason", "is not a known reason number"))?;
    if (verdict == Verdict::Allow) != (reason == Reason::Permitted) {
        return Err(WireError::field("reason", "contradicts the verdict"));
    }
    Ok((verdict, reason))
}
