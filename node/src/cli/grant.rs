//! `grant`: issue and list.

use portcullis_client::admin::{AdminReply, AdminRequest, DelegateOrder, GrantOrder, GrantQuery, GrantView};
use portcullis_model::{ResourceScope, Timestamp};
use serde_json::json;

use crate::cli::arguments::{Global, GrantArguments, GrantCommand, IssueOrder, ListFilter};
use crate::cli::connection::{Connection, unexpected};
use crate::cli::report_text::short;
use crate::cli::table::table;
use crate::cli::{SCHEMA_VERSION, known, print, style, time};
use crate::exit::Exit;
use crate::output::{Failure, Format};

/// Issues or lists.
pub(crate) fn run(global: &Global, arguments: &GrantArguments) -> Result<Exit, Failure> {
    match (&arguments.command, &arguments.issue) {
        (Some(GrantCommand::List(filter)), _) => list(global, filter),
        (Some(GrantCommand::Issue(order)), _) | (None, Some(order)) => issue(global, order),
        (None, None) => {
            let fix = "portcullis grant --for USER --agent AGENT --action ACTION --resource RESOURCE";
            Err(Failure::usage("nothing to grant was named", fix))
        }
    }
}

fn issue(global: &Global, order: &IssueOrder) -> Result<Exit, Failure> {
    let connection = Connection::open(global)?;
    let reply = connection.call(&request(order, time::now()));
    let reply = reply.map_err(|failure| {
        let failure = known::or_nearest(&connection, failure, &order.subject);
        known::or_nearest(&connection, failure, &order.agent)
    })?;
    let AdminReply::Granted { id, revision } = reply else { return Err(unexpected()) };
    let document = json!({ "schema_version": SCHEMA_VERSION, "id": id, "revision": revision });
    print(global.output, &document, |_| {
        let undo = global.program().line(&["revoke", "grant", &id.to_string()]);
        format!("{} {id} at revision {revision}\n  to end it     {undo}", style::good("✔ granted"))
    })?;
    Ok(Exit::Ok)
}

/// The call: a grant, or with a parent a delegation, whose subject is its parent's.
fn request(order: &IssueOrder, now: Timestamp) -> AdminRequest {
    let expires = order.ttl.map(|ttl| now.plus(ttl));
    match order.parent {
        None => AdminRequest::Grant(GrantOrder {
            id: None,
            grantor: None,
            subject: order.subject.clone(),
            agent: order.agent.clone(),
            depth_left: order.depth,
            actions: order.actions.clone(),
            resource: order.resource.clone(),
            condition: order.condition.clone(),
            not_before: None,
            expires,
        }),
        Some(parent) => AdminRequest::Delegate(DelegateOrder {
            id: None,
            parent,
            agent: order.agent.clone(),
            depth_left: order.depth,
            actions: order.actions.clone(),
            resource: order.resource.clone(),
            condition: order.condition.clone(),
            not_before: None,
            expires,
        }),
    }
}

fn list(global: &Global, filter: &ListFilter) -> Result<Exit, Failure> {
    let connection = Connection::open(global)?;
    let wanted = usize::try_from(filter.limit).unwrap_or(usize::MAX);
    let (mut grants, mut after) = (Vec::new(), None);
    loop {
        let query = GrantQuery {
            subject: filter.subject.clone(),
            agent: filter.agent.clone(),
            limit: u32::try_from(wanted - grants.len()).unwrap_or(0).min(portcullis_wire::limits::PAGE_MAX),
            after,
        };
        let AdminReply::Grants(page) = connection.call(&AdminRequest::GrantList(query))? else {
            return Err(unexpected());
        };
        let is_empty = page.grants.is_empty();
        grants.extend(page.grants);
        after = page.next;
        if after.is_none() || is_empty || grants.len() >= wanted {
            break;
        }
    }
    grants.truncate(wanted);
    show(global, &grants, after.is_some())
}

