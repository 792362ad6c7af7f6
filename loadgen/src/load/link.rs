//! One connection: hello, names, sessions, and everything else that is not hot.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use portcullis_client::ClientOptions;
use portcullis_model::{EntityUid, Refusal, SessionTerms};
use portcullis_wire::frames::{
    CloseV1, ErrorV1, HelloV1, OpenV1, OpenedV1, Proof, ProofV1, RegisterV1, RegisteredV1, WelcomeV1,
};
use portcullis_wire::limits::NAMES_PER_FRAME_MAX;
use portcullis_wire::{Frame, FrameKind, FrameReader, FrameWriter, Payload, WireError};
use quinn::{Connection, Endpoint, RecvStream, SendStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::lane::{lost_reading, lost_writing, nanoseconds};
use super::push::{self, Seen};
use super::transport;
use crate::error::LoadError;

/// Frames that wait to be written on the control lane.
const QUEUE_MAX: usize = 4_096;
/// Sessions that are opened or closed at a time on one connection.
const OPENING_MAX: usize = 32;

/// The answer to a control frame.
#[derive(Debug)]
pub(crate) enum Reply {
    Welcome,
    Registered(RegisteredV1),
    Opened(OpenedV1),
    /// The subject or an agent is dead: a decision.
    Denied,
    Closed,
    Refused(Refusal),
}

type Waiting = Arc<Mutex<HashMap<u32, oneshot::Sender<Reply>>>>;

/// A connection and its control lane.
pub(crate) struct Link {
    connection: Connection,
    control: mpsc::Sender<Vec<u8>>,
    waiting: Waiting,
    corr: Mutex<u32>,
    /// Reader, writer and push; they end with the connection.
    tasks: Mutex<JoinSet<Result<(), LoadError>>>,
}

/// A frame that opens a session, encoded once and sent with different numbers.
#[derive(Clone)]
pub(crate) struct Opening(OpenV1);

impl Opening {
    /// A session whose subject and agents are asserted.
    pub(crate) fn of(terms: &SessionTerms) -> Self {
        let asserted = |uid: &EntityUid| ProofV1::from(&Proof::Asserted(uid.clone()));
        Self(OpenV1 {
            subject: asserted(&terms.subject),
            agents: terms.agents.iter().map(asserted).collect(),
            life_ms: 0,
        })
    }
}

impl Link {
    /// Connects and says hello. Ends that are pushed go to `seen`.
    pub(crate) async fn open(endpoint: &Endpoint, options: &ClientOptions, seen: &Seen) -> Result<Self, LoadError> {
        let base = Instant::now();
        let connection = transport::connect(endpoint, options).await?;
        let (send, receive) = open_lane(&connection).await?;
        let (control, queue) = mpsc::channel(QUEUE_MAX);
        let waiting = Waiting::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(write(send, queue));
        tasks.spawn(read(receive, Arc::clone(&waiting)));
        tasks.spawn(push::read(connection.clone(), control.clone(), base, Arc::clone(seen)));
        let link = Self { connection, control, waiting, corr: Mutex::new(0), tasks: Mutex::new(tasks) };
        let token = match &options.credential {
            portcullis_client::Credential::Token(token) => token.clone(),
            _ => String::new(),
        };
        let hello = HelloV1 {
            client: "portcullis-loadgen".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            token,
            schema_min: 1,
            schema_max: 1,
            features: 0,
            stamp: nanoseconds(base.elapsed()).max(1),
        };
        match link.ask_as(0, &hello).await? {
            Reply::Welcome => Ok(link),
            other => Err(refused("connect", other)),
        }
    }

    /// A further lane.
    pub(crate) async fn lane(&self) -> Result<(SendStream, RecvStream), LoadError> {
        open_lane(&self.connection).await
    }

    /// Registers names and returns their numbers, in order.
    pub(crate) async fn register(&self, names: &[EntityUid]) -> Result<Vec<u32>, LoadError> {
        let mut numbers = Vec::with_capacity(names.len());
        for some in names.chunks(NAMES_PER_FRAME_MAX) {
            let frame = RegisterV1 { names: some.iter().map(ToString::to_string).collect() };
            match self.ask(&frame).await? {
                Reply::Registered(registered) => numbers.extend(registered.first..registered.first + registered.count),
                other => return Err(refused("register names", other)),
            }
        }
        Ok(numbers)
    }

    /// Opens one session.
    pub(crate) async fn open_session(&self, opening: &Opening) -> Result<Reply, LoadError> {
        self.ask(&opening.0).await
    }

    /// Opens `count` sessions, some at a time, as `opening` says of each, and returns their handles.
    pub(crate) async fn open_sessions(
        self: &Arc<Self>,
        count: usize,
        mut opening: impl FnMut(usize) -> Opening,
    ) -> Result<Vec<u64>, LoadError> {
        let mut handles = Vec::with_capacity(count);
        let mut tasks = JoinSet::new();
        for number in 0..count {
            if tasks.len() >= OPENING_MAX {
                handles.extend(opened(tasks.join_next().await)?);
            }
            let (link, opening) = (Arc::clone(self), opening(number));
            tasks.spawn(async move { link.open_session(&opening).await });
        }
        while let Some(task) = tasks.join_next().await {
            handles.extend(opened(Some(task))?);
        }
        Ok(handles)
    }

    /// Closes one session.
    pub(crate) async fn close_session(&self, session: u64) -> Result<Reply, LoadError> {
        self.ask(&CloseV1 { session }).await
    }

    /// Closes sessions, some at a time.
    pub(crate) async fn close_sessions(self: &Arc<Self>, handles: Vec<u64>) -> Result<(), LoadError> {
        let mut tasks = JoinSet::new();
        for handle in handles {
            if tasks.len() >= OPENING_MAX {
                closed(tasks.join_next().await)?;
            }
            let link = Arc::clone(self);
            tasks.spawn(async move { link.close_session(handle).await });
        }
        while let Some(task) = tasks.join_next().await {
            closed(Some(task))?;
        }
        Ok(())
    }

    async fn ask<P: Payload>(&self, payload: &P) -> Result<Reply, LoadError> {
        let corr = {
            let mut corr = self.corr.lock().unwrap_or_else(PoisonError::into_inner);
            *corr = corr.wrapping_add(1).max(1);
            *corr
        };
        self.ask_as(corr, payload).await
    }

    async fn ask_as<P: Payload>(&self, corr: u32, payload: &P) -> Result<Reply, LoadError> {
        let (tell, told) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(corr, tell);
        let mut writer = FrameWriter::default();
        writer.append(corr, payload)?;
        let gone = || LoadError::Lost("its control lane has ended".into());
        self.control.send(writer.bytes().to_vec()).await.map_err(|_| gone())?;
        match told.await {
            Ok(reply) => Ok(reply),
            Err(_) => Err(self.why().await.unwrap_or_else(gone)),
        }
    }

    /// Why the connection's tasks have ended, where one says so.
    async fn why(&self) -> Option<LoadError> {
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        self.connection.close(0_u32.into(), b"done");
        while let Some(ended) = tasks.join_next().await {
            if let Ok(Err(error)) = ended {
                return Some(error);
            }
        }
        None
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.connection.close(0_u32.into(), b"done");
    }
}

async fn open_lane(connection: &Connection) -> Result<(SendStream, RecvStream), LoadError> {
    connection.open_bi().await.map_err(|error| LoadError::Lost(error.to_string()))
}

/// Writes what is queued, everything at hand at once.
async fn write(mut send: SendStream, mut queue: mpsc::Receiver<Vec<u8>>) -> Result<(), LoadError> {
    while let Some(mut bytes) = queue.recv().await {
        while bytes.len() < 16 * 1024
            && let Ok(more) = queue.try_recv()
        {
            bytes.extend_from_slice(&more);
        }
        send.write_all(&bytes).await.map_err(lost_writing)?;
    }
    Ok(())
}

async fn read(mut receive: RecvStream, waiting: Waiting) -> Result<(), LoadError> {
    let result = read_replies(&mut receive, &waiting).await;
    // Whoever still waits learns that nothing comes.
    waiting.lock().unwrap_or_else(PoisonError::into_inner).clear();
    result
}

async fn read_replies(receive: &mut RecvStream, waiting: &Waiting) -> Result<(), LoadError> {
    let mut reader = FrameReader::for_client();
    while let Some(chunk) = receive.read_chunk(64 * 1024, true).await.map_err(lost_reading)? {
        let mut rest = &chunk.bytes[..];
        while !rest.is_empty() {
            let taken = reader.push(rest);
            rest = &rest[taken..];
            while let Some(frame) = reader.next_frame()? {
                let reply = reply_of(&frame)?;
                let tell = waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&frame.header.corr);
                if let Some(tell) = tell {
                    // Nobody may be waiting any more.
                    let _ = tell.send(reply);
                }
            }
        }
    }
    Ok(())
}

