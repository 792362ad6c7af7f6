//! Questions on their way out and answers on their way in.

use portcullis_model::{Decision, EntityUid, Request, Revision};
use portcullis_wire::frames::{AnswerV1, BatchItemV1, BatchV1, DecideTextV1, DecideV1, DetailsV1, RevisionV1, Want};
use portcullis_wire::limits::{DECIDE_PAYLOAD_BYTES_MAX, REQUEST_FRAME_BYTES_MAX};

use super::{Bound, Session};
use crate::error::DecideError;
use crate::link::Link;
use crate::reply::Reply;
use crate::slots::{Abandon, Pending};

/// Bytes of a decide frame, or of one item of a batch, besides its details.
const FRAME_BYTES: usize = 128;
const ITEM_BYTES: usize = 64;
/// Bytes of items in one batch frame.
const GROUP_BYTES_MAX: usize = REQUEST_FRAME_BYTES_MAX - 2 * FRAME_BYTES;

/// Questions that share a frame.
#[derive(Default)]
struct Group {
    at_least: Option<Revision>,
    places: Vec<usize>,
    items: Vec<BatchItemV1>,
    bytes: usize,
}

/// Questions on their way, by their places in the batch.
struct Sent {
    places: Vec<usize>,
    pending: Result<Pending, DecideError>,
}

impl Group {
    fn fits(&self, request: &Request, bytes: usize, items_max: usize) -> bool {
        let agrees = self.items.is_empty() || self.at_least == request.at_least;
        agrees && self.items.len() < items_max && self.bytes + bytes <= GROUP_BYTES_MAX
    }
}

impl Session {
    pub(super) async fn ask(&self, request: &Request, want: Want) -> Result<Decision, DecideError> {
        let bound = self.bound().await?;
        bound.link.trust.check()?;
        let details = DetailsV1::new(request, want).map_err(DecideError::refused)?;
        let pending = bound.send(request, details)?;
        match pending.reply().await? {
            Reply::Decision(decision) => bound.link.checked(decision, request),
            other => Err(other.into_error()),
        }
    }

    pub(super) async fn ask_all(
        &self,
        requests: &[Request],
    ) -> Result<Vec<Result<Decision, DecideError>>, DecideError> {
        let bound = self.bound().await?;
        bound.link.trust.check()?;
        let mut answers = Vec::new();
        answers.resize_with(requests.len(), || Err(DecideError::ConnectionLost));
        // All leave before the first answer is waited for.
        for sent in bound.send_all(requests) {
            let replies = match sent.pending {
                Ok(pending) => pending.reply().await,
                Err(error) => Err(error),
            };
            let results = results_of(replies, sent.places.len());
            for (place, result) in sent.places.into_iter().zip(results) {
                if let (Some(answer), Some(request)) = (answers.get_mut(place), requests.get(place)) {
                    *answer = result.and_then(|decision| bound.link.checked(decision, request));
                }
            }
        }
        Ok(answers)
    }
}

impl Bound {
    fn send(&self, request: &Request, details: DetailsV1) -> Result<Pending, DecideError> {
        let mut asks = Vec::new();
        let numbers = self.numbers(request, &mut asks);
        let sent = match numbers {
            Some((action, resource)) if bytes_of(&details) + FRAME_BYTES <= DECIDE_PAYLOAD_BYTES_MAX => {
                let at_least = RevisionV1::from(request.at_least);
                let frame = DecideV1 { session: self.handle, at_least, action, resource, details };
                self.link.request(self.link.lane(self.handle), &frame, Abandon::Free)
            }
            _ => self.send_text(request, details),
        };
        self.link.register(asks);
        sent
    }

    fn send_text(&self, request: &Request, details: DetailsV1) -> Result<Pending, DecideError> {
        let at_least = RevisionV1::from(request.at_least);
        let (action, resource) = (request.action.to_string(), request.resource.to_string());
        let frame = DecideTextV1 { session: self.handle, at_least, action, resource, details };
        self.link.request(self.link.lane(self.handle), &frame, Abandon::Free)
    }

    /// Sends questions with known names together, the others alone.
    fn send_all(&self, requests: &[Request]) -> Vec<Sent> {
        let items_max = usize::try_from(self.link.welcome.limits.batch).unwrap_or(1);
        let (mut sent, mut asks, mut group) = (Vec::new(), Vec::new(), Group::default());
        for (place, request) in requests.iter().enumerate() {
            let details = match DetailsV1::new(request, Want::Verdict) {
                Ok(details) => details,
                Err(refusal) => {
                    sent.push(Sent { places: vec![place], pending: Err(DecideError::refused(refusal)) });
                    continue;
                }
            };
            let bytes = bytes_of(&details) + ITEM_BYTES;
            match self.numbers(request, &mut asks) {
                Some((action, resource)) if bytes <= GROUP_BYTES_MAX => {
                    if !group.fits(request, bytes, items_max) {
                        sent.extend(self.send_group(std::mem::take(&mut group)));
                    }
                    group.at_least = request.at_least;
                    group.bytes += bytes;
                    group.places.push(place);
                    group.items.push(BatchItemV1 { action, resource, details });
                }
                _ => sent.push(Sent { places: vec![place], pending: self.send_text(request, details) }),
            }
        }
        sent.extend(self.send_group(group));
        self.link.register(asks);
        sent
    }

    /// The numbers of a request's names, where the node has given both.
    fn numbers(&self, request: &Request, asks: &mut Vec<EntityUid>) -> Option<(u32, u32)> {
        let action = self.link.number(&request.action, asks);
        let resource = self.link.number(&request.resource, asks);
        action.zip(resource)
    }

    fn send_group(&self, group: Group) -> Option<Sent> {
        if group.items.is_empty() {
            return None;
        }
        let frame = BatchV1 { session: self.handle, at_least: group.at_least.into(), items: group.items };
        let pending = self.link.request(self.link.lane(self.handle), &frame, Abandon::Free);
        Some(Sent { places: group.places, pending })
    }
}

impl Link {
    /// A decision, if it has seen what the request asks for and may still be relied on.
    fn checked(&self, decision: Decision, request: &Request) -> Result<Decision, DecideError> {
        if request.at_least.is_some_and(|at_least| !decision.revision.covers(at_least)) {
            return Err(DecideError::unexpected("revision", "does not cover the one asked for"));
        }
        self.trust.check()?;
        Ok(decision)
    }
}

/// One result for each of `count` questions of one frame.
fn results_of(reply: Result<Reply, DecideError>, count: usize) -> Vec<Result<Decision, DecideError>> {
    match reply {
        Ok(Reply::Decision(decision)) if count == 1 => vec![Ok(decision)],
        Ok(Reply::Batch(answers)) if answers.len() == count => answers.iter().map(result_of).collect(),
        Ok(other) => vec![Err(other.into_error()); count],
        Err(error) => vec![Err(error); count],
    }
}

fn result_of(answer: &AnswerV1) -> Result<Decision, DecideError> {
    let result = answer.to_result().map_err(DecideError::Protocol)?;
    result.map_err(DecideError::refused)
}

fn bytes_of(details: &DetailsV1) -> usize {
    details.input.len() + details.context.len() + details.attributes.len()
}
