//! A peer that speaks the protocol byte by byte.

use std::net::SocketAddr;
use std::sync::Arc;

use portcullis_model::{Reason, Refusal, Verdict};
use portcullis_wire::admin::AdminAssembler;
use portcullis_wire::frames::*;
use portcullis_wire::{ALPN, FrameKind, FrameReader, FrameWriter, Payload};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, Endpoint, RecvStream, SendStream, TransportConfig, VarInt};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::time::timeout;

use super::SOON;
use super::node::{Node, Pki};

/// How a peer connects.
pub(super) struct Dial<'a> {
    pub(super) token: &'a str,
    pub(super) certificate: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    /// Bytes of each stream that the node may send before they are read.
    pub(super) window: u32,
}

impl<'a> Dial<'a> {
    pub(super) fn token(token: &'a str) -> Self {
        Self { token, certificate: None, window: 1 << 20 }
    }

    pub(super) async fn to(self, node: &Node) -> Connection {
        self.connect(&node.pki, node.address()).await.unwrap()
    }

    pub(super) async fn connect(self, pki: &Pki, address: SocketAddr) -> Result<Connection, quinn::ConnectionError> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(pki.root()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots);
        let mut tls = match self.certificate {
            Some((chain, key)) => tls.with_client_auth_cert(chain, key).unwrap(),
            None => tls.with_no_client_auth(),
        };
        tls.alpn_protocols = vec![ALPN.to_vec()];
        let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
        let mut transport = TransportConfig::default();
        transport.stream_receive_window(VarInt::from_u32(self.window)).max_concurrent_uni_streams(VarInt::from_u32(4));
        transport.keep_alive_interval(Some(std::time::Duration::from_secs(1)));
        config.transport_config(Arc::new(transport));
        let endpoint = Endpoint::client(([127, 0, 0, 1], 0).into()).unwrap();
        timeout(SOON, endpoint.connect_with(config, address, "localhost").unwrap()).await.unwrap()
    }
}

/// One frame from the node.
#[derive(Debug, PartialEq)]
pub(super) enum Got {
    Welcome(WelcomeV1),
    Error(Refusal),
    Decision(Verdict, Reason),
    Batch(Vec<Result<Verdict, Refusal>>),
    Opened(OpenedV1),
    Closed,
    Registered(RegisteredV1),
    Subscribed(SubscribedV1),
    Admin(Vec<u8>),
    Ended(EndedScope, u32),
    Heartbeat(HeartbeatV1),
    GoAway,
}

/// One lane.
pub(super) struct Stream {
    pub(super) send: Option<SendStream>,
    receive: RecvStream,
    reader: FrameReader,
    chunks: AdminAssembler,
    pub(super) bytes_read: usize,
}

impl Stream {
    pub(super) async fn open(connection: &Connection) -> Self {
        let (send, receive) = timeout(SOON, connection.open_bi()).await.unwrap().unwrap();
        Self::of(Some(send), receive)
    }

    fn of(send: Option<SendStream>, receive: RecvStream) -> Self {
        let reader = FrameReader::for_client();
        Self { send, receive, reader, chunks: AdminAssembler::default(), bytes_read: 0 }
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) {
        timeout(SOON, self.send.as_mut().unwrap().write_all(bytes)).await.unwrap().unwrap();
    }

    pub(super) async fn send<P: Payload>(&mut self, corr: u32, payload: &P) {
        self.write(&frame(corr, payload)).await;
    }

    /// The next frame; `None` when the lane or the connection has ended.
    pub(super) async fn next(&mut self) -> Option<(u32, Got)> {
        timeout(SOON, self.read()).await.unwrap()
    }

    async fn read(&mut self) -> Option<(u32, Got)> {
        loop {
            while let Some(frame) = self.reader.next_frame().unwrap() {
                if let Some(got) = got(&frame, &mut self.chunks) {
                    return Some((frame.header.corr, got));
                }
            }
            let chunk = self.receive.read_chunk(8 * 1024, true).await.ok()??;
            self.bytes_read += chunk.bytes.len();
            assert_eq!(self.reader.push(&chunk.bytes), chunk.bytes.len());
        }
    }

    /// The answer of one request; nothing else is under way.
    pub(super) async fn ask<P: Payload>(&mut self, corr: u32, payload: &P) -> Got {
        self.send(corr, payload).await;
        let (answered, got) = self.next().await.expect("an answer");
        assert_eq!(answered, corr, "{got:?}");
        got
    }
}

