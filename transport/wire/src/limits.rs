//! Bounds of the protocol. The server tells its own in the welcome; none may exceed these.

/// Most bytes of a frame that a client sends, header and padding included. Small, so that a lane is
/// never blocked for long and a hostile client holds little memory.
pub const REQUEST_FRAME_BYTES_MAX: usize = 16 * 1024;
/// Most bytes of a frame that a server sends, header and padding included; four fit the 256 KiB
/// stream window, so a frame never waits for credit that only its own end would free.
pub const REPLY_FRAME_BYTES_MAX: usize = 64 * 1024;
/// Most payload bytes of a decide frame with interned names: 4 KiB of input and as much of the rest.
pub const DECIDE_PAYLOAD_BYTES_MAX: usize = 8 * 1024;
/// Most payload bytes of a fixed-shape frame such as close or heartbeat.
pub const SMALL_PAYLOAD_BYTES_MAX: usize = 1024;
/// Most lanes of a connection.
pub const LANES_MAX: usize = 4;
/// Most requests that wait for an answer on one connection; a client refuses more itself.
pub const IN_FLIGHT_MAX: usize = 16_384;
/// Most names that one connection registers; further ones travel as text.
pub const NAMES_PER_CONNECTION_MAX: usize = 65_536;
/// Most bytes of names that one connection registers: 2,048 connections stay within 8 GiB at worst.
pub const NAME_BYTES_PER_CONNECTION_MAX: usize = 4 * 1024 * 1024;
/// Most names in one register frame.
pub const NAMES_PER_FRAME_MAX: usize = 256;
/// Most open sessions of one connection.
pub const SESSIONS_PER_CONNECTION_MAX: usize = 262_144;
/// Most bytes of one admin call or its reply, over all its chunks: a policy set of 32 MiB and its
/// escapes fit.
pub const ADMIN_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most admin calls of one connection that are being received at the same time.
pub const ADMIN_CALLS_MAX: usize = 4;
/// Most bytes of one proof, for example a bearer token.
pub const PROOF_BYTES_MAX: usize = 8 * 1024;
/// Most bytes of a client's or node's name or version in hello and welcome.
pub const LABEL_BYTES_MAX: usize = 128;
/// Most bytes of an error's message, and of the name of its field.
pub const MESSAGE_BYTES_MAX: usize = 2 * 1024;
/// Most entries of one page of a list or of the audit record.
pub const PAGE_MAX: u32 = 1_000;
/// How often a server sends a heartbeat on the push stream, in milliseconds.
pub const HEARTBEAT_MS: u32 = 250;
/// How long a client may trust the connection after it sent the stamp that a heartbeat echoes, in
/// milliseconds: four heartbeats.
pub const LEASE_MS: u32 = 1_000;
