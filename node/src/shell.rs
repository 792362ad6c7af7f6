//! Command lines that can be typed as they are printed.

use std::path::{Path, PathBuf};

/// This program as it is typed, and the data folder that its commands need.
#[derive(Clone, Debug, PartialEq, Eq)]
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

const NAME: &str = "portcullis";

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
    fn a_data_folder_that_is_not_found_by_itself_is_named_last() {
        let program = Program::new(Path::new("/bin/p"), None, Some(Path::new("/tmp/my data")));
        assert_eq!(
            program.line(&["revoke", "agent", "mailer"]),
            "/bin/p revoke agent mailer --data-dir '/tmp/my data'"
        );
    }
}
