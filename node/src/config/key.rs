//! What one configuration key is.

/// One section of the file.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// Its name, for example `node`.
    pub name: &'static str,
    /// How often it may stand there.
    pub shape: Shape,
    /// What it is about, in one sentence.
    pub meaning: &'static str,
}

/// How often a section may stand in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Once: `[node]`. Only such sections are reached by environment and flags.
    Once,
    /// Once a name: `[class.NAME]`, at most so many.
    Named(usize),
    /// As a list: `[[client]]`, at most so many.
    Listed(usize),
}

/// One key of a section.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its section.
    pub section: &'static str,
    /// Its name within the section.
    pub name: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// What holds where nothing is said.
    pub default: Default,
    /// What it is, with unit.
    pub meaning: &'static str,
    /// What a wrong value costs.
    pub cost: &'static str,
}

/// What holds where nothing is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Default {
    /// This, written as in an environment variable.
    Is(&'static str),
    /// Nothing.
    Nothing,
    /// Something must be said.
    Required,
}

/// What values a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 1 to 64 of `a-z0-9._-`.
    Name,
    /// A text of 1 to 1,024 bytes.
    Text,
    /// A file or folder; a relative one counts from the folder of the file that says it, else from the
    /// working directory.
    Path,
    /// An IP address and port.
    Address,
    /// A whole number within bounds.
    Count(u64, u64),
    /// `true` or `false`.
    Flag,
    /// One of these.
    Choice(&'static [&'static str]),
    /// A list of these, not empty.
    Choices(&'static [&'static str]),
    /// A list of texts.
    Texts,
    /// One entity name, as Cedar writes it.
    Entity,
    /// One entity name or a list of them, each as Cedar writes it.
    Entities,
    /// An entity type.
    EntityType,
    /// A list of entity types.
    EntityTypes,
    /// A list of SHA-256 digests, 64 hexadecimal digits each.
    Digests,
    /// The same, of secrets: never shown.
    SecretDigests,
    /// `none`, `act`, or `{ client_claim = "CLAIM" }`.
    AgentProof,
}

impl Kind {
    /// The kind in words, for the reference and for mistakes.
    pub fn words(self) -> String {
        let quoted = |texts: &[&str]| texts.iter().map(|text| format!("`{text}`")).collect::<Vec<_>>().join(", ");
        match self {
            Self::Name => "a name of 1 to 64 of `a-z0-9._-`".to_owned(),
            Self::Text => "a text".to_owned(),
            Self::Path => "a path".to_owned(),
            Self::Address => "an IP address and port".to_owned(),
            Self::Count(min, max) => format!("a whole number from {min} to {max}"),
            Self::Flag => "`true` or `false`".to_owned(),
            Self::Choice(texts) => format!("one of {}", quoted(texts)),
            Self::Choices(texts) => format!("a list of {}", quoted(texts)),
            Self::Texts => "a list of texts".to_owned(),
            Self::Entities => "an entity or a list of entities, `Type::\"id\"`".to_owned(),
            Self::Entity => "an entity, `Type::\"id\"`".to_owned(),
            Self::EntityTypes => "a list of entity types".to_owned(),
            Self::EntityType => "an entity type".to_owned(),
            Self::Digests | Self::SecretDigests => "a list of SHA-256 digests in hexadecimal".to_owned(),
            Self::AgentProof => "`none`, `act`, or `{ client_claim = \"CLAIM\" }`".to_owned(),
        }
    }
}