fn show(global: &Global, grants: &[GrantView], more: bool) -> Result<Exit, Failure> {
    if global.output == Format::Ndjson {
        grants.iter().try_for_each(|grant| print(Format::Ndjson, grant, |_| String::new()))?;
    } else {
        let document = json!({ "schema_version": SCHEMA_VERSION, "grants": grants, "more": more });
        print(global.output, &document, |_| grants_text(grants))?;
    }
    Ok(Exit::Ok)
}

fn grants_text(grants: &[GrantView]) -> String {
    let row = |view: &GrantView| {
        let grant = &view.grant;
        [
            grant.id.to_string(),
            short(&grant.subject),
            short(&grant.agent),
            grant.actions.iter().map(short).collect::<Vec<_>>().join(","),
            scope_text(&grant.resource),
            grant.parent.map_or_else(|| "-".to_owned(), |parent| parent.to_string()),
            grant.expires.map_or_else(|| "never".to_owned(), |expires| expires.to_string()),
            if view.revoked { "revoked" } else { "live" }.to_owned(),
        ]
    };
    table(["GRANT", "FOR", "AGENT", "ACTIONS", "RESOURCE", "PARENT", "EXPIRES", "STATE"], grants.iter().map(row))
}

fn scope_text(scope: &ResourceScope) -> String {
    match scope {
        ResourceScope::Any => "any".to_owned(),
        ResourceScope::One(uid) => uid.shown(),
        ResourceScope::In(uid) => format!("in:{}", uid.shown()),
        ResourceScope::OfType(entity_type) => format!("type:{}", entity_type.as_str()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
    use super::*;
    use crate::cli::arguments::Command;
    use crate::cli::names::scope;
    use crate::cli::tests::parse;

    const TYPED: [&str; 13] = [
        "grant",
        "--for",
        "ada",
        "--agent",
        "mailer",
        "--action",
        "mail/read",
        "--action",
        "mail/send",
        "--resource",
        "in:Server::mail",
        "--ttl",
        "10m",
    ];

    fn order(typed: &[&str]) -> IssueOrder {
        match parse(typed).unwrap().command {
            Command::Grant(GrantArguments { command: None, issue: Some(order) }) => order,
            Command::Grant(GrantArguments { command: Some(GrantCommand::Issue(order)), .. }) => order,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_grant_is_what_was_typed() {
        let AdminRequest::Grant(grant) = request(&order(&TYPED), Timestamp::from_millis(1_000)) else { panic!() };
        assert_eq!(grant.subject.to_string(), "User::\"ada\"");
        assert_eq!(grant.actions.len(), 2);
        assert_eq!(grant.resource, ResourceScope::In("Server::mail".parse().unwrap()));
        assert_eq!(grant.expires, Some(Timestamp::from_millis(601_000)));
        let mut with_word = vec!["grant", "issue"];
        with_word.extend(&TYPED[1..]);
        assert_eq!(order(&with_word).actions, order(&TYPED).actions);
    }

    #[test]
    fn a_parent_makes_it_a_delegation() {
        let mut typed = TYPED.to_vec();
        typed.extend(["--parent", "g_00000000000000000000000000000001", "--depth", "2"]);
        let AdminRequest::Delegate(delegation) = request(&order(&typed), Timestamp::from_millis(0)) else { panic!() };
        assert_eq!((delegation.depth_left, delegation.agent.id()), (2, "mailer"));
    }

    #[test]
    fn scopes_are_typed_as_they_are_shown() {
        for text in ["any", "Channel::general", "in:Server::mail", "type:Slack::Channel"] {
            assert_eq!(scope_text(&scope(text).unwrap()), text);
        }
        for text in ["", "all", "in:mail", "type:", "of:Channel::x", "in::mail:x"] {
            assert!(scope(text).is_err(), "{text}");
        }
    }

    #[test]
    fn list_and_half_a_grant_are_told_apart() {
        assert!(matches!(
            parse(&["grant", "list", "--agent", "mailer"]).unwrap().command,
            Command::Grant(GrantArguments { command: Some(GrantCommand::List(_)), .. })
        ));
        assert!(parse(&["grant", "--for", "ada"]).is_err());
        assert!(parse(&["grant"]).is_err());
    }
}
