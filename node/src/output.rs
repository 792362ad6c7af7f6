//! How commands speak: data on stdout, all else on stderr, and errors in one shape.

use std::borrow::Cow;
use std::io::{self, Write};

use portcullis_model::{ErrorCode, Refusal};
use serde::Serialize;
use serde_json::json;

use crate::exit::Exit;
use crate::shell::Program;

/// How data is written to stdout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON document.
    Json,
    /// One JSON document a line, for streams.
    Ndjson,
}

/// When to colour. `NO_COLOR` and `CLICOLOR_FORCE` decide where the choice is `auto`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    /// Where a terminal reads.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Color {
    /// Makes the choice for the whole process.
    pub fn apply(self) {
        let choice = match self {
            Self::Auto => anstream::ColorChoice::Auto,
            Self::Always => anstream::ColorChoice::Always,
            Self::Never => anstream::ColorChoice::Never,
        };
        choice.write_global();
    }
}

/// Writes a document to stdout as `format` says; a text for [`Format::Text`]. A reader that has gone
/// away is no failure: it had what it wanted.
///
/// # Errors
/// What the system said when the data could not be written.
pub fn show<T: Serialize>(format: Format, document: &T, text: impl FnOnce(&T) -> String) -> io::Result<()> {
    let result = write_document(&mut anstream::stdout().lock(), format, document, text);
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

fn write_document<T: Serialize>(
    out: &mut impl Write,
    format: Format,
    document: &T,
    text: impl FnOnce(&T) -> String,
) -> io::Result<()> {
    match format {
        Format::Text => {
            let text = text(document);
            out.write_all(text.as_bytes())?;
            if !text.is_empty() && !text.ends_with('\n') {
                out.write_all(b"\n")?;
            }
        }
        Format::Json => {
            serde_json::to_writer_pretty(&mut *out, document)?;
            out.write_all(b"\n")?;
        }
        Format::Ndjson => {
            serde_json::to_writer(&mut *out, document)?;
            out.write_all(b"\n")?;
        }
    }
    out.flush()
}

/// Why a command was not carried out: what went wrong, what to do about it, and how to exit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// How the process exits.
    pub exit: Exit,
    /// A stable word for scripts.
    pub code: Cow<'static, str>,
    /// What exactly, in words, without secrets or personal data.
    pub message: String,
    /// What to do about it.
    pub fix: String,
    /// Whether the same command may succeed later without anybody changing it.
    pub retryable: bool,
}

impl Failure {
    /// A failure that asking again does not mend.
    pub fn new(exit: Exit, code: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { exit, code: code.into(), message: message.into(), fix: fix.into(), retryable: false }
    }

    /// A wrong command line, configuration or name.
    pub fn usage(message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(Exit::Usage, "usage", message, fix)
    }

    /// A node that was not reached; asking again may succeed.
    pub fn unreachable(message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { retryable: true, ..Self::new(Exit::Unreachable, "unreachable", message, fix) }
    }

    /// A name that does not exist, with the nearest one that does. `kind` is one word, `agent`.
    pub fn unknown<'a>(kind: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        let hint = match nearest(name, known.iter().copied()) {
            Some(near) => format!(": did you mean `{near}`?"),
            None => String::new(),
        };
        let listed = known.iter().take(LISTED_MAX).copied().collect::<Vec<_>>().join(", ");
        let more = if known.len() > LISTED_MAX { ", ..." } else { "" };
        let fix = if known.is_empty() { format!("there is no {kind} yet") } else { format!("one of: {listed}{more}") };
        let code = ErrorCode::NotFound.code();
        Self::new(Exit::Usage, code, format!("no {kind} `{}`{hint}", excerpt(name)), fix)
    }

    /// The same, with the commands of its fix written as this program is typed.
    #[must_use]
    pub fn spelled(self, program: &Program) -> Self {
        Self { fix: program.spell(&self.fix), ..self }
    }

    /// Tells it as `format` says, JSON on stdout and text on stderr, and how to exit.
    pub fn report(&self, format: Format) -> Exit {
        // Nothing is left to tell it to where even this cannot be written.
        let _ = match format {
            Format::Text => self.write_text(&mut anstream::stderr().lock()),
            Format::Json | Format::Ndjson => show(format, &self.envelope(), |_| String::new()),
        };
        self.exit
    }

    /// The error envelope: `{"error": {code, message, fix, retryable}}`.
    pub fn envelope(&self) -> serde_json::Value {
        json!({
            "error": {
                "code": self.code,
                "message": self.message,
                "fix": self.fix,
                "retryable": self.retryable,
            }
        })
    }

    fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "error[{}]: {}", self.code, self.message)?;
        if !self.fix.is_empty() {
            writeln!(out, "  fix: {}", self.fix)?;
        }
        out.flush()
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let fix = fix(refusal.code, refusal.field.as_deref());
        let message = match refusal.field {
            // What names the field by itself says it once.
            Some(field) if !refusal.message.contains(&format!("`{field}`")) => {
                format!("`{field}`: {}", refusal.message)
            }
            _ => refusal.message,
        };
        Self {
            exit: refusal.code.into(),
            code: refusal.code.code().into(),
            message,
            fix: fix.to_owned(),
            retryable: refusal.code.is_retryable(),
        }
    }
}

