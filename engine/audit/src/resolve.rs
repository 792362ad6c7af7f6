//! Turns a hot record into a stored entry: numbers into names, the input into its hash.

use portcullis_model::limits::CHAIN_MAX;
use portcullis_model::{EntityIndex, PolicyRef, Revision, Timestamp};

use crate::code::{EntryWriter, Tag, intent_of, mode_of, verdict_of};
use crate::entry::{Durability, EntryKind, InputDigest};
use crate::hot::{HAS_GRANT, HAS_INPUT, HAS_SESSION, NUMBER, OUTCOME_ERROR};
use crate::limits::POLICIES_MAX;
use crate::names::Names;

/// Appends the stored form of the record in `hot` to `out` and says what its caller was promised;
/// `None`, with `out` in any state, for bytes that no producer wrote.
pub(crate) fn resolve(hot: &[u8], names: &dyn Names, out: &mut Vec<u8>) -> Option<Durability> {
    let mut words = Words(hot);
    let [outcome, has] = words.take()?;
    let code: [u8; 2] = words.take()?;
    let [intent, mode, agents, policies] = words.take()?;
    let decision_id: [u8; 16] = words.take()?;
    let session: [u8; 16] = words.take()?;
    let grant: [u8; 16] = words.take()?;
    let time = Timestamp::from_millis(words.u64()?);
    let latency: [u8; 8] = words.take()?;
    let seq = words.u64()?;
    let revision = Revision::new(words.u32()?, seq);
    let kind = if outcome == OUTCOME_ERROR { EntryKind::Error } else { EntryKind::Decision };

    let mut writer = EntryWriter::begin(out, kind, time);
    writer.field(Tag::DecisionId, &[&decision_id]);
    if outcome == OUTCOME_ERROR {
        writer.field(Tag::Code, &[&code]);
    } else {
        writer.verdict(verdict_of(outcome)?);
        writer.field(Tag::Reason, &[&code]);
    }
    if has & HAS_SESSION != 0 {
        writer.field(Tag::Session, &[&session]);
    }
    if has & HAS_GRANT != 0 {
        writer.field(Tag::Grant, &[&grant]);
    }
    entity(&mut writer, Tag::Subject, words.u32()?, names);
    for place in 0..CHAIN_MAX {
        let agent = words.u32()?;
        if place < usize::from(agents) {
            entity(&mut writer, Tag::Agent, agent, names);
        }
    }
    let set = words.u32()?;
    for place in 0..POLICIES_MAX {
        let number = words.u32()?;
        if place < usize::from(policies) {
            policy(&mut writer, set, number, names);
        }
    }
    let [action, resource] = [(words.u16()?, words.u32()?), (words.u16()?, words.u32()?)];
    let [client, input] = [words.u16()?, words.u16()?];
    let _padding: [u8; 4] = words.take()?;
    name(&mut writer, Tag::Action, action, &mut words, names)?;
    name(&mut writer, Tag::Resource, resource, &mut words, names)?;
    let client = words.bytes(usize::from(client))?;
    if !client.is_empty() {
        writer.field(Tag::Client, &[client]);
    }
    let input = words.bytes(usize::from(input))?;
    if has & HAS_INPUT != 0 {
        writer.field(Tag::InputDigest, &[&InputDigest::of(input).to_bytes()]);
    }
    writer.revision(revision);
    writer.intent(intent_of(intent)?);
    writer.field(Tag::Latency, &[&latency]);
    let mode = mode_of(mode)?;
    writer.mode(mode);
    Some(mode)
}

fn entity(writer: &mut EntryWriter<'_>, tag: Tag, number: u32, names: &dyn Names) {
    match names.entity(EntityIndex::new(number)) {
        Some(uid) => writer.uid(tag, &uid),
        None => writer.name(tag, UNRESOLVED, &number.to_string()),
    }
}

fn policy(writer: &mut EntryWriter<'_>, set: u32, number: u32, names: &dyn Names) {
    let unknown = || PolicyRef { id: format!("#{set}/{number}").into(), file: "".into(), line: 0 };
    writer.policy(&names.policy(set, number).unwrap_or_else(unknown));
}

/// Writes a name: its number resolved, or the texts that follow the block.
fn name(
    writer: &mut EntryWriter<'_>,
    tag: Tag,
    (entity_type, id): (u16, u32),
    words: &mut Words<'_>,
    names: &dyn Names,
) -> Option<()> {
    if entity_type == NUMBER {
        entity(writer, tag, id, names);
        return Some(());
    }
    let entity_type = std::str::from_utf8(words.bytes(usize::from(entity_type))?).ok()?;
    let id = std::str::from_utf8(words.bytes(usize::try_from(id).ok()?)?).ok()?;
    writer.name(tag, entity_type, id);
    Some(())
}

/// Reads a block from its front.
struct Words<'a>(&'a [u8]);

impl<'a> Words<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (chunk, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*chunk)
    }

    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
}

/// Type of an entity whose number nobody could name.
const UNRESOLVED: &str = "Unresolved";
