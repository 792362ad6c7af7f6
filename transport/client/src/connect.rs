//! From options to a connection that the node has welcomed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use portcullis_wire::frames::{ErrorV1, HelloV1, SubscribeScope, SubscribeV1, WelcomeV1};
use portcullis_wire::{Frame, FrameKind, FrameReader, FrameWriter, WireError};
use quinn::{RecvStream, SendStream};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::error::{ConnectError, DecideError};
use crate::events::Event;
use crate::lane::Lane;
use crate::link::{DONE_CLOSE, Link};
use crate::names::Names;
use crate::options::{ClientOptions, Credential};
use crate::reply::Reply;
use crate::slots::{Abandon, Slots};
use crate::transport;
use crate::trust::Trust;

/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 4;
/// Longest wait for queued frames to arrive before a connection is closed.
const FINISH_WAIT_MAX: Duration = Duration::from_secs(1);
/// The only schema number that this version speaks.
const SCHEMA: u16 = 1;

/// A connection and the tasks that serve it.
pub(crate) struct Served {
    pub(crate) link: Arc<Link>,
    /// Serves this connection only. Sessions of a lost connection keep the link, but not the socket.
    endpoint: quinn::Endpoint,
    readers: JoinSet<()>,
    writers: JoinSet<()>,
}

impl Served {
    /// Sends what is queued, closes, and joins all tasks.
    pub(crate) async fn finish(mut self) {
        self.link.control.finish();
        self.link.others.iter().for_each(|lane| lane.finish());
        let flushed = async { while self.writers.join_next().await.is_some() {} };
        if timeout(FINISH_WAIT_MAX, flushed).await.is_err() {
            tracing::debug!("the connection is closed before all was written");
        }
        self.link.connection.close(DONE_CLOSE, b"done");
        // Lets the close frame leave.
        let _ = timeout(FINISH_WAIT_MAX, self.endpoint.wait_idle()).await;
        self.end().await;
    }

    /// Ends all waiting and joins all tasks, after the connection was lost.
    pub(crate) async fn end(mut self) {
        self.link.connection.close(DONE_CLOSE, b"done");
        self.link.slots.close();
        self.readers.shutdown().await;
        self.writers.shutdown().await;
    }
}

