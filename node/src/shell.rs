//! Command lines that can be typed as they are printed.

use std::path::{Path, PathBuf};

/// This program as it is typed, and what its commands need to find their node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    path: String,
    /// Words that every command ends with.
    suffix: Vec<String>,
}

impl Program {
    /// This process's program, relative where it is inside the working directory. Its commands name the
    /// data folder unless they find it by themselves.
    pub fn of_process(data_dir: Option<&Path>) -> Self {
        let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from(NAME));
        let here = std::env::current_dir().ok();
        Self::new(&program, here.as_deref(), data_dir)
    }

    /// A program at `path`, typed in the folder `here`.
    pub fn new(path: &Path, here: Option<&Path>, data_dir: Option<&Path>) -> Self {
        let relative = here.and_then(|here| path.strip_prefix(here).ok()).filter(|path| !path.as_os_str().is_empty());
        let typed = match relative {
            // Without a slash a shell would look for it elsewhere.
            Some(relative) if relative.components().count() == 1 => Path::new(".").join(relative),
            Some(relative) => relative.to_owned(),
            None => path.to_owned(),
        };
        let suffix = data_dir.map(|folder| vec!["--data-dir".to_owned(), folder.to_string_lossy().into_owned()]);
        Self { path: typed.to_string_lossy().into_owned(), suffix: suffix.unwrap_or_default() }
    }

    /// A program that is found by its name.
    pub fn by_name() -> Self {
        Self { path: NAME.to_owned(), suffix: Vec::new() }
    }

    /// The same program, whose commands reach their node by a credentials file.
    #[must_use]
    pub fn with_client(self, file: &Path) -> Self {
        Self { suffix: vec!["--client".to_owned(), file.to_string_lossy().into_owned()], ..self }
    }

    /// A command that a node on another machine or in another folder proposed, as it is typed here.
    /// `None` for what is not one command of a program.
    pub fn retyped(&self, line: &str) -> Option<String> {
        let words = words(line)?;
        let mut words: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
        // Where the data is, is another question here.
        if let [.., "--data-dir", _] = words.as_slice() {
            words.truncate(words.len().saturating_sub(2));
        }
        (!words.is_empty()).then(|| self.line(&words))
    }

    /// A text whose commands in backticks, `portcullis ...`, are written as they are typed here.
    pub fn spell(&self, text: &str) -> String {
        let mut parts = text.split('`').map(str::to_owned).collect::<Vec<_>>();
        // Every other part stands between two backticks.
        for part in parts.iter_mut().skip(1).step_by(2) {
            if let Some(typed) = part.strip_prefix("portcullis ").and_then(|_| self.spelled(part)) {
                *part = typed;
            }
        }
        parts.join("`")
    }

    fn spelled(&self, command: &str) -> Option<String> {
        let words = words(command)?;
        let words: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
        let asks_no_node = match words.as_slice() {
            [first, ..] if ALONE.contains(first) || first.starts_with('-') => true,
            ["policy", second, ..] => *second != "push",
            _ => false,
        };
        let program = if asks_no_node { Self { suffix: Vec::new(), ..self.clone() } } else { self.clone() };
        Some(program.line(&words))
    }

    /// One command as a line for a POSIX shell.
    pub fn line(&self, words: &[&str]) -> String {
        let words = words.iter().copied().chain(self.suffix.iter().map(String::as_str));
        let quoted: Vec<String> = std::iter::once(self.path.as_str()).chain(words).map(quote).collect();
        quoted.join(" ")
    }
}

