//! Cedar's own authorizer over the sample, and the directory read without the identity room.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::str::FromStr;

use cedar_policy::{
    Authorizer, Context, Decision, Entities, EntityId, EntityTypeName, EntityUid as CedarUid, Policy, PolicyId,
    PolicySet, Request, RestrictedExpression, Schema, ValidationMode, ValidationResult, Validator,
};
use portcullis_model::{EntityUid, Verdict};
use serde_json::{Value as Json, json};

use crate::{PolicyTest, directory_json, policy_set, resources};

pub(super) struct Oracle {
    schema: Schema,
    set: PolicySet,
    entities: Entities,
    directory: Vec<Json>,
}

pub(super) struct Outcome {
    pub(super) verdict: Verdict,
    pub(super) policies: BTreeSet<String>,
    pub(super) errors: Vec<String>,
}

impl Oracle {
    pub(super) fn new() -> Self {
        let text = policy_set();
        let (schema, warnings) = Schema::from_cedarschema_str(&text.schema.text).unwrap();
        assert_eq!(warnings.map(|warning| warning.to_string()).collect::<Vec<_>>(), Vec::<String>::new());
        let mut set = PolicySet::new();
        for file in &text.files {
            for policy in PolicySet::from_str(&file.text).unwrap().policies() {
                let id = policy.annotation("id").expect("every policy has an id");
                set.add(policy.new_id(PolicyId::new(id))).unwrap();
            }
        }
        let listed: Json = serde_json::from_str(directory_json()).unwrap();
        let directory = listed["Resources"].as_array().unwrap().clone();
        assert_eq!(listed["totalResults"], directory.len());
        let mut all = principals(&directory);
        all.extend(resources().unwrap().into_iter().map(|record| {
            let attributes: BTreeMap<_, _> = record
                .attributes
                .iter()
                .map(|(name, attribute)| (name.to_string(), attribute.value.to_json()))
                .collect();
            json!({"uid": reference(&record.uid), "attrs": attributes,
                "parents": record.parents.iter().map(reference).collect::<Vec<_>>()})
        }));
        let entities = Entities::from_json_value(Json::Array(all), Some(&schema)).unwrap();
        Self { schema, set, entities, directory }
    }

    pub(super) fn validate(&self) -> ValidationResult {
        Validator::new(self.schema.clone()).validate(&self.set, ValidationMode::Strict)
    }

    pub(super) fn policies(&self) -> impl Iterator<Item = &Policy> {
        self.set.policies()
    }

    pub(super) fn policy_ids(&self) -> BTreeSet<String> {
        self.policies().map(|policy| policy.id().to_string()).collect()
    }

    /// Asks for the user and every agent; an allow needs all of them.
    pub(super) fn ask(&self, case: &PolicyTest) -> Outcome {
        let mut answers = Vec::new();
        for principal in principals_of(case) {
            let request = self.request(&principal, case);
            answers.push(Authorizer::new().is_authorized(&request, &self.set, &self.entities));
        }
        let allowed = answers.iter().all(|answer| answer.decision() == Decision::Allow);
        let (verdict, side) = if allowed { (Verdict::Allow, Decision::Allow) } else { (Verdict::Deny, Decision::Deny) };
        let errors = answers.iter().flat_map(|answer| answer.diagnostics().errors()).map(ToString::to_string).collect();
        let decisive = answers.iter().filter(|answer| answer.decision() == side);
        let policies = decisive.flat_map(|answer| answer.diagnostics().reason()).map(ToString::to_string).collect();
        Outcome { verdict, policies, errors }
    }

    /// Whether a grant's condition holds for a case.
    pub(super) fn holds(&self, condition: &str, case: &PolicyTest) -> bool {
        let set = PolicySet::from_str(&format!("permit(principal, action, resource) {condition};")).unwrap();
        let request = self.request(&principals_of(case)[0], case);
        Authorizer::new().is_authorized(&request, &set, &self.entities).decision() == Decision::Allow
    }

    pub(super) fn is_in(&self, entity: &EntityUid, ancestor: &EntityUid) -> bool {
        let (entity, ancestor) = (cedar(entity), cedar(ancestor));
        if entity == ancestor {
            return true;
        }
        let actions = self.schema.action_entities().unwrap();
        let source = if entity.type_name().basename() == "Action" { &actions } else { &self.entities };
        source.is_ancestor_of(&ancestor, &entity)
    }

