//! Shows mistakes where they stand in the policy text.

use std::fmt;

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};
use portcullis_model::{PolicyFile, PolicySetText};
use portcullis_policy::{Diagnostic, PolicyErrors, Severity};
use serde_json::{Value as Json, json};

/// Every diagnostic as a picture of its place in the text, one after the other. Colours are escapes,
/// which `anstream` takes out where nobody sees them.
pub fn render_diagnostics(set: &PolicySetText, diagnostics: &[Diagnostic]) -> String {
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode()).with_links(false).with_width(WIDTH);
    let mut text = String::new();
    for diagnostic in diagnostics {
        let file = files(set).find(|file| *file.name == *diagnostic.file);
        let source = file.map(|file| NamedSource::new(&file.name, file.text.clone()));
        if handler.render_report(&mut text, &Placed { diagnostic, source }).is_err() {
            text.push_str(&format!("{diagnostic}\n"));
        }
    }
    text
}

/// As [`render_diagnostics`], for a set that does not compile.
pub fn render_errors(set: &PolicySetText, errors: &PolicyErrors) -> String {
    let mut text = render_diagnostics(set, &errors.diagnostics);
    if errors.omitted > 0 {
        text.push_str(&format!("and {} more\n", errors.omitted));
    }
    text
}

/// A diagnostic for scripts.
pub(crate) fn diagnostic_json(diagnostic: &Diagnostic) -> Json {
    json!({
        "severity": match diagnostic.severity { Severity::Error => "error", Severity::Warning => "warning" },
        "file": diagnostic.file,
        "line": diagnostic.line,
        "column": diagnostic.column,
        "offset": diagnostic.offset,
        "length": diagnostic.length,
        "message": diagnostic.message,
        "help": diagnostic.help,
    })
}

fn files(set: &PolicySetText) -> impl Iterator<Item = &PolicyFile> {
    std::iter::once(&set.schema).chain(&set.files)
}

/// A diagnostic with its text, as miette wants it.
#[derive(Debug)]
struct Placed<'a> {
    diagnostic: &'a Diagnostic,
    source: Option<NamedSource<String>>,
}

impl fmt::Display for Placed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(_) => f.write_str(&self.diagnostic.message),
            // Without the text the place is told in words.
            None => self.diagnostic.fmt(f),
        }
    }
}

impl std::error::Error for Placed<'_> {}

impl miette::Diagnostic for Placed<'_> {
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.diagnostic.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.diagnostic.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.source.as_ref()?;
        let span = LabeledSpan::new(None, self.diagnostic.offset, self.diagnostic.length);
        Some(Box::new(std::iter::once(span)))
    }
}

/// Columns of a picture.
const WIDTH: usize = 100;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    fn set(text: &str) -> PolicySetText {
        let file = |name: &str, text: &str| PolicyFile { name: name.into(), text: text.into() };
        PolicySetText { schema: file("schema.cedarschema", "entity User;"), files: vec![file("mail.cedar", text)] }
    }

    fn diagnostic(file: &str) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            file: file.into(),
            line: 2,
            column: 5,
            offset: 19,
            length: 4,
            message: "unknown action `sned`".to_owned(),
            help: Some("did you mean `send`?".to_owned()),
        }
    }

    #[test]
    fn a_picture_shows_file_line_text_and_help() {
        let text = render_diagnostics(&set("// a first line\nok sned;\n"), &[diagnostic("mail.cedar")]);
        let text = anstream::adapter::strip_str(&text).to_string();
        for part in ["unknown action `sned`", "mail.cedar:2:4", "ok sned;", "──", "did you mean `send`?"] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }

    #[test]
    fn a_place_outside_the_text_is_told_in_words() {
        for (file, offset) in [("gone.cedar", 0), ("mail.cedar", 10_000)] {
            let lost = Diagnostic { offset, ..diagnostic(file) };
            let text = render_diagnostics(&set("x"), &[lost]);
            assert!(text.contains("unknown action `sned`"), "{text}");
        }
    }

    #[test]
    fn all_are_shown_and_the_omitted_counted() {
        let errors = PolicyErrors { diagnostics: vec![diagnostic("mail.cedar"); 3], omitted: 2 };
        let text = render_errors(&set("// a first line\nok sned;\n"), &errors);
        assert_eq!(text.matches("unknown action").count(), 3);
        assert!(text.ends_with("and 2 more\n"), "{text}");
    }
}