/// A word as a POSIX shell reads it back.
pub fn quote(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:=@%+,".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// The words of a line of plain and single-quoted ones, as [`quote`] writes them; `None` for any other.
fn words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = line.chars();
    while let Some(next) = rest.next() {
        match next {
            ' ' => words.extend(word.take()),
            '\'' => {
                let quoted = word.get_or_insert_default();
                loop {
                    match rest.next()? {
                        '\'' => break,
                        inside => quoted.push(inside),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(rest.next()?),
            '"' | '$' | '`' | '\n' | ';' | '&' | '|' | '<' | '>' | '(' | ')' => return None,
            plain => word.get_or_insert_default().push(plain),
        }
    }
    words.extend(word);
    Some(words)
}

const NAME: &str = "portcullis";
/// Commands that ask no node.
const ALONE: [&str; 4] = ["init", "serve", "config", "completions"];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn a_shell_reads_every_word_back() {
        let words =
            ["plain", "", "two words", "it's", r#"{"text":"3 new `x` $y"}"#, "a\\b", "new\nline", "Ünï", "-x", "~"];
        let line = Program::new(Path::new("/usr/bin/printf"), None, None).line(&[&["%s\\0"], &words[..]].concat());
        let output = std::process::Command::new("sh").arg("-c").arg(&line).output().unwrap();
        let expected: String = words.iter().map(|word| format!("{word}\0")).collect();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), expected, "{line}");
    }

    #[test]
    fn the_program_is_typed_as_short_as_the_folder_allows() {
        let check = |path: &str, here: &str| Program::new(Path::new(path), Some(Path::new(here)), None).line(&["x"]);
        assert_eq!(check("/w/target/release/portcullis", "/w"), "target/release/portcullis x");
        assert_eq!(check("/w/portcullis", "/w"), "./portcullis x");
        assert_eq!(check("/usr/bin/portcullis", "/w"), "/usr/bin/portcullis x");
        assert_eq!(check("/w 2/portcullis", "/w"), "'/w 2/portcullis' x");
    }

    #[test]
    fn a_line_is_read_back_as_it_was_written() {
        let given = ["grant", "", "two words", "it's", "{\"text\":\"`x` $y\"}", "a\\b", "Ünï"];
        let line = Program::by_name().line(&given);
        assert_eq!(words(&line).unwrap()[1..], given, "{line}");
        for line in ["'", "a; b", "a $(b)", "a \"b\"", "a\nb", "a \\"] {
            assert_eq!(words(line), None, "{line}");
        }
    }

    #[test]
    fn what_a_node_proposes_is_typed_as_this_program_is() {
        let program = Program::new(Path::new("/w/portcullis"), Some(Path::new("/w")), None);
        let program = program.with_client(Path::new("my node/operator.toml"));
        assert_eq!(
            program.retyped("/srv/portcullis restore agent 'a b' --data-dir /srv/data").unwrap(),
            "./portcullis restore agent 'a b' --client 'my node/operator.toml'"
        );
        assert_eq!(program.retyped("portcullis"), None);
        assert_eq!(program.retyped("portcullis x; rm -r y"), None);
    }

    #[test]
    fn commands_in_a_text_name_their_node_where_they_ask_one() {
        let program = Program::new(Path::new("/w/portcullis"), Some(Path::new("/w")), None);
        let program = program.with_client(Path::new("operator.toml"));
        for (text, spelled) in [
            ("look: `portcullis doctor`, then", "look: `./portcullis doctor --client operator.toml`, then"),
            ("`portcullis init DIR` writes one", "`./portcullis init DIR` writes one"),
            ("`portcullis policy validate p`", "`./portcullis policy validate p`"),
            ("`portcullis --version` of `x`", "`./portcullis --version` of `x`"),
            ("correct `portcullis.toml`", "correct `portcullis.toml`"),
        ] {
            assert_eq!(program.spell(text), spelled);
        }
    }

    #[test]
    fn a_data_folder_that_is_not_found_by_itself_is_named_last() {
        let program = Program::new(Path::new("/bin/p"), None, Some(Path::new("/tmp/my data")));
        assert_eq!(
            program.line(&["revoke", "agent", "mailer"]),
            "/bin/p revoke agent mailer --data-dir '/tmp/my data'"
        );
    }
}
