//! Who asks, and whether they may.

use portcullis_identity::Registration;
use portcullis_model::{ErrorCode, Origin, Refusal};
use portcullis_wire::Role;
use portcullis_wire::admin::{AdminRequest, Question};

/// The role of a registration, as the protocol names it.
pub(crate) fn role_of(client: &Registration) -> Role {
    match client.role {
        portcullis_identity::Role::Platform => Role::Platform,
        portcullis_identity::Role::Pep => Role::Pep,
        portcullis_identity::Role::Auditor => Role::Auditor,
        portcullis_identity::Role::Operator => Role::Operator,
    }
}

/// Who a change is by.
pub(crate) fn origin_of(client: &Registration) -> Origin {
    Origin::Admin(client.name.clone())
}

/// Whether the client's role and registration cover the call.
pub(crate) fn may_call(client: &Registration, request: &AdminRequest) -> Result<(), Refusal> {
    let (role, needed) = (role_of(client), request.needed_role());
    if !role.covers(needed) {
        let operation = request.operation();
        let message = format!("`{operation}` needs the role `{needed}`, and this client has `{role}`");
        return Err(Refusal::new(ErrorCode::NotPermitted, message));
    }
    match request {
        AdminRequest::Check(question) | AdminRequest::Explain(question) if role == Role::Pep => {
            may_ask(client, question)
        }
        _ => Ok(()),
    }
}

/// A client asks only about those whom its registration lets it name.
fn may_ask(client: &Registration, question: &Question) -> Result<(), Refusal> {
    let refused = |field: &str| {
        let message = format!("the registration of this client does not cover the {field} that it named");
        Err(Refusal::of_field(ErrorCode::NotPermitted, field, message))
    };
    if !client.may_assert_subject(&question.subject) {
        return refused("subject");
    }
    if question.agents.iter().any(|agent| !client.may_assert_agent(agent)) {
        return refused("agents");
    }
    if question.agents.is_empty() && !client.direct {
        let message = "this client is not registered to ask without agents";
        return Err(Refusal::of_field(ErrorCode::NotPermitted, "agents", message));
    }
    Ok(())
}
