//! A node's side of the protocol, written by hand: it answers by the names it is asked about and does
//! the rest when a test tells it to.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis_model::{Decision, DecisionId, ErrorCode, Reason, Refusal, Request, Revision, Verdict};
use portcullis_wire::admin::{AdminAssembler, AdminReply, AdminRequest, chunks};
use portcullis_wire::frames::*;
use portcullis_wire::{Flags, Frame, FrameKind, FrameReader, FrameWriter, Payload};
use quinn::{Connection, Endpoint, SendStream};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::mpsc;

use crate::link::feed;
use crate::{Client, ClientOptions, Credential, EntityUid, OpenRequest, Session};

/// What a test makes the peer do.
#[derive(Debug)]
pub(super) enum Command {
    /// Write a push frame.
    Heartbeat {
        push_seq: u64,
        lease_ms: u32,
    },
    Ended(EndedV1),
    GoAway,
    /// Write frames on the first lane, whole or not.
    Raw(Vec<u8>),
    /// Close the connection.
    Close,
}

/// What the peer is like.
#[derive(Clone)]
pub(super) struct Manner {
    pub(super) in_flight: u32,
    pub(super) names: u32,
    pub(super) refuse_hello: bool,
    pub(super) refuse_resume: bool,
    pub(super) answer_subscribe: bool,
}

impl Default for Manner {
    fn default() -> Self {
        Self { in_flight: 64, names: 100, refuse_hello: false, refuse_resume: false, answer_subscribe: true }
    }
}

/// A frame that the peer has read: its kind, correlation number, and for an open its proof's kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) kind: FrameKind,
    pub(super) corr: u32,
    pub(super) detail: u64,
}

pub(super) struct Peer {
    pub(super) address: SocketAddr,
    pub(super) certificate: CertificateDer<'static>,
    seen: mpsc::UnboundedReceiver<Seen>,
    commands: Arc<Mutex<Vec<mpsc::UnboundedSender<Command>>>>,
    _endpoint: Endpoint,
}

impl Peer {
    pub(super) fn start(manner: Manner) -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
        let certificate = made.cert.der().clone();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .expect("a usable certificate");
        tls.alpn_protocols = vec![portcullis_wire::ALPN.to_vec()];
        let crypto = quinn::crypto::rustls::QuicServerConfig::try_from(tls).expect("QUIC");
        let config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
        let endpoint = Endpoint::server(config, (Ipv4Addr::LOCALHOST, 0).into()).expect("a socket");
        let address = endpoint.local_addr().expect("an address");
        let (seen_sender, seen) = mpsc::unbounded_channel();
        let commands = Arc::new(Mutex::new(Vec::new()));
        tokio::spawn(accept(endpoint.clone(), manner, seen_sender, Arc::clone(&commands)));
        Self { address, certificate, seen, commands, _endpoint: endpoint }
    }

    pub(super) fn options(&self) -> ClientOptions {
        let credential = Credential::Token("secret".into());
        let mut options =
            ClientOptions::new(self.address.to_string(), "localhost", vec![self.certificate.clone()], credential);
        // Longer than any test takes; tests of deadlines set their own.
        options.deadline = Duration::from_secs(20);
        options
    }

    /// Sends a command to the newest connection.
    pub(super) fn tell(&self, command: Command) {
        let commands = self.commands.lock().expect("lock");
        commands.last().expect("a connection").send(command).expect("a live connection");
    }

    /// The next frame of this kind; frames of other kinds before it are passed over.
    pub(super) async fn until(&mut self, kind: FrameKind) -> Seen {
        loop {
            let seen = self.seen.recv().await.expect("the peer lives");
            if seen.kind == kind {
                return seen;
            }
        }
    }

    /// The next frame that has arrived already.
    pub(super) fn next_now(&mut self) -> Option<Seen> {
        self.seen.try_recv().ok()
    }

    /// The kinds of decide frames seen so far.
    pub(super) fn decides(&mut self) -> Vec<FrameKind> {
        let mut kinds = Vec::new();
        while let Ok(seen) = self.seen.try_recv() {
            if matches!(seen.kind, FrameKind::Decide | FrameKind::DecideText | FrameKind::Batch) {
                kinds.push(seen.kind);
            }
        }
        kinds
    }
}

