//! The stored form of an entry: a fixed head, then fields as tag, length and bytes.
//!
//! All numbers are little-endian. Head, 32 bytes: schema u8, kind u8, zero u16, worker u32, number
//! u64, worker number u64, time u64. Field: tag u8, length u16, bytes. A reader skips tags that it
//! does not know; tags are never reused. Names are stored as type length u16, type, id.

use std::sync::Arc;

use portcullis_model::{
    DecisionId, EntityUid, ErrorCode, EventId, GrantId, Intent, PolicyRef, Reason, Revision, SessionId, Timestamp,
    Verdict, limits::CHAIN_MAX,
};
use serde_json::Value as Json;

use crate::change::detail_text;
use crate::entry::{AuditEntry, Durability, Entry, EntryKind, InputDigest, SCHEMA_VERSION, cut};
use crate::limits::{BY_BYTES_MAX, CLIENT_BYTES_MAX, DETAIL_BYTES_MAX, POLICIES_MAX, POLICY_TEXT_BYTES_MAX};

/// Appends one entry's fields to a buffer.
pub(crate) struct EntryWriter<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> EntryWriter<'a> {
    /// Begins an entry at the end of `out`. Its number is set by [`number`].
    pub(crate) fn begin(out: &'a mut Vec<u8>, kind: EntryKind, time: Timestamp) -> Self {
        out.extend_from_slice(&[SCHEMA_VERSION, kind.number(), 0, 0]);
        out.extend_from_slice(&[0; 20]);
        out.extend_from_slice(&time.as_millis().to_le_bytes());
        Self { out }
    }

    pub(crate) fn field(&mut self, tag: Tag, parts: &[&[u8]]) {
        let length = parts.iter().map(|part| part.len()).sum::<usize>();
        // INVARIANT: every field is cut to far less than 64 KiB before it comes here.
        let length = u16::try_from(length).unwrap_or(u16::MAX);
        self.out.push(tag.number());
        self.out.extend_from_slice(&length.to_le_bytes());
        parts.iter().for_each(|part| self.out.extend_from_slice(part));
    }

    pub(crate) fn uid(&mut self, tag: Tag, uid: &EntityUid) {
        self.name(tag, uid.entity_type().as_str(), uid.id());
    }

    pub(crate) fn name(&mut self, tag: Tag, entity_type: &str, id: &str) {
        let type_bytes = u16::try_from(entity_type.len()).unwrap_or(0).to_le_bytes();
        self.field(tag, &[&type_bytes, entity_type.as_bytes(), id.as_bytes()]);
    }

    pub(crate) fn policy(&mut self, policy: &PolicyRef) {
        let id = cut(&policy.id, POLICY_TEXT_BYTES_MAX);
        let file = cut(&policy.file, POLICY_TEXT_BYTES_MAX);
        let id_bytes = u16::try_from(id.len()).unwrap_or(0).to_le_bytes();
        self.field(Tag::Policy, &[&policy.line.to_le_bytes(), &id_bytes, id.as_bytes(), file.as_bytes()]);
    }

    pub(crate) fn revision(&mut self, revision: Revision) {
        self.field(Tag::Revision, &[&revision.epoch.to_le_bytes(), &revision.seq.to_le_bytes()]);
    }

    pub(crate) fn verdict(&mut self, verdict: Verdict) {
        self.field(Tag::Verdict, &[&[verdict_number(verdict)]]);
    }

    pub(crate) fn intent(&mut self, intent: Intent) {
        self.field(Tag::Intent, &[&[intent_number(intent)]]);
    }

    pub(crate) fn mode(&mut self, mode: Durability) {
        self.field(Tag::Mode, &[&[mode_number(mode)]]);
    }
}

