//! Bounds of this room. What exceeds one is refused with a diagnostic or a refusal, never cut short.

/// Most policies in one set: a set is compiled and validated whole, at about 0.5 ms a policy.
pub const POLICIES_MAX: usize = 100_000;
/// Deepest nesting of brackets in policy text and schema. BOUND: cedar-policy's parser recurses once a
/// bracket and takes up to 56 KiB of stack each time (unoptimised build).
pub const NESTING_MAX: usize = 200;
/// Deepest expression of one policy, counting each operator of a chain and each bracket twice.
/// BOUND: conversion and evaluation recurse once a level and take up to 56 KiB each time.
pub const EXPRESSION_DEPTH_MAX: usize = 512;
/// Most diagnostics of one severity that a compilation reports; the rest are counted.
pub const DIAGNOSTICS_MAX: usize = 100;
/// Most entities that one evaluation may reach besides principal, action and resource.
pub const SLICE_MAX: usize = 256;
/// Longest text of a grant's condition in bytes.
pub const CONDITION_BYTES_MAX: usize = 4 * 1024;
/// Most types that a schema has after its common types are written out where they are used. BOUND:
/// cedar-policy writes them out, so that a short text could otherwise fill the memory.
pub(crate) const SCHEMA_TYPES_MAX: u64 = 1_000_000;
/// Stack for parsing and validating: twice what [`EXPRESSION_DEPTH_MAX`] and [`NESTING_MAX`] can take.
/// Mapped on demand, so that only what is used costs memory.
pub(crate) const COMPILE_STACK_BYTES: usize = 64 * 1024 * 1024;
/// Stack that evaluation takes at most for one level of an expression, by measurement with reserve.
pub(crate) const EVALUATION_STACK_PER_LEVEL_BYTES: usize = if cfg!(debug_assertions) { 64 * 1024 } else { 16 * 1024 };
/// Stack that evaluation needs besides: cedar-policy gives up with an error below 100 KiB.
pub(crate) const EVALUATION_STACK_BASE_BYTES: usize = 256 * 1024;
