//! From files to policies with ids and places.

use std::collections::HashMap;
use std::sync::Arc;

use cedar_policy::{PolicyId, PolicySet};
use portcullis_model::PolicySetText;
use portcullis_model::limits::{ID_BYTES_MAX, POLICY_BYTES_MAX};

use crate::diagnostic::{Problems, Severity, Source};
use crate::limits::POLICIES_MAX;
use crate::scan::{Dialect, Statement, scan};

/// The texts of a set, files by name.
pub(crate) struct Sources<'a> {
    pub(crate) schema: Source<'a>,
    pub(crate) files: Vec<Source<'a>>,
}

impl<'a> Sources<'a> {
    pub(crate) fn new(text: &'a PolicySetText) -> Self {
        let mut files: Vec<_> = text.files.iter().collect();
        files.sort_by(|a, b| a.name.cmp(&b.name));
        let files = files.into_iter().map(|file| Source::new(&file.name, &file.text)).collect();
        Self { schema: Source::new(&text.schema.name, &text.schema.text), files }
    }

    /// The statements of each file; `None` if a bound is exceeded, for then nothing may be parsed.
    pub(crate) fn scan(&self, problems: &mut Problems) -> Option<Vec<Vec<Statement>>> {
        let sources = || std::iter::once(&self.schema).chain(&self.files);
        let bytes = sources().map(|source| source.text.len()).fold(0, usize::saturating_add);
        if bytes > POLICY_BYTES_MAX {
            let message = format!("schema and policies have {bytes} bytes, the limit is {POLICY_BYTES_MAX}");
            problems.push(self.schema.error(0..0, message));
            return None;
        }
        for (first, second) in self.files.iter().zip(self.files.iter().skip(1)) {
            if first.file == second.file {
                problems.push(second.error(0..0, "two files have this name"));
            }
        }
        if let Err(deep) = scan(self.schema.text, Dialect::Schema) {
            problems.push(self.schema.error(deep.span(), deep.message()));
        }
        let mut scanned = Vec::with_capacity(self.files.len());
        let mut count: usize = 0;
        for source in &self.files {
            match scan(source.text, Dialect::Policy) {
                Ok(statements) => {
                    count = count.saturating_add(statements.len());
                    scanned.push(statements);
                }
                Err(deep) => problems.push(source.error(deep.span(), deep.message())),
            }
        }
        if count > POLICIES_MAX {
            problems.push(self.schema.error(0..0, format!("there are {count} policies, the limit is {POLICIES_MAX}")));
        }
        (!problems.has_errors()).then_some(scanned)
    }
}

/// A parsed policy and where it is.
pub(crate) struct Parsed {
    pub(crate) policy: cedar_policy::Policy,
    pub(crate) id: Arc<str>,
    /// Position of its file.
    pub(crate) file: usize,
    pub(crate) statement: Statement,
}

/// The policies of every file that parses, in order.
pub(crate) fn parse(sources: &Sources<'_>, scanned: &[Vec<Statement>], problems: &mut Problems) -> Vec<Parsed> {
    let mut parsed: Vec<Parsed> = Vec::new();
    let mut first_of: HashMap<Arc<str>, usize> = HashMap::new();
    let mut counted = 0;
    for (file, (source, statements)) in sources.files.iter().zip(scanned).enumerate() {
        let set: PolicySet = match source.text.parse() {
            Ok(set) => set,
            Err(error) => {
                problems.extend(source.report(Severity::Error, &error, 0, 0..0));
                continue;
            }
        };
        for (position, statement) in statements.iter().enumerate() {
            let cedar_id = PolicyId::new(format!("policy{position}"));
            let Some(policy) = set.policy(&cedar_id) else {
                let message = "this is a template: templates are not supported, write a policy";
                problems.push(source.error(statement.span.clone(), message));
                continue;
            };
            check_annotations(policy, source, statement, problems);
            let id: Arc<str> = match policy.annotation("id") {
                Some(id) => id.into(),
                None => format!("policy{}", counted + position).into(),
            };
            if id.is_empty() || id.len() > ID_BYTES_MAX {
                let message = format!("an `@id` has 1 to {ID_BYTES_MAX} bytes");
                problems.push(source.error(statement.span.clone(), message));
                continue;
            }
            if let Some(first) = first_of.get(&id).and_then(|first| parsed.get(*first)) {
                let other = sources.files.get(first.file).map_or("", |source| &source.file);
                let line = sources.files.get(first.file).map_or(0, |source| source.line(first.statement.span.start));
                let message = format!("policy id `{id}` is taken: it is at {other}:{line} too");
                problems.push(source.error(statement.span.clone(), message));
                continue;
            }
            first_of.insert(Arc::clone(&id), parsed.len());
            let policy = policy.new_id(PolicyId::new(&id));
            parsed.push(Parsed { policy, id, file, statement: statement.clone() });
        }
        counted += statements.len();
    }
    parsed
}

/// Annotations that mean something to the engine, in a version that knows their values.
const RESERVED_ANNOTATIONS: [&str; 3] = ["mode", "require", "stale"];

fn check_annotations(
    policy: &cedar_policy::Policy,
    source: &Source<'_>,
    statement: &Statement,
    problems: &mut Problems,
) {
    for name in RESERVED_ANNOTATIONS {
        if let Some(value) = policy.annotation(name) {
            let value: String = value.chars().take(80).collect();
            let message = format!("`@{name}(\"{value}\")` is not supported: this version knows no value of `@{name}`");
            problems.push(source.error(statement.span.clone(), message));
        }
    }
}