pub(super) fn frame<P: Payload>(corr: u32, payload: &P) -> Vec<u8> {
    let mut writer = FrameWriter::default();
    writer.append(corr, payload).unwrap();
    writer.bytes().to_vec()
}

fn got(frame: &portcullis_wire::Frame<'_>, chunks: &mut AdminAssembler) -> Option<Got> {
    Some(match frame.kind().unwrap() {
        FrameKind::Welcome => Got::Welcome(frame.read().unwrap()),
        FrameKind::Error => Got::Error(frame.read::<ErrorV1>().unwrap().to_refusal().unwrap()),
        FrameKind::Decision => {
            let frame = frame.read::<DecisionV1>().unwrap();
            assert_ne!(frame.node_ns, 0);
            let decision = frame.to_decision().unwrap();
            Got::Decision(decision.verdict, decision.reason)
        }
        FrameKind::BatchDecisions => {
            let answers = frame.read::<BatchDecisionsV1>().unwrap().answers;
            let verdict = |answer: &AnswerV1| answer.to_result().unwrap().map(|decision| decision.verdict);
            Got::Batch(answers.iter().map(verdict).collect())
        }
        FrameKind::Opened => Got::Opened(frame.read().unwrap()),
        FrameKind::Closed => Got::Closed,
        FrameKind::Registered => Got::Registered(frame.read().unwrap()),
        FrameKind::Subscribed => Got::Subscribed(frame.read().unwrap()),
        FrameKind::AdminReply => Got::Admin(chunks.push(frame).unwrap()?),
        FrameKind::Ended => {
            let ended = frame.read::<EndedV1>().unwrap();
            Got::Ended(ended.scope().unwrap(), ended.sessions)
        }
        FrameKind::Heartbeat => Got::Heartbeat(frame.read().unwrap()),
        FrameKind::GoAway => Got::GoAway,
        other => panic!("{other} is not the node's to send"),
    })
}

pub(super) fn hello(token: &str) -> HelloV1 {
    HelloV1 {
        client: "peer".into(),
        version: "0".into(),
        token: token.into(),
        schema_min: 1,
        schema_max: 1,
        features: 0,
        stamp: 42,
    }
}

/// A connection that was welcomed.
pub(super) struct Peer {
    pub(super) connection: Connection,
    pub(super) lane: Stream,
    pub(super) welcome: WelcomeV1,
}

impl Peer {
    pub(super) async fn meet(node: &Node, token: &str) -> Self {
        Self::dial(node, Dial::token(token)).await
    }

    pub(super) async fn dial(node: &Node, dial: Dial<'_>) -> Self {
        let token = dial.token;
        let connection = dial.to(node).await;
        let mut lane = Stream::open(&connection).await;
        match lane.ask(0, &hello(token)).await {
            Got::Welcome(welcome) => Self { connection, lane, welcome },
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn push(&self) -> Stream {
        let stream = timeout(SOON, self.connection.accept_uni()).await.unwrap().unwrap();
        Stream::of(None, stream)
    }

    /// A session of ada, direct or through agents.
    pub(super) async fn open(&mut self, agents: &[&str]) -> OpenedV1 {
        match self.lane.ask(900, &open("User::ada", agents)).await {
            Got::Opened(opened) => opened,
            other => panic!("{other:?}"),
        }
    }

    /// Why the node closed the connection.
    pub(super) async fn close_reason(&self) -> (u64, String) {
        close_reason(&self.connection).await
    }
}

pub(super) async fn close_reason(connection: &Connection) -> (u64, String) {
    match timeout(SOON, connection.closed()).await.unwrap() {
        quinn::ConnectionError::ApplicationClosed(close) => {
            (close.error_code.into_inner(), String::from_utf8_lossy(&close.reason).into_owned())
        }
        other => panic!("{other}"),
    }
}

pub(super) fn open(subject: &str, agents: &[&str]) -> OpenV1 {
    let asserted = |name: &&str| ProofV1::from(&Proof::Asserted(super::uid(name)));
    OpenV1 { subject: asserted(&subject), agents: agents.iter().map(asserted).collect(), life_ms: 0 }
}

/// May the session's subject list the channels? In the sample: every person of the staff may, and
/// agents that are assistants.
pub(super) fn list(session: u64) -> DecideTextV1 {
    text(session, "Action::slack/list_channels", "Server::slack")
}

pub(super) fn text(session: u64, action: &str, resource: &str) -> DecideTextV1 {
    DecideTextV1 {
        session,
        at_least: RevisionV1::default(),
        action: action.into(),
        resource: resource.into(),
        details: DetailsV1::default(),
    }
}