    pub(super) fn ids_of(&self, kind: &str) -> BTreeSet<String> {
        self.directory.iter().filter(|entry| type_of(entry) == kind).map(|entry| text(&entry["id"])).collect()
    }

    pub(super) fn acts_through(&self, agent: &str) -> Option<String> {
        let entry = self.directory.iter().find(|entry| type_of(entry) == "Agent" && entry["id"] == agent)?;
        entry[AGENT_EXTENSION]["actsThrough"]["value"].as_str().map(str::to_owned)
    }

    pub(super) fn actions_and_resource_types(&self) -> BTreeSet<(String, String)> {
        let mut pairs = BTreeSet::new();
        for action in self.schema.actions() {
            for resource in self.schema.resources_for_action(action).into_iter().flatten() {
                pairs.insert((action.id().unescaped().to_owned(), resource.to_string()));
            }
        }
        pairs
    }

    fn request(&self, principal: &EntityUid, case: &PolicyTest) -> Request {
        let agent = |id: &String| cedar(&EntityUid::of("Agent", id).unwrap());
        let action = cedar(&EntityUid::of("Action", &case.action).unwrap());
        let user = cedar(&EntityUid::of("User", &case.subject).unwrap());
        let mut keys: Vec<(String, RestrictedExpression)> = vec![
            ("user".into(), RestrictedExpression::new_entity_uid(user)),
            (
                "agents".into(),
                RestrictedExpression::new_set(
                    case.agents.iter().map(|id| RestrictedExpression::new_entity_uid(agent(id))),
                ),
            ),
            ("depth".into(), RestrictedExpression::new_long(i64::try_from(case.agents.len()).unwrap())),
        ];
        if let Some(innermost) = case.agents.last() {
            keys.push(("agent".into(), RestrictedExpression::new_entity_uid(agent(innermost))));
        }
        let mut brought: serde_json::Map<String, Json> = case.context.clone().into_iter().collect();
        if let Some(input) = &case.input {
            brought.insert("input".into(), input.clone());
        }
        let brought = Context::from_json_value(Json::Object(brought), None).unwrap();
        let context = Context::from_pairs(keys).unwrap().merge(brought).unwrap();
        Request::new(cedar(principal), action, cedar(&case.resource), context, Some(&self.schema))
            .unwrap_or_else(|error| panic!("{}: {error}", case.name))
    }
}

fn principals_of(case: &PolicyTest) -> Vec<EntityUid> {
    let user = EntityUid::of("User", &case.subject);
    let agents = case.agents.iter().map(|id| EntityUid::of("Agent", id));
    std::iter::once(user).chain(agents).collect::<Result<_, _>>().unwrap()
}

fn cedar(uid: &EntityUid) -> CedarUid {
    let entity_type = EntityTypeName::from_str(uid.entity_type().as_str()).unwrap();
    CedarUid::from_type_name_and_id(entity_type, EntityId::new(uid.id()))
}

fn reference(uid: &EntityUid) -> Json {
    json!({"type": uid.entity_type().as_str(), "id": uid.id()})
}

fn type_of(entry: &Json) -> &str {
    entry["schemas"][0].as_str().unwrap().rsplit(':').next().unwrap()
}

fn text(json: &Json) -> String {
    json.as_str().unwrap().to_owned()
}

/// Cedar entities of the directory, by a reading of its own.
fn principals(directory: &[Json]) -> Vec<Json> {
    let ids: HashSet<&str> = directory.iter().map(|entry| entry["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), directory.len());
    let parents = |id: &Json| {
        let holds = |group: &&Json| {
            group["members"].as_array().is_some_and(|members| members.iter().any(|member| member["value"] == *id))
        };
        directory.iter().filter(holds).map(|group| json!({"type": "Group", "id": group["id"]})).collect::<Vec<_>>()
    };
    directory
        .iter()
        .map(|entry| {
            let mut attributes = serde_json::Map::new();
            attributes.insert("displayName".into(), entry["displayName"].clone());
            if let Some(owners) = entry["owners"].as_array() {
                let owners = owners.iter().map(|owner| json!({"type": "User", "id": owner["value"]}));
                attributes.insert("owners".into(), owners.collect());
            }
            if let Some(name) = entry.get("userName") {
                attributes.insert("userName".into(), name.clone());
            }
            json!({"uid": {"type": type_of(entry), "id": entry["id"]}, "attrs": attributes, "parents": parents(&entry["id"])})
        })
        .collect()
}

const AGENT_EXTENSION: &str = "urn:portcullis:scim:schemas:extension:agent:1.0:Agent";
