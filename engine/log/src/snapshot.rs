//! Snapshot files: written beside the log, verified whole before they are used.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Take, Write};
use std::path::Path;
use std::sync::Mutex;

use crc32c::{crc32c, crc32c_append};
use portcullis_model::EventId;

use crate::disk::{DiskTarget, PIECE_BYTES};
use crate::embedded::lock;
use crate::error::{Damage, LogError};
use crate::folder::{Folder, discard};
use crate::frame::{u32_at, u64_at};
use crate::recent::{EVENT_ID_BYTES, REMEMBERED_IDS_MAX, Recent};

/// The payload of a snapshot whose checksums were verified when the log was opened.
#[derive(Debug)]
pub struct SnapshotReader {
    payload: BufReader<Take<File>>,
    bytes: u64,
}

impl SnapshotReader {
    /// Length of the whole payload in bytes, for progress.
    pub fn payload_bytes(&self) -> u64 {
        self.bytes
    }
}

impl Read for SnapshotReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.payload.read(buffer)
    }
}

/// Of which log a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogIdentity {
    pub(crate) epoch: u32,
    pub(crate) log_id: u64,
}

/// A snapshot that was read and found whole.
pub(crate) struct Verified {
    pub(crate) seq: u64,
    pub(crate) reader: SnapshotReader,
    /// Ids of the entries up to `seq`, newest first.
    pub(crate) ids: Vec<EventId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SnapshotHeader {
    log: LogIdentity,
    seq: u64,
    payload_bytes: u64,
    ids: u32,
    payload_checksum: u32,
    ids_checksum: u32,
}

impl SnapshotHeader {
    fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(SNAPSHOT_MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.log.epoch.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.log.log_id.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.seq.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.payload_bytes.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.ids.to_le_bytes());
        bytes[44..48].copy_from_slice(&self.payload_checksum.to_le_bytes());
        bytes[48..52].copy_from_slice(&self.ids_checksum.to_le_bytes());
        let checksum = crc32c(&bytes[..60]);
        bytes[60..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, Damage> {
        if &bytes[..8] != SNAPSHOT_MAGIC || u32_at(bytes, 60) != crc32c(&bytes[..60]) {
            return Err(Damage::Header);
        }
        let version = u32_at(bytes, 8);
        if version != FORMAT_VERSION {
            return Err(Damage::Version(version));
        }
        Ok(Self {
            log: LogIdentity { epoch: u32_at(bytes, 12), log_id: u64_at(bytes, 16) },
            seq: u64_at(bytes, 24),
            payload_bytes: u64_at(bytes, 32),
            ids: u32_at(bytes, 40),
            payload_checksum: u32_at(bytes, 44),
            ids_checksum: u32_at(bytes, 48),
        })
    }
}

/// Writes the snapshot at `seq` and gives it its name.
pub(crate) fn write(
    folder: &Folder,
    log: LogIdentity,
    seq: u64,
    recent: &Mutex<Recent>,
    payload: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
) -> Result<(), LogError> {
    let scratch = folder.scratch_path("snapshot");
    let file = folder.create(&scratch)?;
    let written = write_file(folder, &file, log, seq, recent, payload);
    written
        .map_err(LogError::io("write", &scratch))
        .and_then(|()| folder.publish(&scratch, &folder.snapshot_path(seq)))
        .inspect_err(|_| discard(&scratch))
}

fn write_file(
    folder: &Folder,
    file: &File,
    log: LogIdentity,
    seq: u64,
    recent: &Mutex<Recent>,
    payload: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut sink = Sink { folder, file, offset: HEADER_BYTES as u64, buffer: Vec::new(), checksum: 0 };
    payload(&mut sink)?;
    let payload_checksum = sink.finish_part()?;
    let payload_bytes = sink.offset - HEADER_BYTES as u64;

    // In pieces, newest first: the writer is never held up for long, and what it forgets meanwhile is the oldest.
    let (mut ids, mut piece) = (0_usize, Vec::new());
    while ids < REMEMBERED_IDS_MAX {
        piece.clear();
        let count = IDS_PER_PIECE.min(REMEMBERED_IDS_MAX - ids);
        let found = lock(recent).write_before(seq.saturating_sub(ids as u64), count, &mut piece);
        sink.write_all(&piece)?;
        ids += found;
        if found < count {
            break;
        }
    }
    let ids_checksum = sink.finish_part()?;
    let ids = u32::try_from(ids).map_err(io::Error::other)?;
    let header = SnapshotHeader { log, seq, payload_bytes, ids, payload_checksum, ids_checksum };
    folder.disk.write_whole(DiskTarget::Snapshot, file, &header.encode(), 0)?;
    folder.disk.sync_data(DiskTarget::Snapshot, file)
}

/// Reads a snapshot whole and checks it; the inner error says that it is not what was written.
pub(crate) fn verify(path: &Path, log: LogIdentity, seq: u64) -> Result<Result<Verified, Damage>, LogError> {
    let mut file = File::open(path).map_err(LogError::io("open", path))?;
    let checked = check_file(&mut file, log, seq);
    let (header, ids) = match checked {
        Ok(Ok(found)) => found,
        Ok(Err(damage)) => return Ok(Err(damage)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Err(Damage::Snapshot)),
        Err(error) => return Err(LogError::io("read", path)(error)),
    };
    file.seek(SeekFrom::Start(HEADER_BYTES as u64)).map_err(LogError::io("read", path))?;
    let payload = BufReader::with_capacity(PIECE_BYTES, file.take(header.payload_bytes));
    Ok(Ok(Verified { seq, reader: SnapshotReader { payload, bytes: header.payload_bytes }, ids }))
}

type Checked = Result<(SnapshotHeader, Vec<EventId>), Damage>;

fn check_file(file: &mut File, log: LogIdentity, seq: u64) -> io::Result<Checked> {
    let mut bytes = [0; HEADER_BYTES];
    file.read_exact(&mut bytes)?;
    let header = match SnapshotHeader::decode(&bytes) {
        Ok(header) => header,
        Err(damage) => return Ok(Err(damage)),
    };
    let ids = usize::try_from(header.ids).unwrap_or(usize::MAX);
    if header.log != log || header.seq != seq || ids > REMEMBERED_IDS_MAX || u64::from(header.ids) > seq {
        return Ok(Err(Damage::Foreign));
    }
    let mut piece = vec![0; PIECE_BYTES];
    let (mut rest, mut checksum) = (header.payload_bytes, 0);
    while rest > 0 {
        let count = usize::try_from(rest).map_or(PIECE_BYTES, |rest| rest.min(PIECE_BYTES));
        let part = piece.get_mut(..count).unwrap_or_default();
        file.read_exact(part)?;
        checksum = crc32c_append(checksum, part);
        rest -= count as u64;
    }
    let mut id_bytes = vec![0; ids * EVENT_ID_BYTES];
    file.read_exact(&mut id_bytes)?;
    let at_end = file.read(&mut piece)? == 0;
    if checksum != header.payload_checksum || crc32c(&id_bytes) != header.ids_checksum || !at_end {
        return Ok(Err(Damage::Snapshot));
    }
    let (ids, _) = id_bytes.as_chunks::<EVENT_ID_BYTES>();
    Ok(Ok((header, ids.iter().copied().map(EventId::from_bytes).collect())))
}

/// Buffers, checksums and writes through the injectable disk.
struct Sink<'a> {
    folder: &'a Folder,
    file: &'a File,
    offset: u64,
    buffer: Vec<u8>,
    checksum: u32,
}

impl Sink<'_> {
    /// Writes what is buffered; answers the checksum of what came since the last part.
    fn finish_part(&mut self) -> io::Result<u32> {
        self.flush()?;
        Ok(std::mem::take(&mut self.checksum))
    }
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = bytes.get(..PIECE_BYTES).unwrap_or(bytes);
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.buffer.is_empty() {
            self.folder.disk.write_whole(DiskTarget::Snapshot, self.file, &self.buffer, self.offset)?;
            self.checksum = crc32c_append(self.checksum, &self.buffer);
            self.offset += self.buffer.len() as u64;
            self.buffer.clear();
        }
        Ok(())
    }
}

const HEADER_BYTES: usize = 64;
const FORMAT_VERSION: u32 = 1;
const SNAPSHOT_MAGIC: &[u8; 8] = b"PORTCSNP";
/// BOUND: a third of a millisecond to copy while the writer waits.
const IDS_PER_PIECE: usize = 65_536;