fn reply_of(frame: &Frame<'_>) -> Result<Reply, WireError> {
    Ok(match frame.kind()? {
        FrameKind::Welcome => frame.read::<WelcomeV1>().map(|_| Reply::Welcome)?,
        FrameKind::Registered => Reply::Registered(frame.read()?),
        FrameKind::Opened => Reply::Opened(frame.read()?),
        FrameKind::Decision => Reply::Denied,
        FrameKind::Closed => Reply::Closed,
        FrameKind::Error => Reply::Refused(frame.read::<ErrorV1>()?.to_refusal()?),
        other => return Err(WireError::UnexpectedKind(other)),
    })
}

type Joined = Option<Result<Result<Reply, LoadError>, tokio::task::JoinError>>;

fn opened(joined: Joined) -> Result<Option<u64>, LoadError> {
    match joined {
        None => Ok(None),
        Some(Ok(Ok(Reply::Opened(opened)))) => Ok(Some(opened.handle)),
        Some(Ok(Ok(other))) => Err(refused("open a session", other)),
        Some(Ok(Err(error))) => Err(error),
        Some(Err(_)) => Err(LoadError::ThreadGone),
    }
}

fn closed(joined: Joined) -> Result<(), LoadError> {
    match joined {
        None | Some(Ok(Ok(Reply::Closed))) => Ok(()),
        Some(Ok(Ok(other))) => Err(refused("close a session", other)),
        Some(Ok(Err(error))) => Err(error),
        Some(Err(_)) => Err(LoadError::ThreadGone),
    }
}

fn refused(what: &'static str, reply: Reply) -> LoadError {
    match reply {
        Reply::Refused(refusal) => LoadError::NodeRefuses { what, refusal },
        Reply::Denied => LoadError::Lost(format!("denied: it may not {what}")),
        _ => LoadError::Lost("an answer to something else".into()),
    }
}
