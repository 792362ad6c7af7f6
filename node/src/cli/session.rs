//! `session`: list and show.

use portcullis_client::admin::{AdminReply, AdminRequest, SessionQuery, SessionView};
use serde_json::json;

use crate::cli::arguments::{Global, ListFilter, SessionCommand};
use crate::cli::connection::{Connection, unexpected};
use crate::cli::report_text::short;
use crate::cli::table::table;
use crate::cli::{SCHEMA_VERSION, note, print};
use crate::exit::Exit;
use crate::output::{Failure, Format};

/// Lists or shows.
pub(crate) fn run(global: &Global, command: &SessionCommand) -> Result<Exit, Failure> {
    let connection = Connection::open(global)?;
    match command {
        SessionCommand::List(filter) => list(global, &connection, filter),
        SessionCommand::Show { id } => {
            let AdminReply::Session(session) = connection.call(&AdminRequest::SessionShow { id: *id })? else {
                return Err(unexpected());
            };
            print(global.output, &session, session_text)?;
            Ok(Exit::Ok)
        }
    }
}

fn list(global: &Global, connection: &Connection, filter: &ListFilter) -> Result<Exit, Failure> {
    let wanted = usize::try_from(filter.limit).unwrap_or(usize::MAX);
    let mut sessions: Vec<SessionView> = Vec::new();
    let mut after = None;
    let live = loop {
        let query = SessionQuery {
            subject: filter.subject.clone(),
            agent: filter.agent.clone(),
            limit: u32::try_from(wanted - sessions.len()).unwrap_or(0).min(portcullis_wire::limits::PAGE_MAX),
            after,
        };
        let AdminReply::Sessions(page) = connection.call(&AdminRequest::SessionList(query))? else {
            return Err(unexpected());
        };
        let is_empty = page.sessions.is_empty();
        sessions.extend(page.sessions);
        after = page.next;
        if after.is_none() || is_empty || sessions.len() >= wanted {
            break page.live;
        }
    };
    sessions.truncate(wanted);
    if global.output == Format::Ndjson {
        sessions.iter().try_for_each(|session| print(Format::Ndjson, session, |_| String::new()))?;
        return Ok(Exit::Ok);
    }
    let document =
        json!({ "schema_version": SCHEMA_VERSION, "sessions": sessions, "live": live, "more": after.is_some() });
    print(global.output, &document, |_| sessions_text(&sessions))?;
    if global.output == Format::Text {
        note(&format!("{} shown, {live} live in all", sessions.len()));
    }
    Ok(Exit::Ok)
}

fn sessions_text(sessions: &[SessionView]) -> String {
    let row = |session: &SessionView| {
        [
            session.id.to_string(),
            short(&session.subject),
            chain(session),
            session.expires.to_string(),
            session.ended.map_or_else(|| "live".to_owned(), |reason| reason.code().to_owned()),
        ]
    };
    table(["SESSION", "FOR", "CHAIN", "EXPIRES", "STATE"], sessions.iter().map(row))
}

fn chain(session: &SessionView) -> String {
    let agents: Vec<String> = session.agents.iter().map(short).collect();
    if agents.is_empty() { "-".to_owned() } else { agents.join(" -> ") }
}

fn session_text(session: &SessionView) -> String {
    let state = session.ended.map_or("live", |reason| reason.words());
    format!(
        "{}\n  for      {}\n  chain    {}\n  born at  {}\n  expires  {}\n  state    {state}\n",
        session.id,
        short(&session.subject),
        chain(session),
        session.born_at,
        session.expires
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use portcullis_model::{Reason, Revision, SessionId, Timestamp};

    use super::*;

    #[test]
    fn a_list_has_a_line_a_session() {
        let session = SessionView {
            id: SessionId::from_bytes([1; 16]),
            subject: "User::ada".parse().unwrap(),
            agents: vec!["Agent::triage-bot".parse().unwrap(), "Agent::mailer".parse().unwrap()],
            born_at: Revision::new(1, 3),
            expires: Timestamp::from_millis(0),
            ended: None,
        };
        let ended = SessionView { agents: Vec::new(), ended: Some(Reason::AgentRevoked), ..session.clone() };
        let id = "s_01010101010101010101010101010101";
        assert_eq!(
            sessions_text(&[session, ended]),
            format!(
                "SESSION                             FOR  CHAIN                 EXPIRES                   STATE\n\
                 {id}  ada  triage-bot -> mailer  1970-01-01T00:00:00.000Z  live\n\
                 {id}  ada  -                     1970-01-01T00:00:00.000Z  agent_revoked\n"
            )
        );
    }
}
