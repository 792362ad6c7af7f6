//! The node under test: an engine with the sample organisation, and a server.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use portcullis_audit::{Disk, EntryKind, FileSystem};
use portcullis_identity::{
    Asserts, BearerHash, Credentials, Registration, Registry, Role, SessionTokens, TokenVerifier,
};
use portcullis_log::LogOptions;
use portcullis_model::{Change, EntityRecord, ErrorCode, Origin, Refusal, Revision};
use portcullis_policy::{CompileOptions, OnError, Validation};
use portcullis_runtime::{AuditMode, Classes, Clock, Engine, EngineOptions};
use portcullis_wire::admin::{AdminReply, AdminRequest};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tempfile::TempDir;

use super::uid;
use crate::{AdminFuture, AdminService, Doors, QuicLimits, QuicOptions, QuicServer, TlsIdentity};

/// The bearer tokens of the registered clients.
pub(super) const PLATFORM: &str = "platform-token";
pub(super) const OPERATOR: &str = "operator-token";
pub(super) const AUDITOR: &str = "auditor-token";
/// The URI in the certificate of the client `service`.
const SERVICE_URI: &str = "spiffe://corp.example/service";

pub(super) struct Pki {
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Pki {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self { authority: CertifiedIssuer::self_signed(params, key).unwrap() }
    }

    pub(super) fn root(&self) -> CertificateDer<'static> {
        self.authority.der().clone()
    }

    /// A certificate for `localhost` with these URIs, and its key.
    pub(super) fn issue(&self, uris: &[&str]) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        for uri in uris {
            params.subject_alt_names.push(SanType::URI((*uri).try_into().unwrap()));
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.authority).unwrap();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        (vec![certificate.der().clone()], key.into())
    }

    pub(super) fn service(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        self.issue(&[SERVICE_URI])
    }
}

/// A disk whose syncs wait while it is shut.
#[derive(Clone, Default)]
pub(super) struct Gate {
    shut: Arc<(Mutex<bool>, Condvar)>,
    is_broken: Arc<AtomicBool>,
}

impl Gate {
    pub(super) fn shut(&self) {
        *self.shut.0.lock().unwrap() = true;
    }

    pub(super) fn open(&self) {
        *self.shut.0.lock().unwrap() = false;
        self.shut.1.notify_all();
    }

    /// From now on syncs fail.
    pub(super) fn break_down(&self) {
        self.is_broken.store(true, Ordering::SeqCst);
    }
}

impl Disk for Gate {
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        FileSystem.write_at(file, bytes, offset)
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        let shut = self.shut.0.lock().unwrap();
        let (_open, late) = self.shut.1.wait_timeout_while(shut, super::SOON, |shut| *shut).unwrap();
        assert!(!late.timed_out(), "nobody opened the gate");
        if self.is_broken.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        FileSystem.sync_data(file)
    }
}

/// What the node under test is started with.
pub(super) struct Setting {
    pub(super) audit: AuditMode,
    pub(super) limits: QuicLimits,
    pub(super) workers: usize,
}

impl Default for Setting {
    fn default() -> Self {
        Self { audit: AuditMode::Buffered, limits: QuicLimits::default(), workers: 1 }
    }
}

pub(super) struct Node {
    pub(super) engine: Engine,
    pub(super) server: QuicServer,
    pub(super) pki: Pki,
    pub(super) gate: Gate,
    _folder: TempDir,
}

impl Node {
    pub(super) async fn start() -> Self {
        Self::start_with(Setting::default()).await
    }

    pub(super) async fn start_with(setting: Setting) -> Self {
        let folder = TempDir::new().unwrap();
        let gate = Gate::default();
        let engine = Engine::start(engine_options(&folder, setting.audit, gate.clone())).await.unwrap();
        furnish(&engine).await;
        let pki = Pki::new();
        let (chain, key) = pki.issue(&[]);
        let control = tokio::runtime::Handle::current();
        let mut options = QuicOptions::new(([127, 0, 0, 1], 0).into(), TlsIdentity::new(chain, key), control);
        options.client_ca = Some(vec![pki.root()]);
        options.limits = setting.limits;
        options.workers = setting.workers;
        let doors = Doors {
            registry: Arc::new(registry()),
            verifier: Arc::new(TokenVerifier::default()),
            admin: Arc::new(Admin(engine.clone())),
            node_id: "test-node".to_owned(),
        };
        let server = QuicServer::start(options, engine.clone(), doors).unwrap();
        Self { engine, server, pki, gate, _folder: folder }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.server.local_addresses()[0]
    }

