//! Between frames and the nouns of the model.

use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis_model::limits::INPUT_BYTES_MAX;
use portcullis_model::{
    Decision, DecisionId, EntityUid, ErrorCode, Intent, PolicyRef, Refusal, Request, Revision, Value,
};

use super::decide::{
    ArchivedDecideTextV1, ArchivedDetailsV1, DecisionV1, DetailsV1, PolicyV1, Want, check_verdict, verdict_number,
};
use crate::error::WireError;

impl DetailsV1 {
    /// What a request carries besides names and revision.
    ///
    /// # Errors
    /// A [`Refusal`] that names `input` if that is too long, or `context` if it is not JSON.
    pub fn new(request: &Request, want: Want) -> Result<Self, Refusal> {
        let input = request.input.as_deref().unwrap_or_default();
        if input.len() > INPUT_BYTES_MAX {
            let words = format!("the input has at most {INPUT_BYTES_MAX} bytes");
            return Err(Refusal::of_field(ErrorCode::TooLarge, "input", words));
        }
        let intent = match request.intent {
            Intent::Preview => 0,
            Intent::Perform => 1,
        };
        Ok(Self {
            intent,
            want: want.number(),
            input: input.as_bytes().to_vec(),
            context: bytes_of("context", &request.context)?,
            attributes: bytes_of("resource_attributes", &request.resource_attributes)?,
        })
    }
}

impl ArchivedDetailsV1 {
    /// The whole request.
    ///
    /// # Errors
    /// A [`Refusal`] that names the field that is not what it should be.
    pub fn to_request(
        &self,
        action: EntityUid,
        resource: EntityUid,
        at_least: Option<Revision>,
    ) -> Result<Request, Refusal> {
        let (intent, _) = self.check().map_err(|error| error.to_refusal())?;
        let mut request = Request::new(action, resource);
        request.intent = intent;
        request.at_least = at_least;
        request.context = context_of("context", &self.context)?;
        request.resource_attributes = context_of("resource_attributes", &self.attributes)?;
        if !self.input.is_empty() {
            let text = std::str::from_utf8(&self.input)
                .map_err(|_| Refusal::of_field(ErrorCode::BadRequest, "input", "the input is not UTF-8"))?;
            request.input = Some(text.into());
        }
        Ok(request)
    }
}

impl ArchivedDecideTextV1 {
    /// The whole request.
    ///
    /// # Errors
    /// A [`Refusal`] that names the field that is not what it should be.
    pub fn to_request(&self) -> Result<Request, Refusal> {
        let (action, resource) =
            action_and_resource(&self.action, &self.resource).map_err(|error| error.to_refusal())?;
        self.details.to_request(action, resource, self.at_least.to_revision())
    }
}

impl DecisionV1 {
    /// The frame of a decision, with its policies where they are wanted.
    pub fn new(decision: &Decision, want: Want) -> Self {
        let policies: &[PolicyRef] = match want {
            Want::Verdict => &[],
            Want::Policies => &decision.policies,
        };
        Self {
            id: decision.id.to_bytes(),
            seq: decision.revision.seq,
            audit_seq: 0,
            node_ns: 0,
            epoch: decision.revision.epoch,
            ttl_ms: 0,
            reason: decision.reason.number(),
            verdict: verdict_number(decision.verdict),
            policies: policies.iter().map(PolicyV1::from).collect(),
            obligations: decision.obligations.iter().map(|obligation| obligation.to_string()).collect(),
        }
    }

    /// The decision.
    ///
    /// # Errors
    /// [`WireError::Field`] for a number that this version does not know, or numbers that contradict
    /// each other.
    pub fn to_decision(&self) -> Result<Decision, WireError> {
        let (verdict, reason) = check_verdict(self.verdict, self.reason)?;
        let policies = self.policies.iter().map(PolicyRef::from).collect();
        let revision = Revision::new(self.epoch, self.seq);
        let mut decision = Decision::new(DecisionId::from_bytes(self.id), verdict, reason, policies, revision);
        decision.obligations = self.obligations.iter().map(|obligation| obligation.as_str().into()).collect();
        Ok(decision)
    }
}

impl From<&PolicyRef> for PolicyV1 {
    fn from(policy: &PolicyRef) -> Self {
        Self { id: policy.id.to_string(), file: policy.file.to_string(), line: policy.line }
    }
}

impl From<&PolicyV1> for PolicyRef {
    fn from(policy: &PolicyV1) -> Self {
        Self { id: policy.id.as_str().into(), file: policy.file.as_str().into(), line: policy.line }
    }
}

/// The names of an action and a resource.
///
/// # Errors
/// [`WireError::Field`] for a text that is not a name.
pub fn action_and_resource(action: &str, resource: &str) -> Result<(EntityUid, EntityUid), WireError> {
    let action = action.parse().map_err(|_| WireError::field("action", "is not a name"))?;
    let resource = resource.parse().map_err(|_| WireError::field("resource", "is not a name"))?;
    Ok((action, resource))
}

/// The record of a field that holds a JSON object in Cedar's form; no bytes are an empty record.
///
/// # Errors
/// A [`Refusal`] that names the field.
pub fn context_of(field: &'static str, bytes: &[u8]) -> Result<BTreeMap<Arc<str>, Value>, Refusal> {
    if bytes.is_empty() {
        return Ok(BTreeMap::new());
    }
    serde_json::from_slice(bytes).map_err(|error| Refusal::of_field(ErrorCode::BadRequest, field, error.to_string()))
}

fn bytes_of(field: &'static str, record: &BTreeMap<Arc<str>, Value>) -> Result<Vec<u8>, Refusal> {
    if record.is_empty() {
        return Ok(Vec::new());
    }
    serde_json::to_vec(record).map_err(|error| Refusal::of_field(ErrorCode::BadRequest, field, error.to_string()))
}
