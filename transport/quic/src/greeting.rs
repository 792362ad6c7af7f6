//! The first frames of a connection: who the client is, and what it may expect.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use portcullis_audit::{Entry, EntryKind};
use portcullis_identity::{CertificateIdentity, Registration};
use portcullis_model::{ErrorCode, Refusal};
use portcullis_wire::frames::{ErrorV1, HelloV1, LimitsV1, WelcomeV1};
use portcullis_wire::limits::{HEARTBEAT_MS, LANES_MAX, LEASE_MS, REQUEST_FRAME_BYTES_MAX};
use portcullis_wire::{FrameReader, FrameWriter, WireError};
use quinn::{RecvStream, SendStream};
use rustls_pki_types::CertificateDer;
use tokio::time::timeout;

use crate::close::CloseCode;
use crate::connection::Link;
use crate::counters::count;
use crate::worker::Worker;

/// Longest wait for the hello once the handshake is over.
const HELLO_WAIT_MAX: Duration = Duration::from_secs(5);
/// Longest wait for the client to read why it is refused.
const FAREWELL_WAIT_MAX: Duration = Duration::from_secs(1);
/// The only schema number that this version speaks.
const SCHEMA: u16 = 1;

/// A connection that was welcomed, and its first lane.
pub(crate) struct Greeted {
    pub(crate) link: Link,
    pub(crate) send: SendStream,
    pub(crate) receive: RecvStream,
    pub(crate) reader: FrameReader,
}

/// Why a client is not welcome: what it is told, and what the audit is.
struct Unwelcome {
    refusal: Refusal,
    why: String,
}

impl Unwelcome {
    /// The client learns no more than that its credential was not accepted.
    fn credential(why: impl Into<String>) -> Self {
        let refusal = Refusal::new(ErrorCode::Unauthenticated, "the client's credential was not accepted");
        Self { refusal, why: why.into() }
    }
}

/// Reads the hello and answers it; `None` if the connection is closed instead.
pub(crate) async fn greet(worker: &Arc<Worker>, quic: &quinn::Connection) -> Option<Greeted> {
    let hello = timeout(HELLO_WAIT_MAX, read_hello(quic)).await;
    let (mut send, receive, reader, corr, hello) = match hello {
        Ok(Some(arrived)) => arrived,
        Ok(None) => return None,
        Err(_) => {
            count(&worker.counters.unauthenticated, 1);
            CloseCode::Refused.close(quic, "no hello came in time");
            return None;
        }
    };
    let welcome = hello.map_err(|error| Unwelcome { refusal: error.to_refusal(), why: error.to_string() });
    let welcome = welcome.and_then(|hello| identify(worker, quic, &hello).map(|known| (hello, known)));
    let (hello, (registration, certificate)) = match welcome {
        Ok(welcome) => welcome,
        Err(unwelcome) => {
            count(&worker.counters.unauthenticated, 1);
            record(worker, quic, &unwelcome);
            refuse(quic, send, corr, &unwelcome.refusal).await;
            return None;
        }
    };
    let link = Link::new(quic.clone(), registration, certificate, hello.stamp, worker.number());
    let mut writer = FrameWriter::default();
    let written = writer.append(corr, &welcome_to(worker, &link));
    if let Err(error) = written {
        tracing::error!(%error, "the welcome cannot be written");
        return None;
    }
    send.write_all(writer.bytes()).await.ok()?;
    tracing::debug!(client = link.registration.name, address = %quic.remote_address(), "client connected");
    Some(Greeted { link, send, receive, reader })
}

type Arrived = (SendStream, RecvStream, FrameReader, u32, Result<HelloV1, WireError>);