    /// Ends the server and the engine; every test ends so, and thereby shows that they end.
    pub(super) async fn stop(self) {
        self.server.shutdown(std::time::Duration::ZERO).await;
        drop(self.server);
        tokio::time::timeout(super::SOON, self.engine.stop()).await.unwrap();
    }

    /// What the audit says of refusals: code and why.
    pub(super) async fn refusals(&self) -> Vec<(Option<ErrorCode>, String)> {
        self.engine.flush_audit().await.unwrap();
        let mut found = Vec::new();
        for entry in self.engine.audit().reader().oldest_first(0).unwrap() {
            let entry = entry.unwrap().entry;
            if entry.kind == EntryKind::Refused {
                let why = entry.detail.as_ref().and_then(|detail| detail["why"].as_str()).unwrap_or_default();
                found.push((entry.code, why.to_owned()));
            }
        }
        found
    }
}

fn engine_options(folder: &TempDir, audit_mode: AuditMode, gate: Gate) -> EngineOptions {
    // PKCS#8 (RFC 8410) of an Ed25519 key made for these tests.
    let mut key = vec![0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    key.extend([7; 32]);
    EngineOptions {
        folder: folder.path().to_owned(),
        audit_mode,
        classes: Classes::default(),
        compile: CompileOptions { validation: Validation::Strict, on_error: OnError::Deny },
        tokens: Some(Arc::new(SessionTokens::from_pkcs8(&key).unwrap())),
        sessions_max: 10_000,
        clock: Clock::System,
        log: LogOptions::default(),
        audit_disk: Arc::new(gate),
        progress: Arc::new(|_| {}),
    }
}

async fn furnish(engine: &Engine) {
    let directory = portcullis_sample::directory_json().as_bytes();
    let state = portcullis_idp::parse(directory, &portcullis_idp::Mapping::default()).unwrap();
    let mut changes = portcullis_idp::diff(None, &state, &"file".parse().unwrap()).changes;
    engine.publish_policy(portcullis_sample::policy_set(), Origin::Node).await.unwrap();
    changes.extend(portcullis_sample::resources().unwrap().into_iter().map(Change::PutEntity));
    changes.extend(portcullis_sample::grants().unwrap().into_iter().map(Change::Grant));
    engine.apply(changes, Origin::Node).await.unwrap();
}

/// A change that shows in nothing but the revision.
pub(super) async fn advance(engine: &Engine) -> Revision {
    let record = EntityRecord::named(uid("Group::nobody"));
    engine.apply(vec![Change::PutEntity(record)], Origin::Node).await.unwrap()
}

fn registry() -> Registry {
    let bearer = |name: &str, role: Role, token: &str| Registration {
        name: name.to_owned(),
        role,
        credentials: Credentials { bearers: vec![BearerHash::of(token.as_bytes())], ..Credentials::default() },
        asserts: Asserts::default(),
        subject: None,
        agent: None,
        direct: false,
        attributes: Vec::new(),
    };
    let asserts = Asserts {
        subject_types: vec!["User".parse().unwrap()],
        agents: vec![uid("Agent::triage-bot"), uid("Agent::mailer"), uid("Agent::release-bot")],
        ..Asserts::default()
    };
    Registry::new(vec![
        Registration { asserts: asserts.clone(), direct: true, ..bearer("platform", Role::Platform, PLATFORM) },
        bearer("operator", Role::Operator, OPERATOR),
        bearer("auditor", Role::Auditor, AUDITOR),
        Registration {
            name: "service".to_owned(),
            credentials: Credentials { uris: vec![SERVICE_URI.to_owned()], ..Credentials::default() },
            asserts,
            agent: Some(uid("Agent::triage-bot")),
            ..bearer("service", Role::Platform, "")
        },
    ])
    .unwrap()
}

/// Answers `status` by a revision, everything else by a refusal that takes several chunks.
struct Admin(Engine);

/// Longer than three frames.
pub(super) const LONG_REPLY_BYTES: usize = 200_000;

impl AdminService for Admin {
    fn call(&self, caller: Arc<Registration>, request: AdminRequest) -> AdminFuture {
        let engine = self.0.clone();
        Box::pin(async move {
            assert_ne!(caller.role, Role::Platform);
            match request {
                AdminRequest::Status {} => Ok(AdminReply::Done { revision: engine.effective() }),
                AdminRequest::PolicyShow {} => panic!("a call that fails"),
                _ => Err(Refusal::new(ErrorCode::PolicyInvalid, "x".repeat(LONG_REPLY_BYTES))),
            }
        })
    }
}
