//! Every question of the access matrix: who, through whom, does what to what.

use portcullis_model::{EntityUid, UidError};

use crate::SampleError;

/// One question of the access matrix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatrixRow {
    /// The user.
    pub subject: EntityUid,
    /// The chain of agents, outermost first; empty for the user alone.
    pub chain: Vec<EntityUid>,
    /// The action.
    pub action: EntityUid,
    /// A resource of a type that the action applies to.
    pub resource: EntityUid,
    /// The tool's input as JSON, where a call without any would say nothing.
    pub input: Option<&'static str>,
}

/// Every combination of user, chain (none, and each agent with those it acts through), action, and
/// representative resource of the action's type, in a fixed order.
///
/// # Errors
/// [`SampleError::Name`] if a name of the tables is not the name of an entity.
pub fn matrix() -> Result<Vec<MatrixRow>, SampleError> {
    let mut rows = Vec::new();
    for user in PEOPLE {
        for chain in CHAINS {
            for action in ACTIONS {
                for resource in action.resources {
                    rows.push(MatrixRow {
                        subject: uid("User", user)?,
                        chain: chain.iter().map(|agent| uid("Agent", agent)).collect::<Result<_, _>>()?,
                        action: uid("Action", action.id)?,
                        resource: uid(action.resource_type, resource)?,
                        input: action.input,
                    });
                }
            }
        }
    }
    Ok(rows)
}

fn uid(entity_type: &str, id: &str) -> Result<EntityUid, SampleError> {
    EntityUid::of(entity_type, id).map_err(|source: UidError| SampleError::Name { name: id.to_owned(), source })
}

/// An action, the type it applies to, and the resources that stand for that type.
pub(crate) struct MatrixAction {
    pub(crate) id: &'static str,
    pub(crate) resource_type: &'static str,
    resources: &'static [&'static str],
    input: Option<&'static str>,
}

const fn action(id: &'static str, resource_type: &'static str, resources: &'static [&'static str]) -> MatrixAction {
    MatrixAction { id, resource_type, resources, input: None }
}

const fn with_input(action: MatrixAction, input: &'static str) -> MatrixAction {
    MatrixAction { input: Some(input), ..action }
}

pub(crate) const PEOPLE: &[&str] = &["ada", "ben", "chen"];

/// The user alone, then every agent of the directory at the end of its chain.
pub(crate) const CHAINS: &[&[&str]] =
    &[&[], &["triage-bot"], &["triage-bot", "mailer"], &["release-bot"], &["digest-bot"]];

const CHANNELS: &[&str] = &["general", "leadership", "launch-2024"];
const REPOSITORIES: &[&str] = &["corp/gatehouse", "corp/website"];
const MAILBOXES: &[&str] = &["ada", "chen", "helpdesk"];

pub(crate) const ACTIONS: &[MatrixAction] = &[
    action("github/comment_on_issue", "Repository", REPOSITORIES),
    action("github/create_issue", "Repository", REPOSITORIES),
    action("github/create_release", "Repository", REPOSITORIES),
    action("github/list_repositories", "Server", &["github"]),
    action("github/merge_pull_request", "Repository", REPOSITORIES),
    with_input(action("github/push_branch", "Repository", REPOSITORIES), r#"{"branch":"fix","files":3}"#),
    action("github/read_repository", "Repository", REPOSITORIES),
    action("mail/delete", "Mailbox", MAILBOXES),
    action("mail/read", "Mailbox", MAILBOXES),
    action("mail/search", "Mailbox", MAILBOXES),
    with_input(
        action("mail/send", "Mailbox", MAILBOXES),
        r#"{"to":"ben@corp.example","subject":"status","size_bytes":1200}"#,
    ),
    action("slack/archive_channel", "Channel", CHANNELS),
    action("slack/invite_member", "Channel", CHANNELS),
    action("slack/list_channels", "Server", &["slack"]),
    with_input(action("slack/post_message", "Channel", CHANNELS), r#"{"text":"hello"}"#),
    action("slack/read_channel", "Channel", CHANNELS),
];
