//! Questions as they are decided, decided again, and answered.

use portcullis_cells::Handle;
use portcullis_identity::Registration;
use portcullis_model::limits::BATCH_MAX;
use portcullis_model::{ErrorCode, Refusal, Request, Revision, Verdict};
use portcullis_runtime::{Decider, Detail};
use portcullis_wire::frames::{
    AnswerV1, ArchivedBatchItemV1, ArchivedBatchV1, ArchivedDecideTextV1, ArchivedDecideV1, BatchDecisionsV1,
    DecisionV1, ErrorV1, Want,
};
use portcullis_wire::{FrameWriter, WireError};

use crate::names::Names;
use crate::node_clock::node_ns;
use crate::sessions::Sessions;

/// One question of one session.
#[derive(Debug)]
pub(crate) struct Question {
    handle: Handle,
    request: Request,
    want: Want,
}

/// What one frame asks. It is kept until its answer has left, because it may have to be asked again.
#[derive(Debug)]
pub(crate) enum Ask {
    One { corr: u32, question: Question },
    Many { corr: u32, questions: Vec<Result<Question, Refusal>>, at_least: Option<Revision> },
}

/// An answer that has not left.
#[derive(Debug)]
pub(crate) struct Reply {
    body: Body,
    /// Whether it allows anything: only then can a restriction make it wrong.
    pub(crate) allows: bool,
    /// The record of the worker's decider that must be durable first; 0 for none.
    pub(crate) ticket: u64,
}

#[derive(Debug)]
enum Body {
    Decision(DecisionV1),
    Error(ErrorV1),
    Batch(BatchDecisionsV1),
}

/// What a connection knows that questions need.
pub(crate) struct Asking<'a> {
    pub(crate) names: &'a Names,
    pub(crate) sessions: &'a Sessions,
    pub(crate) registration: &'a Registration,
}

impl Asking<'_> {
    #[inline]
    pub(crate) fn one(&self, corr: u32, frame: &ArchivedDecideV1) -> Result<Ask, Refusal> {
        let handle = self.session(frame.session.to_native())?;
        let action = self.names.find(frame.action.to_native(), "action")?.clone();
        let resource = self.names.find(frame.resource.to_native(), "resource")?.clone();
        let request = frame.details.to_request(action, resource, frame.at_least.to_revision())?;
        let (_, want) = frame.details.check().map_err(|error| error.to_refusal())?;
        self.question(handle, request, want).map(|question| Ask::One { corr, question })
    }

    pub(crate) fn text(&self, corr: u32, frame: &ArchivedDecideTextV1) -> Result<Ask, Refusal> {
        let handle = self.session(frame.session.to_native())?;
        let (_, want) = frame.details.check().map_err(|error| error.to_refusal())?;
        self.question(handle, frame.to_request()?, want).map(|question| Ask::One { corr, question })
    }

    pub(crate) fn many(&self, corr: u32, frame: &ArchivedBatchV1) -> Result<Ask, Refusal> {
        let handle = self.session(frame.session.to_native())?;
        if frame.items.is_empty() || frame.items.len() > BATCH_MAX {
            let words = format!("a batch has 1 to {BATCH_MAX} questions");
            return Err(Refusal::of_field(ErrorCode::TooLarge, "items", words));
        }
        let at_least = frame.at_least.to_revision();
        let questions = frame.items.iter().map(|item| self.item(handle, item, at_least)).collect();
        Ok(Ask::Many { corr, questions, at_least })
    }

    fn item(
        &self,
        handle: Handle,
        item: &ArchivedBatchItemV1,
        at_least: Option<Revision>,
    ) -> Result<Question, Refusal> {
        let action = self.names.find(item.action.to_native(), "action")?.clone();
        let resource = self.names.find(item.resource.to_native(), "resource")?.clone();
        let (_, want) = item.details.check().map_err(|error| error.to_refusal())?;
        self.question(handle, item.details.to_request(action, resource, at_least)?, want)
    }

    #[inline]
    fn session(&self, word: u64) -> Result<Handle, Refusal> {
        self.sessions.find(word).ok_or_else(|| {
            Refusal::of_field(ErrorCode::UnknownHandle, "session", "no session of this connection has this handle")
        })
    }

    /// A request brings only attributes that the client's registration lists.
    #[inline]
    fn question(&self, handle: Handle, request: Request, want: Want) -> Result<Question, Refusal> {
        let listed = |name: &str| self.registration.attributes.iter().any(|listed| listed == name);
        match request.resource_attributes.keys().find(|name| !listed(name)) {
            None => Ok(Question { handle, request, want }),
            Some(name) => {
                let field = format!("resource_attributes.{name}");
                let words = format!("this client may not bring the attribute `{name}`");
                Err(Refusal::of_field(ErrorCode::AttributeNotOwned, field, words))
            }
        }
    }
}

