//! The command line: one module a command, and what they share.
//!
//! Data goes to stdout, everything else to stderr. What reads or changes a node's state goes over QUIC,
//! under the role of the credentials in `--client` or in the data folder of a running `dev` node.

mod arguments;
mod audit;
mod audit_text;
mod check;
mod completions;
mod config;
mod connection;
pub mod diagnostics;
mod doctor;
mod entity;
mod grant;
mod healthcheck;
mod known;
pub(crate) mod names;
mod place;
mod policy;
mod report_text;
mod revoke;
mod session;
mod start;
pub(crate) mod style;
mod table;
mod time;

use std::ffi::OsString;
use std::io::{self, ErrorKind};

use clap::{Parser, ValueEnum};
use serde::Serialize;

use crate::exit::Exit;
use crate::output::{Failure, Format, show};
use arguments::{Arguments, Command, Global};

/// Runs the command line of this process.
pub fn main() -> Exit {
    match Arguments::try_parse() {
        Ok(arguments) => run(&arguments),
        Err(error) => {
            // Nothing is left to tell it to where even this cannot be written.
            let _ = error.print();
            if !error.use_stderr() {
                return Exit::Ok;
            }
            // Scripts read stdout; what people read is on stderr already.
            match asked_format(std::env::args_os()) {
                Format::Text => Exit::Usage,
                format => mistyped(&error).report(format),
            }
        }
    }
}

/// The format of a command line that could not be read whole.
fn asked_format(words: impl Iterator<Item = OsString>) -> Format {
    let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    let follows = |index: usize| words.get(index + 1).map(String::as_str);
    let named = words.iter().enumerate().rev().find_map(|(index, word)| match word.as_str() {
        "-o" | "--output" => follows(index),
        word => word.strip_prefix("--output=").or_else(|| word.strip_prefix("-o").filter(|rest| !rest.is_empty())),
    });
    named.and_then(|name| Format::from_str(name.trim_start_matches('='), false).ok()).unwrap_or_default()
}

/// A command line that could not be read.
fn mistyped(error: &clap::Error) -> Failure {
    let text = error.render().to_string();
    let mut paragraphs = text.split("\n\n").map(str::trim);
    let message = paragraphs.next().unwrap_or_default();
    let tips: Vec<&str> = paragraphs.filter_map(|paragraph| paragraph.strip_prefix("tip: ")).collect();
    let fix = if tips.is_empty() { "type `--help` after the command".to_owned() } else { tips.join("; ") };
    Failure::usage(message.strip_prefix("error: ").unwrap_or(message), fix)
}

fn run(arguments: &Arguments) -> Exit {
    let global = &arguments.global;
    global.color.apply();
    dispatch(global, &arguments.command)
        .unwrap_or_else(|failure| failure.spelled(&global.program()).report(global.output))
}

fn dispatch(global: &Global, command: &Command) -> Result<Exit, Failure> {
    match command {
        Command::Dev(order) => start::dev(global, order),
        Command::Init(order) => start::init(global, order),
        Command::Serve => start::serve(global),
        Command::Check(question) => check::check(global, question),
        Command::Explain(question) => check::explain(global, question),
        Command::Revoke { target } => revoke::revoke(global, target),
        Command::Restore { target } => revoke::restore(global, target),
        Command::Grant(order) => grant::run(global, order),
        Command::Session { command } => session::run(global, command),
        Command::Entity { command } => entity::run(global, command),
        Command::Policy { command } => policy::run(global, command),
        Command::Audit { command } => audit::run(global, command),
        Command::Doctor => doctor::run(global),
        Command::Healthcheck(order) => healthcheck::run(global, order),
        Command::Config { command } => config::run(global, command),
        Command::Completions { shell } => completions::run(*shell),
    }
}

/// Writes a document to stdout.
fn print<T: Serialize>(format: Format, document: &T, text: impl FnOnce(&T) -> String) -> Result<(), Failure> {
    show(format, document, text).map_err(|error| not_written(&error))
}

fn not_written(error: &io::Error) -> Failure {
    Failure::new(Exit::Failure, "output", format!("could not write to stdout: {error}"), "look at where stdout goes")
}

/// Writes a text to stdout; a reader that has gone away had what it wanted.
fn print_text(text: &str) -> Result<(), Failure> {
    match write_text(&mut anstream::stdout().lock(), text) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(not_written(&error)),
        _ => Ok(()),
    }
}

/// Says something beside the data, on stderr.
fn note(text: &str) {
    // Nothing is left to tell it to where even this cannot be written.
    let _ = write_text(&mut anstream::stderr().lock(), text);
}

fn write_text(out: &mut impl io::Write, text: &str) -> io::Result<()> {
    out.write_all(text.as_bytes())?;
    if !text.is_empty() && !text.ends_with('\n') {
        out.write_all(b"\n")?;
    }
    out.flush()
}

/// The version of every JSON document that is made here.
const SCHEMA_VERSION: u32 = 1;

#[cfg(test)]
mod tests;
