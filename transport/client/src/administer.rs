//! Administrative calls.

use portcullis_wire::FrameKind;
use portcullis_wire::admin::{AdminReply, AdminRequest, chunks};
use tokio::time::timeout;

use crate::client::Client;
use crate::error::{DecideError, not_written};
use crate::lane::Lane;
use crate::reply::Reply;
use crate::slots::Abandon;

impl Client {
    /// Carries out an administrative call; the node asks for the role that
    /// [`AdminRequest::needed_role`] names. At most 4 are in flight, further ones wait.
    ///
    /// # Errors
    /// [`DecideError::Refused`] if the node refuses, also where it says so in the reply. After
    /// [`DecideError::Timeout`] or [`DecideError::ConnectionLost`] the call may have had its effect.
    pub async fn admin(&self, request: &AdminRequest) -> Result<AdminReply, DecideError> {
        let deadline = self.shared().options.admin_deadline;
        timeout(deadline, self.call(request)).await.unwrap_or(Err(DecideError::Timeout(deadline)))
    }

    async fn call(&self, request: &AdminRequest) -> Result<AdminReply, DecideError> {
        let message = request.to_json().map_err(|error| not_written(&error))?;
        let _permit = self.shared().admin_calls.acquire().await.map_err(|_| DecideError::Closed)?;
        let link = self.shared().link()?;
        let limit = link.welcome.limits.admin_bytes;
        if !u32::try_from(message.len()).is_ok_and(|bytes| bytes <= limit) {
            return Err(not_written(&portcullis_wire::WireError::AdminTooLong {
                bytes: usize::try_from(limit).unwrap_or(usize::MAX),
                calls: portcullis_wire::limits::ADMIN_CALLS_MAX,
            }));
        }
        // The last lane, away from the first one's decisions where there are several.
        let lane = link.others.last().unwrap_or(&link.control);
        let pending = link.slots.wait(Abandon::Free)?;
        let mut sending = Sending { lane, corr: pending.corr(), is_begun: false };
        for (flags, chunk) in chunks(FrameKind::Admin, &message) {
            tokio::select! {
                sent = lane.append_chunk_later(flags, pending.corr(), chunk) => sent?,
                _ = link.connection.closed() => return Err(DecideError::ConnectionLost),
            }
            sending.is_begun = flags.has_more();
        }
        match pending.reply().await? {
            Reply::Admin(json) => match AdminReply::from_json(&json).map_err(DecideError::Protocol)? {
                AdminReply::Refused(refusal) => Err(DecideError::refused(refusal)),
                reply => Ok(reply),
            },
            other => Err(other.into_error()),
        }
    }
}

/// A call whose chunks are being sent. Where that is given up half-way, the node is told the end of it,
/// so that it forgets the half that it has: half of a JSON object is refused there.
struct Sending<'a> {
    lane: &'a Lane,
    corr: u32,
    is_begun: bool,
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        if self.is_begun {
            self.lane.append_end(self.corr);
        }
    }
}
