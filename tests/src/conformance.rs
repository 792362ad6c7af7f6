//! Cedar's published integration tests: their files, and what an answer is compared with.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cedar_policy::{Context, Entities, Schema};
use portcullis_model::{Attribute, EntityRecord, EntityUid, Owner, PolicyFile, PolicySetText, Request, Value, Verdict};
use serde::Deserialize;
use serde_json::Value as Json;

/// One test file: a set of policies with its schema and entities, and requests.
#[derive(Debug)]
pub struct Conformance {
    /// The file, relative to the folder of the corpus.
    pub file: PathBuf,
    /// Schema and policies.
    pub set: PolicySetText,
    /// Whether the set passes Cedar's strict validation.
    pub should_validate: bool,
    /// Every entity but the actions, which the schema declares.
    pub entities: Vec<EntityRecord>,
    /// The questions.
    pub requests: Vec<Case>,
}

/// One question and what Cedar answers.
#[derive(Debug)]
pub struct Case {
    /// What it shows.
    pub description: String,
    /// Who asks.
    pub principal: EntityUid,
    /// What is asked.
    pub request: Request,
    /// What Cedar answers.
    pub expected: Answer,
}

/// An answer as the corpus writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The verdict.
    pub verdict: Verdict,
    /// Ids of the determining policies.
    pub reasons: BTreeSet<String>,
    /// Ids of the policies that could not be evaluated.
    pub errors: BTreeSet<String>,
}

impl Conformance {
    /// Every test below `folder/tests`, by name.
    ///
    /// # Errors
    /// In words, which file cannot be used and why.
    pub fn all(folder: &Path) -> Result<Vec<Self>, String> {
        let mut files = Vec::new();
        find_json(&folder.join("tests"), &mut files)?;
        files.sort();
        files.iter().map(|file| Self::read(folder, file)).collect()
    }

    fn read(folder: &Path, file: &Path) -> Result<Self, String> {
        let at = |cause: String| format!("{}: {cause}", file.display());
        let test: TestFile = serde_json::from_str(&read(file)?).map_err(|cause| at(cause.to_string()))?;
        let text =
            |name: &str, path: &str| read(&folder.join(path)).map(|text| PolicyFile { name: name.to_owned(), text });
        let set = PolicySetText {
            schema: text("schema.cedarschema", &test.schema)?,
            files: vec![text("policies.cedar", &test.policies)?],
        };
        let schema = Explicit::new(&set.schema.text).map_err(&at)?;
        let entities = schema.entities(&read(&folder.join(&test.entities))?).map_err(&at)?;
        let cases = test.requests.into_iter().map(|case| case.into_case(&schema));
        Ok(Self {
            file: file.strip_prefix(folder).unwrap_or(file).to_owned(),
            set,
            should_validate: test.should_validate,
            entities,
            requests: cases.collect::<Result<_, _>>().map_err(at)?,
        })
    }
}

impl Answer {
    /// Says in words how `found` differs from this answer.
    ///
    /// # Errors
    /// The words.
    pub fn compare(&self, found: &Self) -> Result<(), String> {
        if self == found { Ok(()) } else { Err(format!("expected {self:?}, found {found:?}")) }
    }
}

/// Rewrites the corpus' JSON, where only the schema tells a text from a decimal, into the form that
/// escapes every entity and extension value.
struct Explicit(Schema);

impl Explicit {
    fn new(schema: &str) -> Result<Self, String> {
        let (schema, _) = Schema::from_cedarschema_str(schema).map_err(|cause| cause.to_string())?;
        Ok(Self(schema))
    }

    fn entities(&self, text: &str) -> Result<Vec<EntityRecord>, String> {
        let typed = Entities::from_json_str(text, Some(&self.0)).map_err(|cause| cause.to_string())?;
        let actions = |entity: &&cedar_policy::Entity| entity.uid().type_name().basename() != "Action";
        let explicit = typed.iter().filter(actions).map(|entity| {
            let json = entity.to_json_value().map_err(|cause| cause.to_string())?;
            serde_json::from_value::<JsonEntity>(json).map_err(|cause| cause.to_string())?.into_record()
        });
        explicit.collect()
    }

