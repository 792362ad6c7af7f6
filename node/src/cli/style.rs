//! Colours and glyphs: a glyph always stands beside a word, and colour says nothing of its own.

use portcullis_model::Verdict;

/// Green text.
pub(crate) fn good(text: &str) -> String {
    format!("\u{1b}[32m{text}\u{1b}[0m")
}

/// Red text.
pub(crate) fn bad(text: &str) -> String {
    format!("\u{1b}[31m{text}\u{1b}[0m")
}

/// Yellow text.
pub(crate) fn doubtful(text: &str) -> String {
    format!("\u{1b}[33m{text}\u{1b}[0m")
}

/// Text that matters less.
pub(crate) fn dim(text: &str) -> String {
    format!("\u{1b}[2m{text}\u{1b}[0m")
}

/// A verdict as glyph and word.
pub(crate) fn verdict(verdict: Verdict) -> String {
    match verdict {
        Verdict::Allow => good("✔ ALLOW"),
        Verdict::Deny => bad("✘ DENY"),
        Verdict::Suspend => doubtful("… SUSPEND"),
    }
}

/// A span of nanoseconds, short.
pub(crate) fn nanoseconds(span: u64) -> String {
    match span {
        0..1_000 => format!("{span} ns"),
        1_000..1_000_000 => format!("{}.{} us", span / 1_000, span % 1_000 / 100),
        _ => format!("{}.{} ms", span / 1_000_000, span % 1_000_000 / 100_000),
    }
}

/// A text that cannot move the cursor: everything but quotes and backslashes that is not printable is
/// escaped.
pub(crate) fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\'' | '"' | '\\' => shown.push(character),
            other => shown.extend(other.escape_debug()),
        }
    }
    shown
}