/// Connects, within the options' timeout.
pub(crate) async fn connect(
    options: &ClientOptions,
    events: &broadcast::Sender<Event>,
) -> Result<Served, ConnectError> {
    let attempt = async {
        let unreachable = |source| ConnectError::Socket { address: options.address.clone(), source };
        let addresses = tokio::net::lookup_host(&options.address).await.map_err(unreachable)?;
        let mut failure = unreachable(std::io::ErrorKind::NotFound.into());
        for address in addresses.take(ADDRESSES_MAX) {
            match connect_to(options, address, events).await {
                Ok(served) => return Ok(served),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    };
    timeout(options.connect_timeout, attempt).await.unwrap_or(Err(ConnectError::Timeout(options.connect_timeout)))
}

async fn connect_to(
    options: &ClientOptions,
    address: SocketAddr,
    events: &broadcast::Sender<Event>,
) -> Result<Served, ConnectError> {
    let config = transport::client_config(options)?;
    let endpoint = transport::endpoint(address)
        .map_err(|source| ConnectError::Socket { address: options.address.clone(), source })?;
    let connection = endpoint
        .connect_with(config, address, &options.server_name)
        .map_err(|error| ConnectError::Target(options.server_name.clone(), error.to_string()))?
        .await
        .map_err(ConnectError::Handshake)?;
    let trust = Trust::new(Instant::now());
    let (send, mut receive) = connection.open_bi().await.map_err(ConnectError::Handshake)?;
    let (send, stamp) = say_hello(options, send, &trust).await?;
    let mut reader = FrameReader::for_client();
    let welcome = read_welcome(&mut receive, &mut reader).await?;
    trust.renew(stamp, Duration::from_millis(welcome.lease_ms.into()));
    let number = |limit: u32| usize::try_from(limit).unwrap_or(usize::MAX);

    let mut streams = vec![(Arc::new(Lane::default()), send, receive, reader)];
    while streams.len() < options.lanes.clamp(1, usize::from(welcome.lanes)) {
        let (send, receive) = connection.open_bi().await.map_err(ConnectError::Handshake)?;
        streams.push((Arc::new(Lane::default()), send, receive, FrameReader::for_client()));
    }
    let mut lanes: Vec<_> = streams.iter().map(|(lane, ..)| Arc::clone(lane)).collect();
    let link = Arc::new(Link {
        connection,
        control: lanes.remove(0),
        others: lanes,
        slots: Arc::new(Slots::new(number(welcome.limits.in_flight))),
        names: Names::new(&welcome.limits),
        trust,
        role: welcome.role().map_err(ConnectError::Protocol)?,
        welcome,
        scope: options.subscribe,
        events: events.clone(),
        go_away: watch::Sender::new(None),
    });
    let served = serve(link, endpoint, streams);
    subscribe(options, &served.link).await?;
    Ok(served)
}

type Streams = Vec<(Arc<Lane>, SendStream, RecvStream, FrameReader)>;

fn serve(link: Arc<Link>, endpoint: quinn::Endpoint, streams: Streams) -> Served {
    let (mut readers, mut writers) = (JoinSet::new(), JoinSet::new());
    for (lane, send, receive, reader) in streams {
        readers.spawn(Arc::clone(&link).read_lane(receive, reader));
        writers.spawn(async move { lane.write(send).await });
    }
    readers.spawn(Arc::clone(&link).read_push());
    Served { link, endpoint, readers, writers }
}

async fn say_hello(
    options: &ClientOptions,
    mut send: SendStream,
    trust: &Trust,
) -> Result<(SendStream, u64), ConnectError> {
    let token = match &options.credential {
        Credential::Certificate { .. } => String::new(),
        Credential::Token(token) => token.clone(),
    };
    let stamp = trust.stamp();
    let hello = HelloV1 {
        client: options.name.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        token,
        schema_min: SCHEMA,
        schema_max: SCHEMA,
        features: 0,
        stamp,
    };
    let mut writer = FrameWriter::default();
    writer.append(0, &hello).map_err(ConnectError::Protocol)?;
    // If the node refuses, its answer says why better than this failure.
    let _ = send.write_all(writer.bytes()).await;
    Ok((send, stamp))
}

async fn read_welcome(receive: &mut RecvStream, reader: &mut FrameReader) -> Result<WelcomeV1, ConnectError> {
    loop {
        if let Some(frame) = reader.next_frame().map_err(ConnectError::Protocol)? {
            return welcome_of(&frame);
        }
        // One byte fewer than a frame may be left over, so the reader takes all of the chunk.
        match receive.read_chunk(portcullis_wire::limits::REQUEST_FRAME_BYTES_MAX, true).await {
            Ok(Some(chunk)) => drop(reader.push(&chunk.bytes)),
            Ok(None) => return Err(ConnectError::Protocol(WireError::Truncated(0))),
            Err(quinn::ReadError::ConnectionLost(error)) => return Err(ConnectError::Handshake(error)),
            Err(_) => return Err(ConnectError::Protocol(WireError::Truncated(0))),
        }
    }
}

fn welcome_of(frame: &Frame<'_>) -> Result<WelcomeV1, ConnectError> {
    if frame.kind() == Ok(FrameKind::Error) {
        let refusal = frame.read::<ErrorV1>().and_then(|error| error.to_refusal());
        return Err(refusal.map_or_else(ConnectError::Protocol, ConnectError::Refused));
    }
    let welcome = frame.read::<WelcomeV1>().map_err(ConnectError::Protocol)?;
    if welcome.schema != SCHEMA {
        let unknown = WireError::UnknownSchema { kind: FrameKind::Welcome, schema: welcome.schema };
        return Err(ConnectError::Protocol(unknown));
    }
    Ok(welcome)
}

/// Asks to be told everything, where that is wanted; own sessions are told anyhow.
async fn subscribe(options: &ClientOptions, link: &Link) -> Result<(), ConnectError> {
    if options.subscribe == SubscribeScope::OwnSessions {
        return Ok(());
    }
    let lost = |error| match error {
        DecideError::Refused { refusal, .. } => ConnectError::Refused(refusal),
        DecideError::Protocol(error) => ConnectError::Protocol(error),
        _ => ConnectError::Protocol(WireError::Truncated(0)),
    };
    let pending = link.request(&link.control, &SubscribeV1::new(options.subscribe), Abandon::Free).map_err(lost)?;
    match pending.reply().await.map_err(lost)? {
        Reply::Subscribed(from) => {
            link.trust.resynced(from.push_seq);
            Ok(())
        }
        other => Err(lost(other.into_error())),
    }
}