pub(super) fn uid(text: &str) -> EntityUid {
    text.parse().expect("a name")
}

pub(super) fn ask(resource: &str) -> Request {
    Request::new(uid("Action::\"post\""), uid(resource))
}

pub(super) async fn connected(manner: Manner) -> (Peer, Client) {
    let peer = Peer::start(manner);
    let client = Client::connect(peer.options()).await.expect("connected");
    (peer, client)
}

pub(super) async fn in_session(manner: Manner) -> (Peer, Client, Session) {
    let (peer, client) = connected(manner).await;
    let session = client.open(&asserted("User::ada")).await.expect("opened");
    (peer, client, session)
}

pub(super) fn asserted(user: &str) -> OpenRequest {
    OpenRequest::asserted(uid(user), [uid("Agent::mailer")])
}

async fn accept(
    endpoint: Endpoint,
    manner: Manner,
    seen: mpsc::UnboundedSender<Seen>,
    commands: Arc<Mutex<Vec<mpsc::UnboundedSender<Command>>>>,
) {
    while let Some(incoming) = endpoint.accept().await {
        let Ok(connection) = incoming.await else { continue };
        let (sender, receiver) = mpsc::unbounded_channel();
        commands.lock().expect("lock").push(sender);
        let conversation = Arc::new(Conversation {
            manner: manner.clone(),
            seen: seen.clone(),
            stamp: Mutex::new(0),
            names: Mutex::new(Vec::new()),
            held: Mutex::new(HashMap::new()),
        });
        tokio::spawn(serve(connection, conversation, receiver));
    }
}

struct Conversation {
    manner: Manner,
    seen: mpsc::UnboundedSender<Seen>,
    stamp: Mutex<u64>,
    names: Mutex<Vec<String>>,
    /// Requests about `Channel::late`, answered when the next one about something else comes.
    held: Mutex<HashMap<u32, String>>,
}

async fn serve(
    connection: Connection,
    conversation: Arc<Conversation>,
    mut commands: mpsc::UnboundedReceiver<Command>,
) {
    let (first, mut receive) = connection.accept_bi().await.expect("the first lane");
    let first = Arc::new(tokio::sync::Mutex::new(first));
    let (lane, talk) = (Arc::clone(&first), Arc::clone(&conversation));
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        let mut reader = FrameReader::for_server();
        let mut calls = AdminAssembler::default();
        while let Ok(Some(chunk)) = receive.read_chunk(16 * 1024, true).await {
            let mut out = FrameWriter::default();
            feed(&mut reader, &chunk.bytes, |frame| {
                talk.answer(frame, &mut calls, &mut out);
                Ok(())
            })
            .expect("valid frames");
            let _ = lane.lock().await.write_all(out.bytes()).await;
        }
    });
    let (other, talk) = (connection.clone(), Arc::clone(&conversation));
    tasks.spawn(async move {
        while let Ok((mut send, mut receive)) = other.accept_bi().await {
            let mut reader = FrameReader::for_server();
            let mut calls = AdminAssembler::default();
            while let Ok(Some(chunk)) = receive.read_chunk(16 * 1024, true).await {
                let mut out = FrameWriter::default();
                feed(&mut reader, &chunk.bytes, |frame| {
                    talk.answer(frame, &mut calls, &mut out);
                    Ok(())
                })
                .expect("valid frames");
                let _ = send.write_all(out.bytes()).await;
            }
        }
    });
    let mut push: Option<SendStream> = None;
    while let Some(command) = commands.recv().await {
        let mut out = FrameWriter::default();
        match command {
            Command::Heartbeat { push_seq, lease_ms } => {
                let echo = *conversation.stamp.lock().expect("lock");
                out.append(0, &HeartbeatV1 { push_seq, echo, lease_ms, epoch: 1, seq: 1 }).expect("written");
            }
            Command::Ended(ended) => out.append(0, &ended).expect("written"),
            Command::GoAway => out.append(0, &GoAwayV1 { retry_after_ms: 1 }).expect("written"),
            Command::Raw(bytes) => {
                first.lock().await.write_all(&bytes).await.expect("written");
                continue;
            }
            Command::Close => {
                connection.close(1_u32.into(), b"told to");
                return;
            }
        }
        if push.is_none() {
            push = Some(connection.open_uni().await.expect("the push stream"));
        }
        push.as_mut().expect("open").write_all(out.bytes()).await.expect("written");
    }
}

