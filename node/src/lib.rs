//! The Portcullis node: configuration, composition and command line.

pub mod cli;
pub mod config;
pub mod dev;
pub mod exit;
pub mod init;
mod metrics;
pub mod node;
pub mod output;
pub mod pki;
pub mod policy_test;
pub mod reference;
pub mod serve;
pub mod service;
pub mod shell;
