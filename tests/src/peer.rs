//! A peer that speaks the protocol byte by byte, well or badly.

use std::net::SocketAddr;
use std::sync::Arc;

use portcullis_client::{ClientOptions, Credential};
use portcullis_model::{Decision, Refusal};
use portcullis_wire::frames::{DecisionV1, ErrorV1, HelloV1, OpenedV1, RegisteredV1, WelcomeV1};
use portcullis_wire::{ALPN, FrameKind, FrameReader, FrameWriter, Payload};
use quinn::crypto::rustls::QuicClientConfig;
use tokio::time::timeout;

use crate::wait::DEADLINE;

/// A connection with one lane.
pub struct Peer {
    _endpoint: quinn::Endpoint,
    connection: quinn::Connection,
    send: quinn::SendStream,
    receive: quinn::RecvStream,
    reader: FrameReader,
    last_corr: u32,
}

/// What came back on the lane.
#[derive(Debug)]
pub enum Reply {
    /// The node refused; the number is the request's, 0 for the connection.
    Error(u32, Refusal),
    /// The connection is accepted.
    Welcome(Box<WelcomeV1>),
    /// A session is open.
    Opened(Box<OpenedV1>),
    /// A decision.
    Decision(Box<Decision>),
    /// The first of the numbers of registered names.
    Registered(u32),
    /// Another frame.
    Other(FrameKind),
    /// The lane or the connection was closed, for this reason.
    Closed(String),
}

impl Peer {
    /// Connects and opens a lane; says nothing yet.
    pub async fn dial(options: &ClientOptions) -> Self {
        let address: SocketAddr = options.address.parse().unwrap();
        let mut endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
        endpoint.set_default_client_config(tls(options));
        let connection = endpoint.connect(address, &options.server_name).unwrap().await.unwrap();
        let (send, receive) = connection.open_bi().await.unwrap();
        Self { _endpoint: endpoint, connection, send, receive, reader: FrameReader::for_client(), last_corr: 0 }
    }

    /// Connects and is welcomed.
    pub async fn connect(options: &ClientOptions) -> Self {
        let mut peer = Self::dial(options).await;
        match peer.ask(&hello()).await {
            Reply::Welcome(_) => peer,
            other => panic!("not welcomed: {other:?}"),
        }
    }

    /// Sends a frame and waits for what comes next.
    pub async fn ask<P: Payload>(&mut self, payload: &P) -> Reply {
        self.last_corr += 1;
        let bytes = frame(self.last_corr, payload);
        self.say(&bytes).await
    }

    /// Sends bytes and waits for what comes next.
    pub async fn say(&mut self, bytes: &[u8]) -> Reply {
        // A node that has closed the lane says so to whoever reads.
        let _ = self.send.write_all(bytes).await;
        self.next().await
    }

    /// Ends the client's side of the lane and waits for what comes next.
    pub async fn finish(&mut self) -> Reply {
        let _ = self.send.finish();
        self.next().await
    }

    /// What comes next on the lane.
    pub async fn next(&mut self) -> Reply {
        timeout(DEADLINE, self.read()).await.unwrap_or_else(|_| panic!("no answer within {DEADLINE:?}"))
    }

    /// What comes next on the lane, however long that takes.
    pub async fn read_on(&mut self) -> Reply {
        self.read().await
    }

    async fn read(&mut self) -> Reply {
        loop {
            match self.reader.next_frame() {
                Ok(Some(frame)) => return reply(&frame),
                Ok(None) => {}
                Err(cause) => panic!("the node sent what is no frame: {cause}"),
            }
            match self.receive.read_chunk(64 * 1024, true).await {
                Ok(Some(chunk)) => assert_eq!(self.reader.push(&chunk.bytes), chunk.bytes.len()),
                Ok(None) => return Reply::Closed("the node finished the lane".to_owned()),
                Err(_) => return Reply::Closed(self.connection.closed().await.to_string()),
            }
        }
    }
}

/// A good first frame.
pub fn hello() -> HelloV1 {
    HelloV1 {
        client: "peer".into(),
        version: "0".into(),
        token: String::new(),
        schema_min: 1,
        schema_max: 1,
        features: 0,
        stamp: 1,
    }
}

/// The bytes of a frame.
pub fn frame<P: Payload>(corr: u32, payload: &P) -> Vec<u8> {
    let mut writer = FrameWriter::default();
    writer.append(corr, payload).unwrap();
    writer.bytes().to_vec()
}

fn reply(frame: &portcullis_wire::Frame<'_>) -> Reply {
    match frame.kind().unwrap() {
        FrameKind::Error => Reply::Error(frame.header.corr, frame.read::<ErrorV1>().unwrap().to_refusal().unwrap()),
        FrameKind::Welcome => Reply::Welcome(Box::new(frame.read().unwrap())),
        FrameKind::Opened => Reply::Opened(Box::new(frame.read().unwrap())),
        FrameKind::Decision => Reply::Decision(Box::new(frame.read::<DecisionV1>().unwrap().to_decision().unwrap())),
        FrameKind::Registered => Reply::Registered(frame.read::<RegisteredV1>().unwrap().first),
        other => Reply::Other(other),
    }
}

fn tls(options: &ClientOptions) -> quinn::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(options.roots.iter().cloned());
    let config = rustls::ClientConfig::builder_with_provider(Arc::clone(&options.provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match options.credential.clone() {
        Credential::Certificate { chain, key } => config.with_client_auth_cert(chain, key).unwrap(),
        _ => config.with_no_client_auth(),
    };
    config.alpn_protocols = vec![ALPN.to_vec()];
    quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(config).unwrap()))
}