impl Ask {
    pub(crate) const fn corr(&self) -> u32 {
        match self {
            Self::One { corr, .. } | Self::Many { corr, .. } => *corr,
        }
    }

    /// The revision that the answer must have seen.
    #[inline]
    pub(crate) const fn at_least(&self) -> Option<Revision> {
        match self {
            Self::One { question, .. } => question.request.at_least,
            Self::Many { at_least, .. } => *at_least,
        }
    }

    /// Decides it now.
    #[inline]
    pub(crate) fn answer(&self, decider: &mut Decider) -> Reply {
        match self {
            Self::One { question, .. } => question.answer(decider),
            Self::Many { questions, .. } => answer_many(questions, decider),
        }
    }
}

impl Question {
    #[inline]
    fn answer(&self, decider: &mut Decider) -> Reply {
        let detail = match self.want {
            Want::Verdict => Detail::Brief,
            Want::Policies => Detail::Policies,
        };
        match decider.decide(self.handle, &self.request, detail) {
            Ok(answer) => Reply {
                allows: answer.decision.verdict == Verdict::Allow,
                ticket: answer.durable.map_or(0, |ticket| ticket.number),
                body: Body::Decision(DecisionV1::new(&answer.decision, self.want)),
            },
            Err(refusal) => Reply::refusal(&refusal),
        }
    }
}

fn answer_many(questions: &[Result<Question, Refusal>], decider: &mut Decider) -> Reply {
    let mut all = Reply { body: Body::Batch(BatchDecisionsV1 { answers: Vec::new() }), allows: false, ticket: 0 };
    let mut answers = Vec::with_capacity(questions.len());
    for question in questions {
        let reply = match question {
            Ok(question) => question.answer(decider),
            Err(refusal) => Reply::refusal(refusal),
        };
        all.allows |= reply.allows;
        all.ticket = all.ticket.max(reply.ticket);
        match reply.body {
            Body::Decision(decision) => answers.push(AnswerV1::decided(decision)),
            Body::Error(error) => answers.push(AnswerV1 { decision: DecisionV1::default(), error: vec![error] }),
            Body::Batch(_) => {}
        }
    }
    all.body = Body::Batch(BatchDecisionsV1 { answers });
    all
}

impl Reply {
    pub(crate) fn refusal(refusal: &Refusal) -> Self {
        Self { body: Body::Error(ErrorV1::new(refusal)), allows: false, ticket: 0 }
    }

    /// Appends its frame, with the time now, which is returned.
    #[inline]
    pub(crate) fn append(&mut self, corr: u32, writer: &mut FrameWriter) -> Result<u64, WireError> {
        let now = node_ns();
        match &mut self.body {
            Body::Decision(decision) => {
                decision.node_ns = now;
                writer.append(corr, decision)
            }
            Body::Error(error) => writer.append(corr, error),
            Body::Batch(batch) => {
                for answer in batch.answers.iter_mut().filter(|answer| answer.error.is_empty()) {
                    answer.decision.node_ns = now;
                }
                writer.append(corr, batch)
            }
        }
        .map(|()| now)
    }
}