/// What to do about a refusal: where a name is not known, the command that lists those that are.
fn fix(code: ErrorCode, field: Option<&str>) -> &'static str {
    match (code, field) {
        (ErrorCode::NotFound, Some("user")) => "name one that is stored: `portcullis entity list --type User`",
        (ErrorCode::NotFound, Some("agent")) => "name one that is stored: `portcullis entity list --type Agent`",
        (ErrorCode::NotFound, Some("resource")) => "name one that is stored: `portcullis entity list`",
        (ErrorCode::NotFound, Some("grant")) => "name one that was issued: `portcullis grant list`",
        (ErrorCode::NotFound, Some("session")) => "name one that is live: `portcullis session list`",
        (ErrorCode::SchemaMismatch, Some(field)) if field.starts_with("attributes") => {
            "give the entity the attributes that the schema declares for its type"
        }
        _ => code.fix(),
    }
}

/// The known name that `name` was probably meant to be: at most one edit in three characters away.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // BOUND: the distance is quadratic in the length, and nobody mistypes a name this long.
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let tolerated = (name.chars().count() / 3).max(1);
    known
        .into_iter()
        .filter(|known| known.len() <= NAME_BYTES_MAX)
        .map(|known| (strsim::damerau_levenshtein(name, known), known))
        .filter(|(distance, _)| *distance <= tolerated)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// The start of something that was given, safe to print: no control characters.
pub fn excerpt(text: &str) -> String {
    text.chars().take(EXCERPT_CHARS_MAX).flat_map(char::escape_debug).collect::<String>().replace("\\\"", "\"")
}

/// Most known names that an error lists.
const LISTED_MAX: usize = 12;
/// Longest name for which a near one is looked for, in bytes.
const NAME_BYTES_MAX: usize = 128;
/// Most characters of outside input that an error repeats.
const EXCERPT_CHARS_MAX: usize = 80;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    fn written(format: Format) -> String {
        let mut out = Vec::new();
        write_document(&mut out, format, &json!({"verdict": "allow"}), |_| "ALLOW".to_owned()).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_format_ends_its_line() {
        assert_eq!(written(Format::Text), "ALLOW\n");
        assert_eq!(written(Format::Json), "{\n  \"verdict\": \"allow\"\n}\n");
        assert_eq!(written(Format::Ndjson), "{\"verdict\":\"allow\"}\n");
    }

    #[test]
    fn failures_tell_code_message_fix_and_retry() {
        let failure = Failure::from(Refusal::of_field(ErrorCode::NotFresh, "at_least", "revision 7 is not here"));
        let error = &failure.envelope()["error"];
        assert_eq!(
            (&error["code"], &error["retryable"], failure.exit),
            (&json!("not_fresh"), &json!(true), Exit::CannotDecide)
        );
        let mut text = Vec::new();
        failure.write_text(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.starts_with("error[not_fresh]: `at_least`: revision 7 is not here\n  fix: "), "{text}");
    }

    #[test]
    fn a_field_is_named_once_and_a_missing_name_is_listed_somewhere() {
        let twice = Refusal::of_field(ErrorCode::SchemaMismatch, "attributes.x", "`attributes.x` is missing");
        let failure = Failure::from(twice);
        assert_eq!(failure.message, "`attributes.x` is missing");
        assert!(failure.fix.contains("the entity"), "{}", failure.fix);
        let failure = Failure::from(Refusal::of_field(ErrorCode::NotFound, "agent", "no agent `x`"));
        let program = Program::by_name().with_client(std::path::Path::new("o.toml"));
        let fix = failure.spelled(&program).fix;
        assert!(fix.contains("`portcullis entity list --type Agent --client o.toml`"), "{fix}");
    }

    #[test]
    fn unknown_names_exit_2_with_the_nearest() {
        let known = ["triage-bot", "mailer", "release-bot"];
        let failure = Failure::unknown("agent", "triag-bot", known);
        assert_eq!(failure.message, "no agent `triag-bot`: did you mean `triage-bot`?");
        assert_eq!((failure.exit, failure.fix.as_str()), (Exit::Usage, "one of: triage-bot, mailer, release-bot"));
        assert_eq!(Failure::unknown("agent", "zzz", known).message, "no agent `zzz`");
        assert_eq!(Failure::unknown("agent", "zzz", []).fix, "there is no agent yet");
    }

    #[test]
    fn nearest_tolerates_one_edit_in_three() {
        assert_eq!(nearest("quik", ["quic", "admin"]), Some("quic"));
        assert_eq!(nearest("admni", ["quic", "admin"]), Some("admin"));
        assert_eq!(nearest("x", ["quic", "admin"]), None);
        assert_eq!(nearest(&"x".repeat(1_000_000), ["quic"]), None);
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let failure = Failure::unknown("user", "\u{1b}[31mada\n", []);
        assert!(!failure.message.contains(['\u{1b}', '\n']), "{}", failure.message);
        assert!(Failure::unknown("user", &"a".repeat(5_000), []).message.len() < 200);
    }
}
