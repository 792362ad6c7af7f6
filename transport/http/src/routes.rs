//! The three routes, and the check that comes before them.

use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::host::{HostFault, HostRule};
use crate::metrics::Metrics;
use crate::probes::{Condition, Probes};

/// What every connection of one listener shares.
pub(crate) struct Shared {
    pub(crate) probes: Arc<dyn Probes>,
    pub(crate) hosts: Vec<String>,
    pub(crate) refusals: Refusals,
}

/// How often a request or connection was refused, by reason.
#[derive(Default)]
pub(crate) struct Refusals {
    pub(crate) connections: AtomicU64,
    pub(crate) host: AtomicU64,
}

/// One connection's view: what all share, and the address that it reached.
#[derive(Clone)]
struct Connection {
    shared: Arc<Shared>,
    reached: SocketAddr,
}

/// The service for one connection, which reached `reached`.
pub(crate) fn router(shared: Arc<Shared>, reached: SocketAddr) -> Router {
    let connection = Connection { shared, reached };
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .layer(middleware::from_fn_with_state(connection.clone(), guard))
        .with_state(connection)
}

/// Refuses foreign names and methods that could change something, and keeps answers out of caches.
async fn guard(State(connection): State<Connection>, request: Request, next: Next) -> Response {
    let rule = HostRule { reached: connection.reached, names: &connection.shared.hosts };
    let mut response = match rule.check(request.uri(), request.headers()) {
        Err(fault) => {
            connection.shared.refusals.host.fetch_add(1, Ordering::Relaxed);
            refuse(fault)
        }
        Ok(()) if !matches!(*request.method(), Method::GET | Method::HEAD) => {
            (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET, HEAD")], "only GET and HEAD\n").into_response()
        }
        Ok(()) => next.run(request).await,
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn refuse(fault: HostFault) -> Response {
    match fault {
        HostFault::Malformed => (StatusCode::BAD_REQUEST, "exactly one Host header is needed\n").into_response(),
        HostFault::Foreign => {
            (StatusCode::FORBIDDEN, "this listener does not answer to that Host: add it to node.admin_hosts\n")
                .into_response()
        }
    }
}

async fn livez() -> &'static str {
    "live\n"
}

async fn readyz(State(connection): State<Connection>, uri: Uri) -> Response {
    let conditions = connection.shared.probes.conditions();
    let ready = !conditions.is_empty() && conditions.iter().all(|condition| condition.state.is_ok());
    let verbose =
        uri.query().is_some_and(|query| query.split('&').any(|part| part == "verbose" || part == "verbose=1"));
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, told(&conditions, ready, verbose)).into_response()
}

/// The verdict, then each condition that does not hold, and where `verbose` each that does.
fn told(conditions: &[Condition], ready: bool, verbose: bool) -> String {
    let mut text = String::from(if ready { "ready\n" } else { "not ready\n" });
    for condition in conditions {
        let (mark, words) = match &condition.state {
            Ok(_) if !verbose => continue,
            Ok(words) => ("ok", words),
            Err(words) => ("waiting", words),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{mark} {}: {words}", condition.name);
    }
    text
}

async fn metrics(State(connection): State<Connection>) -> Response {
    let mut text = connection.shared.probes.metrics();
    let refusals = &connection.shared.refusals;
    let mut own = Metrics::new();
    own.counter("portcullis_admin_refused_total", "Requests and connections that the admin listener refused.")
        .count(&[("reason", "connections")], refusals.connections.load(Ordering::Relaxed))
        .count(&[("reason", "host")], refusals.host.load(Ordering::Relaxed));
    text.push_str(&own.finish());
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}