/// The first frame of the first lane; `None` if the connection is lost before.
async fn read_hello(quic: &quinn::Connection) -> Option<Arrived> {
    let (send, mut receive) = quic.accept_bi().await.ok()?;
    let mut reader = FrameReader::for_server();
    loop {
        match reader.next_frame() {
            Ok(Some(frame)) => {
                let (corr, hello) = (frame.header.corr, frame.read::<HelloV1>());
                return Some((send, receive, reader, corr, hello));
            }
            Ok(None) => {}
            Err(error) => return Some((send, receive, reader, 0, Err(error))),
        }
        match receive.read_chunk(REQUEST_FRAME_BYTES_MAX, true).await {
            // Less than one frame is left over, so there is room for all of the chunk.
            Ok(Some(chunk)) => drop(reader.push(&chunk.bytes)),
            Ok(None) => return Some((send, receive, reader, 0, Err(WireError::Truncated(0)))),
            Err(_) => return None,
        }
    }
}

type Known = (Arc<Registration>, Option<CertificateIdentity>);

/// The registration of the client's certificate, else of its bearer token.
fn identify(worker: &Worker, quic: &quinn::Connection, hello: &HelloV1) -> Result<Known, Unwelcome> {
    if !(hello.schema_min..=hello.schema_max).contains(&SCHEMA) {
        let words = format!("schema `{SCHEMA}` is spoken here, and the client does not speak it");
        return Err(Unwelcome { refusal: Refusal::new(ErrorCode::UnknownFrame, words.clone()), why: words });
    }
    if !worker.is_running() {
        let words = "the node is stopping";
        return Err(Unwelcome { refusal: Refusal::new(ErrorCode::ShuttingDown, words), why: words.into() });
    }
    let registry = &worker.doors.registry;
    let certificate = match certificate_of(quic) {
        Some(der) => {
            Some(CertificateIdentity::from_der(&der).map_err(|error| Unwelcome::credential(error.to_string()))?)
        }
        None => None,
    };
    if let Some(registration) = certificate.as_ref().and_then(|certificate| registry.by_certificate(certificate)) {
        return Ok((registration, certificate));
    }
    match registry.by_bearer(&hello.token) {
        Some(registration) => Ok((registration, certificate)),
        None if !hello.token.is_empty() => Err(Unwelcome::credential("the bearer token is nobody's")),
        None if certificate.is_some() => Err(Unwelcome::credential("the certificate is nobody's")),
        None => Err(Unwelcome::credential("neither certificate nor token was shown")),
    }
}

/// The client's own certificate, which the TLS verifier has accepted.
fn certificate_of(quic: &quinn::Connection) -> Option<CertificateDer<'static>> {
    let chain = quic.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    chain.into_iter().next()
}

fn welcome_to(worker: &Worker, link: &Link) -> WelcomeV1 {
    let effective = worker.engine.effective();
    WelcomeV1 {
        node: worker.doors.node_id.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        epoch: effective.epoch,
        seq: effective.seq,
        role: link.role.number(),
        lanes: u8::try_from(LANES_MAX).unwrap_or(1),
        schema: SCHEMA,
        features: 0,
        heartbeat_ms: HEARTBEAT_MS,
        lease_ms: if worker.may_decide.load(Ordering::Acquire) { LEASE_MS } else { HEARTBEAT_MS + 1 },
        limits: LimitsV1::default(),
    }
}

fn record(worker: &Worker, quic: &quinn::Connection, unwelcome: &Unwelcome) {
    let remote = quic.remote_address();
    tracing::debug!(%remote, why = unwelcome.why, "client refused");
    let entry = Entry {
        code: Some(unwelcome.refusal.code),
        detail: Some(serde_json::json!({ "connection": remote.to_string(), "why": unwelcome.why })),
        ..Entry::new(EntryKind::Refused, worker.engine.now())
    };
    // It is refused either way; a full queue counts what it did not take.
    let _ = worker.engine.record(&entry);
}

async fn refuse(quic: &quinn::Connection, mut send: SendStream, corr: u32, refusal: &Refusal) {
    let mut writer = FrameWriter::default();
    if writer.append(corr, &ErrorV1::new(refusal)).is_ok() {
        let bytes = writer.bytes();
        let told = async {
            send.write_all(bytes).await.ok()?;
            send.finish().ok()?;
            send.stopped().await.ok()
        };
        // A client that does not read it reads the reason phrase.
        let _ = timeout(FAREWELL_WAIT_MAX, told).await;
    }
    CloseCode::Refused.close(quic, &refusal.to_string());
}
