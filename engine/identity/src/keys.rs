//! The keys of one issuer as they are now: held for readers, refreshed by whoever may block.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use portcullis_model::Timestamp;

use crate::fetch::{self, FetchError};
use crate::issuer::KeySource;
use crate::key_set::{KEY_SET_BYTES_MAX, KeySet, KeySetError};

/// How long the last good keys are used while no newer ones can be had; then no token of the issuer is accepted.
pub const KEYS_STALE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// How often the keys of an address are fetched when nothing asks for them sooner.
pub const KEYS_REFRESH_EVERY: Duration = Duration::from_secs(5 * 60);
/// The least time between two refreshes, however many tokens name unknown keys.
pub const KEYS_REFRESH_PAUSE: Duration = Duration::from_secs(30);

/// When to refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// If the keys are due, the file has changed or a token named an unknown key, and not again within
    /// [`KEYS_REFRESH_PAUSE`].
    IfDue,
    /// Now: at start-up, and when an operator says so.
    Now,
}

/// What a refresh did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresh {
    /// Nothing was due.
    NotDue,
    /// Keys were read and are in force.
    Replaced,
}

/// Why keys could not be refreshed. The last good ones stay in force for [`KEYS_STALE_MAX`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// The operator's: the file cannot be read.
    #[error("the key file cannot be read")]
    File(#[source] std::io::Error),
    /// The network's or the issuer's.
    #[error("the keys cannot be fetched")]
    Fetch(#[source] FetchError),
    /// The issuer's: what was read is not a set of public keys.
    #[error("the keys cannot be used")]
    KeySet(#[source] KeySetError),
}

/// The keys of one issuer. Readers never wait for a refresh; one refresh runs at a time.
#[derive(Debug)]
pub struct Keys {
    source: KeySource,
    held: RwLock<Option<Held>>,
    /// Locked for the whole of a refresh: whoever comes second finds nothing due.
    attempts: Mutex<Attempts>,
    /// Whether a token named a key that is not held.
    is_wanted: AtomicBool,
    timeout: Duration,
}

#[derive(Clone, Debug)]
struct Held {
    set: Arc<KeySet>,
    confirmed: Timestamp,
}

#[derive(Debug, Default)]
struct Attempts {
    last: Option<Timestamp>,
    stamp: Option<FileStamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileStamp {
    modified: Option<SystemTime>,
    size_bytes: u64,
}

impl Keys {
    /// Keys of `source`, none of them read yet.
    pub fn new(source: KeySource) -> Self {
        Self::with_timeout(source, FETCH_TIMEOUT)
    }

    fn with_timeout(source: KeySource, timeout: Duration) -> Self {
        let (held, attempts) = (RwLock::default(), Mutex::default());
        Self { source, held, attempts, is_wanted: AtomicBool::new(false), timeout }
    }

    /// The keys in force; `None` if there never were any, or if they are older than [`KEYS_STALE_MAX`].
    pub fn snapshot(&self, now: Timestamp) -> Option<Arc<KeySet>> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.as_ref().filter(|held| now.since(held.confirmed) <= KEYS_STALE_MAX).map(|held| Arc::clone(&held.set))
    }

    /// Notes that a token named a key that is not held, so that the next [`Demand::IfDue`] asks for newer ones.
    pub fn want(&self) {
        self.is_wanted.store(true, Ordering::Relaxed);
    }

    /// Puts `set` in force as if it had been read at `now`.
    pub fn install(&self, set: KeySet, now: Timestamp) {
        let held = Held { set: Arc::new(set), confirmed: now };
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = Some(held);
    }

    /// Reads the keys again if `demand` says so. Blocks: for a file as long as the disk, for an address at most five
    /// seconds; call it where blocking is allowed, at start-up with [`Demand::Now`] and every few seconds with
    /// [`Demand::IfDue`], which is cheap while nothing is due.
    ///
    /// # Errors
    /// [`KeysError`]; the keys in force stay.
    pub fn refresh_blocking(&self, now: Timestamp, demand: Demand) -> Result<Refresh, KeysError> {
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        match &self.source {
            KeySource::File(path) => self.refresh_file(path, &mut attempts, now, demand),
            KeySource::Url(url) => self.refresh_url(url, &mut attempts, now, demand),
        }
    }

    fn refresh_url(
        &self,
        url: &str,
        attempts: &mut Attempts,
        now: Timestamp,
        demand: Demand,
    ) -> Result<Refresh, KeysError> {
        let is_due = attempts.is_rested(now) && (self.is_wanted() || self.is_old(now));
        if demand == Demand::IfDue && !is_due {
            return Ok(Refresh::NotDue);
        }
        self.begin(attempts, now);
        let document = fetch::document(url, self.timeout).map_err(KeysError::Fetch)?;
        self.replace(&document, now)
    }

    fn refresh_file(
        &self,
        path: &Path,
        attempts: &mut Attempts,
        now: Timestamp,
        demand: Demand,
    ) -> Result<Refresh, KeysError> {
        let stamp = FileStamp::of(path).map_err(KeysError::File)?;
        let is_due = attempts.stamp != Some(stamp) || (self.is_wanted() && attempts.is_rested(now));
        if demand == Demand::IfDue && !is_due {
            self.confirm(now);
            return Ok(Refresh::NotDue);
        }
        self.begin(attempts, now);
        // Only a file that was read whole counts as seen: a fault is met, and reported, again.
        attempts.stamp = None;
        let document = read(path).map_err(KeysError::File)?;
        let refresh = self.replace(&document, now)?;
        attempts.stamp = Some(stamp);
        Ok(refresh)
    }

    fn begin(&self, attempts: &mut Attempts, now: Timestamp) {
        attempts.last = Some(now);
        // Cleared before reading: a token that names an unknown key meanwhile counts for the next refresh.
        self.is_wanted.store(false, Ordering::Relaxed);
    }

    fn replace(&self, document: &[u8], now: Timestamp) -> Result<Refresh, KeysError> {
        self.install(KeySet::parse(document).map_err(KeysError::KeySet)?, now);
        Ok(Refresh::Replaced)
    }

    fn confirm(&self, now: Timestamp) {
        if let Some(held) = self.held.write().unwrap_or_else(PoisonError::into_inner).as_mut() {
            held.confirmed = now;
        }
    }

    fn is_wanted(&self) -> bool {
        self.is_wanted.load(Ordering::Relaxed)
    }

    fn is_old(&self, now: Timestamp) -> bool {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.as_ref().is_none_or(|held| now < held.confirmed || now.since(held.confirmed) >= KEYS_REFRESH_EVERY)
    }
}

impl Attempts {
    /// Whether the pause is over. A clock that went back does not prolong it.
    fn is_rested(&self, now: Timestamp) -> bool {
        self.last.is_none_or(|last| now < last || now.since(last) >= KEYS_REFRESH_PAUSE)
    }
}

impl FileStamp {
    fn of(path: &Path) -> std::io::Result<Self> {
        let metadata = std::fs::metadata(path)?;
        // Opening a pipe would block for good.
        if !metadata.is_file() {
            return Err(std::io::ErrorKind::InvalidInput.into());
        }
        Ok(Self { modified: metadata.modified().ok(), size_bytes: metadata.len() })
    }
}

/// At most one byte more than a key set may have, which the parser then refuses.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let limit = u64::try_from(KEY_SET_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let mut document = Vec::new();
    File::open(path)?.take(limit).read_to_end(&mut document)?;
    Ok(document)
}

const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
