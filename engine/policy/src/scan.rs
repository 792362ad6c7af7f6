//! A first look at policy text that no depth of nesting can hurt: bounds it before it is parsed.
//!
//! Knows strings, comments, brackets and chains of operators, and nothing else. What it finds malformed
//! it leaves to the parser to complain about.

use std::ops::Range;

use crate::limits::{EXPRESSION_DEPTH_MAX, NESTING_MAX};

/// Which brackets count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Policy,
    /// Angle brackets nest too.
    Schema,
}

/// One statement of a text: where it is, and a bound for how deep its syntax tree is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) span: Range<usize>,
    pub(crate) depth: usize,
}

/// A text that must not be given to a recursive parser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TooDeep {
    /// The brackets, at this bracket.
    Nesting(usize),
    /// The expression of the statement there.
    Expression(Range<usize>),
}

impl TooDeep {
    pub(crate) fn span(&self) -> Range<usize> {
        match self {
            Self::Nesting(offset) => *offset..offset + 1,
            Self::Expression(span) => span.clone(),
        }
    }

    pub(crate) fn message(&self) -> String {
        match self {
            Self::Nesting(_) => format!("brackets nest more than {NESTING_MAX} deep"),
            Self::Expression(_) => {
                format!("the expression is more than {EXPRESSION_DEPTH_MAX} deep: use sets or several policies")
            }
        }
    }
}

/// The statements of a text, each ending with its semicolon.
pub(crate) fn scan(text: &str, dialect: Dialect) -> Result<Vec<Statement>, TooDeep> {
    let mut scanner = Scanner { dialect, statements: Vec::new(), open: vec![Level::default()], start: None };
    let bytes = text.as_bytes();
    let mut offset = 0;
    while let Some(&byte) = bytes.get(offset) {
        offset = match byte {
            b'/' if bytes.get(offset + 1) == Some(&b'/') => end_of_line(bytes, offset),
            byte if byte.is_ascii_whitespace() => offset + 1,
            b'"' => {
                scanner.start.get_or_insert(offset);
                end_of_string(bytes, offset)
            }
            byte if byte.is_ascii_alphanumeric() || byte == b'_' => {
                scanner.start.get_or_insert(offset);
                let end = end_of_word(bytes, offset);
                scanner.word(bytes.get(offset..end).unwrap_or_default());
                end
            }
            byte => {
                scanner.start.get_or_insert(offset);
                scanner.symbol(byte, offset)?;
                let is_double = matches!(byte, b'|' | b'&') && bytes.get(offset + 1) == Some(&byte);
                if is_double { offset + 2 } else { offset + 1 }
            }
        };
    }
    scanner.end_statement(text.len())?;
    Ok(scanner.statements)
}

/// What is open at one depth of brackets.
#[derive(Clone, Copy, Default)]
struct Level {
    /// Operators that chain the terms of the element being read; each puts all before it one deeper.
    chain: usize,
    /// Accesses, calls and negations of the term being read.
    term: usize,
    /// The deepest bracket within that term.
    inner: usize,
    /// The deepest term before it.
    terms: usize,
    /// The deepest element before this one.
    elements: usize,
}

impl Level {
    fn end_term(&mut self) {
        self.terms = self.terms.max(self.term.saturating_add(self.inner));
        (self.term, self.inner) = (0, 0);
    }

    fn depth(mut self) -> usize {
        self.end_term();
        self.elements.max(self.chain.saturating_add(self.terms))
    }
}

struct Scanner {
    dialect: Dialect,
    statements: Vec<Statement>,
    /// Never empty: the first level is the statement itself.
    open: Vec<Level>,
    start: Option<usize>,
}

impl Scanner {
    fn word(&mut self, word: &[u8]) {
        if word == b"if" {
            self.chain();
        }
    }

    fn symbol(&mut self, byte: u8, offset: usize) -> Result<(), TooDeep> {
        match byte {
            b'(' | b'[' | b'{' => self.bracket(offset)?,
            b'<' if self.dialect == Dialect::Schema => self.bracket(offset)?,
            b')' | b']' | b'}' => self.unbracket(),
            b'>' if self.dialect == Dialect::Schema => self.unbracket(),
            b';' if self.open.len() == 1 => self.end_statement(offset + 1)?,
            b',' => self.next_element(),
            b'|' | b'&' | b'+' | b'-' | b'*' => self.chain(),
            b'.' | b'!' => self.deepen_term(),
            _ => {}
        }
        Ok(())
    }

    fn chain(&mut self) {
        if let Some(level) = self.open.last_mut() {
            level.chain += 1;
            level.end_term();
        }
    }