impl Conversation {
    fn answer(&self, frame: &Frame<'_>, calls: &mut AdminAssembler, out: &mut FrameWriter) {
        let (kind, corr) = (frame.kind().expect("a known kind"), frame.header.corr);
        let mut detail = 0;
        match kind {
            FrameKind::Hello => {
                *self.stamp.lock().expect("lock") = frame.read::<HelloV1>().expect("a hello").stamp;
                self.greet(out);
            }
            FrameKind::Applied => {
                let applied = frame.read::<AppliedV1>().expect("applied");
                *self.stamp.lock().expect("lock") = applied.stamp;
                detail = applied.push_seq;
            }
            FrameKind::Register => {
                let mut names = self.names.lock().expect("lock");
                let first = u32::try_from(names.len()).expect("few");
                let more = frame.read::<RegisterV1>().expect("names").names;
                put(out, corr, &RegisteredV1 { first, count: u32::try_from(more.len()).expect("few") });
                names.extend(more);
            }
            FrameKind::Open => detail = self.open(frame, out),
            FrameKind::Refresh => put(out, corr, &opened(7)),
            FrameKind::Close => {
                detail = frame.read::<CloseV1>().expect("close").session;
                put(out, corr, &ClosedV1 { epoch: 1, seq: 2 });
            }
            FrameKind::Decide => {
                let decide = frame.read::<DecideV1>().expect("a question");
                self.decide(corr, &self.name(decide.resource), out);
            }
            FrameKind::DecideText => {
                self.decide(corr, &frame.read::<DecideTextV1>().expect("a question").resource, out);
            }
            FrameKind::Batch => {
                let batch = frame.read::<BatchV1>().expect("questions");
                let answer = |item: &BatchItemV1| match decision(&self.name(item.resource)) {
                    Ok(decision) => AnswerV1::decided(DecisionV1::new(&decision, Want::Verdict)),
                    Err(refusal) => AnswerV1::refused(&refusal),
                };
                put(out, corr, &BatchDecisionsV1 { answers: batch.items.iter().map(answer).collect() });
            }
            FrameKind::Subscribe if self.manner.answer_subscribe => {
                put(out, corr, &SubscribedV1 { push_seq: 9, epoch: 1, seq: 1 });
            }
            FrameKind::Admin => {
                if let Some(json) = calls.push(frame).expect("a chunk") {
                    administer(corr, &json, out);
                }
            }
            _ => {}
        }
        let _ = self.seen.send(Seen { kind, corr, detail });
    }

    fn greet(&self, out: &mut FrameWriter) {
        if self.manner.refuse_hello {
            put(out, 0, &ErrorV1::new(&Refusal::new(ErrorCode::Unauthenticated, "no such client")));
            return;
        }
        let limits = LimitsV1 { in_flight: self.manner.in_flight, names: self.manner.names, ..LimitsV1::default() };
        put(
            out,
            0,
            &WelcomeV1 {
                node: "peer".into(),
                version: "0".into(),
                epoch: 1,
                seq: 1,
                role: 1,
                lanes: 2,
                schema: 1,
                features: 0,
                heartbeat_ms: 250,
                // Tests of the lease push heartbeats with shorter ones.
                lease_ms: 60_000,
                limits,
            },
        );
    }