    fn context(
        &self,
        context: serde_json::Map<String, Json>,
        action: &EntityUid,
    ) -> Result<serde_json::Map<String, Json>, String> {
        let action = action.to_string().parse().map_err(|cause: cedar_policy::ParseErrors| cause.to_string())?;
        let typed = Context::from_json_value(Json::Object(context), Some((&self.0, &action)));
        let explicit = typed.map_err(|cause| cause.to_string())?.to_json_value().map_err(|cause| cause.to_string())?;
        serde_json::from_value(explicit).map_err(|cause| cause.to_string())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TestFile {
    policies: String,
    entities: String,
    schema: String,
    should_validate: bool,
    requests: Vec<JsonCase>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct JsonCase {
    description: String,
    principal: JsonUid,
    action: JsonUid,
    resource: JsonUid,
    context: serde_json::Map<String, Json>,
    /// Says only whether Cedar's own request validation is to run besides.
    #[serde(default, rename = "validateRequest")]
    _validate_request: Option<bool>,
    decision: JsonDecision,
    reason: BTreeSet<String>,
    errors: BTreeSet<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum JsonDecision {
    Allow,
    Deny,
}

#[derive(Deserialize)]
struct JsonUid {
    #[serde(rename = "type")]
    entity_type: String,
    id: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonEntity {
    uid: JsonUid,
    #[serde(default)]
    attrs: serde_json::Map<String, Json>,
    #[serde(default)]
    parents: Vec<JsonUid>,
    #[serde(default)]
    tags: serde_json::Map<String, Json>,
}

impl JsonUid {
    fn into_uid(self) -> Result<EntityUid, String> {
        EntityUid::of(&self.entity_type, &self.id).map_err(|cause| cause.to_string())
    }
}

impl JsonCase {
    fn into_case(self, schema: &Explicit) -> Result<Case, String> {
        let verdict = match self.decision {
            JsonDecision::Allow => Verdict::Allow,
            JsonDecision::Deny => Verdict::Deny,
        };
        let (action, resource) = (self.action.into_uid()?, self.resource.into_uid()?);
        let context = values(&schema.context(self.context, &action)?)?.collect();
        Ok(Case {
            description: self.description,
            principal: self.principal.into_uid()?,
            request: Request { context, ..Request::new(action, resource) },
            expected: Answer { verdict, reasons: self.reason, errors: self.errors },
        })
    }
}

impl JsonEntity {
    fn into_record(self) -> Result<EntityRecord, String> {
        let attribute = |(name, value)| (name, Attribute { value, owner: Owner::Directory });
        Ok(EntityRecord {
            parents: self.parents.into_iter().map(JsonUid::into_uid).collect::<Result<_, _>>()?,
            attributes: values(&self.attrs)?.map(attribute).collect(),
            tags: values(&self.tags)?.collect(),
            ..EntityRecord::named(self.uid.into_uid()?)
        })
    }
}

fn values(fields: &serde_json::Map<String, Json>) -> Result<impl Iterator<Item = (Arc<str>, Value)>, String> {
    let parse = |(key, json): (&String, &Json)| {
        Value::from_json(json).map(|value| (key.as_str().into(), value)).map_err(|cause| format!("`{key}`: {cause}"))
    };
    Ok(fields.iter().map(parse).collect::<Result<Vec<_>, _>>()?.into_iter())
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|cause| format!("{}: {cause}", path.display()))
}

fn find_json(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), String> {
    let entries = std::fs::read_dir(folder).map_err(|cause| format!("{}: {cause}", folder.display()))?;
    for entry in entries {
        let path = entry.map_err(|cause| cause.to_string())?.path();
        if path.is_dir() {
            find_json(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "json") {
            found.push(path);
        }
    }
    Ok(())
}