    fn deepen_term(&mut self) {
        if let Some(level) = self.open.last_mut() {
            level.term += 1;
        }
    }

    fn next_element(&mut self) {
        if let Some(level) = self.open.last_mut() {
            *level = Level { elements: level.depth(), ..Level::default() };
        }
    }

    fn bracket(&mut self, offset: usize) -> Result<(), TooDeep> {
        if self.open.len() > NESTING_MAX {
            return Err(TooDeep::Nesting(offset));
        }
        // A clause is one more operand of the conjunction that a policy's clauses are.
        self.deepen_term();
        self.open.push(Level::default());
        Ok(())
    }

    fn unbracket(&mut self) {
        if self.open.len() > 1
            && let Some(closed) = self.open.pop()
            && let Some(level) = self.open.last_mut()
        {
            level.inner = level.inner.max(closed.depth() + 1);
        }
    }

    fn end_statement(&mut self, end: usize) -> Result<(), TooDeep> {
        while self.open.len() > 1 {
            self.unbracket();
        }
        let depth = self.open.last().copied().unwrap_or_default().depth();
        self.open = vec![Level::default()];
        let Some(start) = self.start.take() else { return Ok(()) };
        if depth > EXPRESSION_DEPTH_MAX && self.dialect == Dialect::Policy {
            return Err(TooDeep::Expression(start..end));
        }
        self.statements.push(Statement { span: start..end, depth });
        Ok(())
    }
}

fn end_of_line(bytes: &[u8], offset: usize) -> usize {
    let length = bytes.iter().skip(offset).take_while(|byte| **byte != b'\n').count();
    offset + length
}

fn end_of_word(bytes: &[u8], offset: usize) -> usize {
    let length = bytes.iter().skip(offset).take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
    offset + length
}

/// The byte after the closing quote, or the end of the text.
fn end_of_string(bytes: &[u8], offset: usize) -> usize {
    let mut end = offset + 1;
    while let Some(byte) = bytes.get(end) {
        match byte {
            b'\\' => end += 2,
            b'"' => return end + 1,
            _ => end += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

    use super::*;

    fn depths(text: &str) -> Vec<usize> {
        scan(text, Dialect::Policy).unwrap().into_iter().map(|statement| statement.depth).collect()
    }

    #[test]
    fn statements_begin_after_comments_and_semicolons_in_strings_do_not_end_them() {
        let text = "// permit;\n@id(\"a;b\\\";\")\npermit(a); // forbid(b);\nforbid(c) when { \"//\" == x };\n// end";
        let found: Vec<_> =
            scan(text, Dialect::Policy).unwrap().into_iter().map(|statement| &text[statement.span]).collect();
        assert_eq!(found, ["@id(\"a;b\\\";\")\npermit(a);", "forbid(c) when { \"//\" == x };"]);
    }

    #[test]
    fn chains_and_brackets_deepen_and_commas_do_not() {
        assert_eq!(depths("[1, 2, 3, 4];"), depths("[1];"));
        assert!(depths("a || b || c || d;") > depths("a || b;"));
        assert!(depths("((((a))));") > depths("(a);"));
        assert!(depths("permit() when {a} when {b};") > depths("permit() when {a};"));
        assert!(depths("if a then b else if c then d else e;") > depths("if a then b else c;"));
    }

    #[test]
    fn too_deep_is_found_at_its_edge() {
        let nested = |count: usize| format!("{}{}", "(".repeat(count), ")".repeat(count));
        assert!(scan(&nested(NESTING_MAX), Dialect::Policy).is_ok());
        assert_eq!(scan(&nested(NESTING_MAX + 1), Dialect::Policy), Err(TooDeep::Nesting(NESTING_MAX)));
        let chain = |count: usize| format!("a{}", ".a".repeat(count));
        assert!(scan(&chain(EXPRESSION_DEPTH_MAX), Dialect::Policy).is_ok());
        assert!(matches!(scan(&chain(EXPRESSION_DEPTH_MAX + 1), Dialect::Policy), Err(TooDeep::Expression(_))));
        assert!(scan(&"Set<".repeat(NESTING_MAX + 1), Dialect::Schema).is_err());
    }

    #[test]
    fn text_that_is_not_policy_is_left_to_the_parser() {
        for text in ["", ")", "]]]", "\"", "\"\\", "\\", "}{", ";;;", "é \u{1F600}", "/", "permit(\"a"] {
            assert!(scan(text, Dialect::Policy).is_ok(), "{text}");
        }
    }
}