/// Appends `entry` in its stored form, number still zero. What is longer than its limit is cut.
pub(crate) fn encode(entry: &Entry, out: &mut Vec<u8>) {
    let mut writer = EntryWriter::begin(out, entry.kind, entry.time);
    let id = |id: Option<[u8; 16]>, tag: Tag, writer: &mut EntryWriter<'_>| {
        if let Some(bytes) = id {
            writer.field(tag, &[&bytes]);
        }
    };
    id(entry.decision_id.map(DecisionId::to_bytes), Tag::DecisionId, &mut writer);
    id(entry.session.map(SessionId::to_bytes), Tag::Session, &mut writer);
    id(entry.grant.map(GrantId::to_bytes), Tag::Grant, &mut writer);
    id(entry.event.map(EventId::to_bytes), Tag::Event, &mut writer);
    entry.verdict.into_iter().for_each(|verdict| writer.verdict(verdict));
    entry.reason.into_iter().for_each(|reason| writer.field(Tag::Reason, &[&reason.number().to_le_bytes()]));
    entry.code.into_iter().for_each(|code| writer.field(Tag::Code, &[&code.number().to_le_bytes()]));
    entry.subject.iter().for_each(|uid| writer.uid(Tag::Subject, uid));
    entry.chain.iter().take(CHAIN_MAX).for_each(|uid| writer.uid(Tag::Agent, uid));
    entry.action.iter().for_each(|uid| writer.uid(Tag::Action, uid));
    entry.resource.iter().for_each(|uid| writer.uid(Tag::Resource, uid));
    if let Some(client) = &entry.client {
        writer.field(Tag::Client, &[cut(client, CLIENT_BYTES_MAX).as_bytes()]);
    }
    entry.input_digest.iter().for_each(|digest| writer.field(Tag::InputDigest, &[&digest.to_bytes()]));
    entry.policies.iter().take(POLICIES_MAX).for_each(|policy| writer.policy(policy));
    entry.revision.into_iter().for_each(|revision| writer.revision(revision));
    entry.intent.into_iter().for_each(|intent| writer.intent(intent));
    entry.mode.into_iter().for_each(|mode| writer.mode(mode));
    entry.latency_ns.into_iter().for_each(|span| writer.field(Tag::Latency, &[&span.to_le_bytes()]));
    if let Some(by) = &entry.by {
        writer.field(Tag::By, &[cut(by, BY_BYTES_MAX).as_bytes()]);
    }
    if let Some(detail) = &entry.detail {
        writer.field(Tag::Detail, &[detail_text(detail, DETAIL_BYTES_MAX).as_bytes()]);
    }
}

/// Sets the place of an entry in its stored form.
pub(crate) fn number(stored: &mut [u8], number: u64, worker: u32, worker_number: u64) {
    if let Some(place) = stored.get_mut(4..24) {
        place[..4].copy_from_slice(&worker.to_le_bytes());
        place[4..12].copy_from_slice(&number.to_le_bytes());
        place[12..].copy_from_slice(&worker_number.to_le_bytes());
    }
}

/// The entry of its stored form; `None` for bytes that are none. Never panics.
pub(crate) fn decode(stored: &[u8]) -> Option<AuditEntry> {
    let (head, mut fields) = stored.split_at_checked(HEAD_BYTES)?;
    let schema_version = *head.first().filter(|version| **version == SCHEMA_VERSION)?;
    let kind = EntryKind::from_number(*head.get(1)?)?;
    let mut entry = Entry::new(kind, Timestamp::from_millis(u64_at(head, 24)?));
    while !fields.is_empty() {
        let length = usize::from(u16_at(fields, 1)?);
        let (field, rest) = fields.get(3..)?.split_at_checked(length)?;
        if let Some(tag) = Tag::from_number(*fields.first()?) {
            read_field(&mut entry, tag, field)?;
        }
        fields = rest;
    }
    Some(AuditEntry {
        schema_version,
        worker: u32_at(head, 4)?,
        number: u64_at(head, 8)?,
        worker_number: u64_at(head, 16)?,
        entry,
    })
}

