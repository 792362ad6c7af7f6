//! Mistakes in policy text, each with its place.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::limits::DIAGNOSTICS_MAX;

/// How much a diagnostic matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The set is refused.
    Error,
    /// The set compiles, but probably does not say what was meant.
    Warning,
}

/// One mistake and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How much it matters.
    pub severity: Severity,
    /// The file's name as given.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: u32,
    /// The character in the line, from 1.
    pub column: u32,
    /// The first byte in the file's text.
    pub offset: usize,
    /// How many bytes; 0 for a place between two.
    pub length: usize,
    /// What is wrong.
    pub message: String,
    /// What may help.
    pub help: Option<String>,
}

/// `file:line:column: message`.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)
    }
}

/// Why a policy set or condition does not compile: every mistake found, in the order of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyErrors {
    /// The errors, at least one and at most [`DIAGNOSTICS_MAX`].
    pub diagnostics: Vec<Diagnostic>,
    /// How many more there are.
    pub omitted: usize,
}

/// One line a diagnostic.
impl fmt::Display for PolicyErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, diagnostic) in self.diagnostics.iter().enumerate() {
            let separator = if position == 0 { "" } else { "\n" };
            write!(f, "{separator}{diagnostic}")?;
        }
        if self.omitted > 0 { write!(f, "\nand {} more", self.omitted) } else { Ok(()) }
    }
}

impl std::error::Error for PolicyErrors {}

/// Collects diagnostics up to the bound.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    errors: Vec<Diagnostic>,
    errors_omitted: usize,
    warnings: Vec<Diagnostic>,
}

impl Problems {
    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        match diagnostic.severity {
            Severity::Error if self.errors.len() < DIAGNOSTICS_MAX => self.errors.push(diagnostic),
            Severity::Error => self.errors_omitted += 1,
            Severity::Warning if self.warnings.len() < DIAGNOSTICS_MAX => self.warnings.push(diagnostic),
            Severity::Warning => {}
        }
    }

    pub(crate) fn extend(&mut self, diagnostics: impl IntoIterator<Item = Diagnostic>) {
        diagnostics.into_iter().for_each(|diagnostic| self.push(diagnostic));
    }

    pub(crate) fn has_errors(&self) -> bool {
        !self.errors.is_empty()
    }

    pub(crate) fn into_errors(mut self) -> PolicyErrors {
        self.errors.sort_by(|a, b| (&a.file, a.offset).cmp(&(&b.file, b.offset)));
        PolicyErrors { diagnostics: self.errors, omitted: self.errors_omitted }
    }

    /// The warnings if there is no error.
    pub(crate) fn finish(mut self) -> Result<Vec<Diagnostic>, PolicyErrors> {
        if self.has_errors() {
            return Err(self.into_errors());
        }
        self.warnings.sort_by(|a, b| (&a.file, a.offset).cmp(&(&b.file, b.offset)));
        Ok(self.warnings)
    }
}

/// A text whose byte offsets can be told as lines and columns.
pub(crate) struct Source<'a> {
    pub(crate) file: Arc<str>,
    pub(crate) text: &'a str,
    line_starts: Vec<usize>,
}

impl<'a> Source<'a> {
    pub(crate) fn new(file: &str, text: &'a str) -> Self {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(offset, _)| offset + 1)).collect();
        Self { file: file.into(), text, line_starts }
    }

    /// The line of a byte, from 1.
    pub(crate) fn line(&self, offset: usize) -> u32 {
        let before = self.line_starts.partition_point(|start| *start <= offset);
        u32::try_from(before.max(1)).unwrap_or(u32::MAX)
    }

    fn column(&self, offset: usize) -> u32 {
        let before = self.line_starts.partition_point(|start| *start <= offset);
        let start = before.checked_sub(1).and_then(|line| self.line_starts.get(line)).copied().unwrap_or(0);
        let line = self.text.get(start..).unwrap_or_default();
        let characters = line.char_indices().take_while(|(position, _)| start + position < offset).count();
        u32::try_from(characters + 1).unwrap_or(u32::MAX)
    }

    pub(crate) fn error(&self, span: Range<usize>, message: impl Into<String>) -> Diagnostic {
        self.diagnostic(Severity::Error, span, message.into(), None)
    }

    pub(crate) fn diagnostic(
        &self,
        severity: Severity,
        span: Range<usize>,
        message: String,
        help: Option<String>,
    ) -> Diagnostic {
        let offset = span.start.min(self.text.len());
        Diagnostic {
            severity,
            file: Arc::clone(&self.file),
            line: self.line(offset),
            column: self.column(offset),
            offset,
            length: span.end.min(self.text.len()).saturating_sub(offset),
            message,
            help,
        }
    }

    /// The diagnostics of a cedar-policy error and of those it brings along. Offsets are `shift`
    /// bytes too large; one without a place stands at `fallback`.
    pub(crate) fn report(
        &self,
        severity: Severity,
        error: &dyn miette::Diagnostic,
        shift: usize,
        fallback: Range<usize>,
    ) -> Vec<Diagnostic> {
        let mut reported = Vec::new();
        let mut waiting = vec![error];
        while let Some(error) = waiting.pop().filter(|_| reported.len() <= DIAGNOSTICS_MAX) {
            let label = error.labels().and_then(|mut labels| labels.next());
            let span = label.as_ref().map_or_else(
                || fallback.clone(),
                |label| {
                    let start = label.offset().saturating_sub(shift);
                    start..start.saturating_add(label.len())
                },
            );
            let hint = label.and_then(|label| label.label().map(str::to_owned));
            let help = error.help().map(|help| help.to_string()).or(hint);
            reported.push(self.diagnostic(severity, span, error.to_string(), help));
            let related: Vec<_> = error.related().into_iter().flatten().collect();
            waiting.extend(related.into_iter().rev());
        }
        reported
    }
}