    fn open(&self, frame: &Frame<'_>, out: &mut FrameWriter) -> u64 {
        let (corr, open) = (frame.header.corr, frame.read::<OpenV1>().expect("an open"));
        match open.subject.to_proof().expect("a proof") {
            Proof::Session(_) if self.manner.refuse_resume => {
                put(out, corr, &ErrorV1::new(&Refusal::new(ErrorCode::NotFound, "no such session")));
            }
            Proof::Asserted(user) if user == uid("User::dead") => {
                let id = DecisionId::from_bytes([1; 16]);
                let denied = Decision::new(id, Verdict::Deny, Reason::UserRevoked, vec![], Revision::new(1, 1));
                put(out, corr, &DecisionV1::new(&denied, Want::Verdict));
            }
            Proof::Asserted(user) if user == uid("User::stranger") => {
                put(out, corr, &ErrorV1::new(&Refusal::new(ErrorCode::NotPermitted, "not on the list")));
            }
            // Opened only after the next request, which is how a test makes it come late.
            Proof::Asserted(user) if user == uid("User::slow") => {
                self.held.lock().expect("lock").insert(corr, "opened".into());
            }
            _ => put(out, corr, &opened(6)),
        }
        u64::from(open.subject.kind)
    }

    fn decide(&self, corr: u32, resource: &str, out: &mut FrameWriter) {
        let plain = uid(resource).shown();
        if plain == "Channel::late" {
            self.held.lock().expect("lock").insert(corr, plain);
            return;
        }
        for (corr, held) in self.held.lock().expect("lock").drain() {
            match held.as_str() {
                "opened" => put(out, corr, &opened(8)),
                name => respond(corr, name, out),
            }
        }
        if plain != "Channel::silent" {
            respond(corr, &plain, out);
        }
    }

    fn name(&self, number: u32) -> String {
        let names = self.names.lock().expect("lock");
        let name = names.get(usize::try_from(number).expect("small")).expect("a registered name");
        uid(name).shown()
    }
}

fn respond(corr: u32, resource: &str, out: &mut FrameWriter) {
    match decision(resource) {
        Ok(decision) => put(out, corr, &DecisionV1::new(&decision, Want::Policies)),
        Err(refusal) => put(out, corr, &ErrorV1 { retry_after_ms: 30, ..ErrorV1::new(&refusal) }),
    }
}

pub(super) fn decision(resource: &str) -> Result<Decision, Refusal> {
    let policy = portcullis_model::PolicyRef { id: "p".into(), file: "p.cedar".into(), line: 3 };
    let plain = uid(resource).shown();
    let (verdict, reason) = match plain.as_str() {
        "Channel::denied" => (Verdict::Deny, Reason::NoPermit),
        "Channel::full" => return Err(Refusal::new(ErrorCode::Overloaded, "the queue is full")),
        "Channel::bad" => return Err(Refusal::new(ErrorCode::UnknownType, "no such type")),
        _ => (Verdict::Allow, Reason::Permitted),
    };
    Ok(Decision::new(DecisionId::from_bytes([2; 16]), verdict, reason, vec![policy], Revision::new(1, 5)))
}

fn opened(handle: u64) -> OpenedV1 {
    OpenedV1 {
        handle,
        session: [4; 16],
        token: "session-token".into(),
        token_expires_ms: 1_000 * handle,
        expires_ms: 9_000,
        born_epoch: 1,
        born_seq: 1,
        subject: uid("User::ada").to_string(),
        agents: vec![uid("Agent::mailer").to_string()],
    }
}

/// Answers `entity_put` with as many entities as it was sent, `status` with a refusal.
fn administer(corr: u32, json: &[u8], out: &mut FrameWriter) {
    let reply = match AdminRequest::from_json(json) {
        Err(error) => AdminReply::Refused(error.to_refusal()),
        Ok(AdminRequest::EntityPut { entities }) => {
            let view = |entity| portcullis_wire::admin::EntityView { entity, standing: Default::default() };
            let entities = entities.into_iter().map(view).collect();
            AdminReply::Entities(portcullis_wire::admin::EntityPage { entities, next: None })
        }
        _ => AdminReply::Refused(Refusal::new(ErrorCode::NotPermitted, "not an operator")),
    };
    for (flags, chunk) in chunks(FrameKind::AdminReply, &reply.to_json().expect("JSON")) {
        assert!(flags == Flags::NONE || flags == Flags::MORE);
        out.append_bytes(FrameKind::AdminReply, flags, corr, chunk).expect("written");
    }
}

fn put<P: Payload>(out: &mut FrameWriter, corr: u32, payload: &P) {
    out.append(corr, payload).expect("a valid frame");
}