fn read_field(entry: &mut Entry, tag: Tag, field: &[u8]) -> Option<()> {
    match tag {
        Tag::DecisionId => entry.decision_id = Some(DecisionId::from_bytes(field.try_into().ok()?)),
        Tag::Session => entry.session = Some(SessionId::from_bytes(field.try_into().ok()?)),
        Tag::Grant => entry.grant = Some(GrantId::from_bytes(field.try_into().ok()?)),
        Tag::Event => entry.event = Some(EventId::from_bytes(field.try_into().ok()?)),
        Tag::Verdict => entry.verdict = verdict_of(*field.first()?),
        Tag::Reason => entry.reason = Reason::from_number(u16_at(field, 0)?),
        Tag::Code => entry.code = ErrorCode::from_number(u16_at(field, 0)?),
        Tag::Subject => entry.subject = Some(uid_of(field)?),
        Tag::Agent => entry.chain.push(uid_of(field)?),
        Tag::Action => entry.action = Some(uid_of(field)?),
        Tag::Resource => entry.resource = Some(uid_of(field)?),
        Tag::Client => entry.client = Some(text_of(field)?.to_owned()),
        Tag::InputDigest => entry.input_digest = Some(InputDigest::from_bytes(field.try_into().ok()?)),
        Tag::Policy => entry.policies.push(policy_of(field)?),
        Tag::Revision => entry.revision = Some(Revision::new(u32_at(field, 0)?, u64_at(field, 4)?)),
        Tag::Intent => entry.intent = intent_of(*field.first()?),
        Tag::Mode => entry.mode = mode_of(*field.first()?),
        Tag::Latency => entry.latency_ns = Some(u64_at(field, 0)?),
        Tag::By => entry.by = Some(text_of(field)?.to_owned()),
        Tag::Detail => entry.detail = Some(detail_of(text_of(field)?)),
    }
    Some(())
}

fn uid_of(field: &[u8]) -> Option<EntityUid> {
    let (entity_type, id) = field.get(2..)?.split_at_checked(usize::from(u16_at(field, 0)?))?;
    EntityUid::of(text_of(entity_type)?, text_of(id)?).ok()
}

fn policy_of(field: &[u8]) -> Option<PolicyRef> {
    let (id, file) = field.get(6..)?.split_at_checked(usize::from(u16_at(field, 4)?))?;
    Some(PolicyRef { id: Arc::from(text_of(id)?), file: Arc::from(text_of(file)?), line: u32_at(field, 0)? })
}

/// Details nested deeper than the parser goes are shown as the text they are.
fn detail_of(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|_| Json::String(text.to_owned()))
}

fn text_of(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|chunk| u16::from_le_bytes(*chunk))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|chunk| u32::from_le_bytes(*chunk))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|chunk| u64::from_le_bytes(*chunk))
}

pub(crate) const fn verdict_number(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Allow => 1,
        Verdict::Deny => 2,
        Verdict::Suspend => 3,
    }
}

pub(crate) const fn verdict_of(number: u8) -> Option<Verdict> {
    match number {
        1 => Some(Verdict::Allow),
        2 => Some(Verdict::Deny),
        3 => Some(Verdict::Suspend),
        _ => None,
    }
}

pub(crate) const fn intent_number(intent: Intent) -> u8 {
    match intent {
        Intent::Preview => 1,
        Intent::Perform => 2,
    }
}

pub(crate) const fn intent_of(number: u8) -> Option<Intent> {
    match number {
        1 => Some(Intent::Preview),
        2 => Some(Intent::Perform),
        _ => None,
    }
}

pub(crate) const fn mode_number(mode: Durability) -> u8 {
    match mode {
        Durability::Buffered => 1,
        Durability::Durable => 2,
    }
}

pub(crate) const fn mode_of(number: u8) -> Option<Durability> {
    match number {
        1 => Some(Durability::Buffered),
        2 => Some(Durability::Durable),
        _ => None,
    }
}

macro_rules! tags {
    ($($name:ident = $number:literal;)*) => {
        /// What a field holds.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Tag { $($name,)* }

        impl Tag {
            const fn number(self) -> u8 {
                match self { $(Self::$name => $number,)* }
            }

            const fn from_number(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$name),)* _ => None }
            }
        }
    };
}

tags! {
    DecisionId = 1;
    Verdict = 2;
    Reason = 3;
    Code = 4;
    Subject = 5;
    Agent = 6;
    Session = 7;
    Client = 8;
    Action = 9;
    Resource = 10;
    InputDigest = 11;
    Policy = 12;
    Grant = 13;
    Revision = 14;
    Intent = 15;
    Mode = 16;
    Latency = 17;
    By = 18;
    Event = 19;
    Detail = 20;
}

/// Bytes before the first field.
pub(crate) const HEAD_BYTES: usize = 32;
