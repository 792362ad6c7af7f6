//! ARCHITECTURE.md names crates, files and types: each of them exists.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Folders that hold no source of the project.
const SKIPPED: &[&str] = &["target", ".git"];

#[test]
fn names_in_the_code_map_of_the_architecture_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let text = std::fs::read_to_string(root.join("ARCHITECTURE.md")).expect("ARCHITECTURE.md is there");
    let spans = code_spans(section(&text, "Code map").expect("it has a section `Code map`"));
    assert!(spans.len() >= 15, "a code map names every room: {spans:?}");
    let tree = Tree::read(root);
    let missing: Vec<_> = spans.iter().filter(|span| !tree.has(span)).collect();
    assert!(missing.is_empty(), "the code map names what does not exist: {missing:?}");
}

#[test]
fn the_check_sees_what_is_and_what_is_not() {
    let tree = Tree::read(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap());
    for present in ["portcullis-model", "engine/model", "engine/model/src/", "Cargo.toml", "Engine", "Engine::revoke"] {
        assert!(tree.has(present), "{present}");
    }
    for absent in ["portcullis-models", "engine/modell", "Enginee", "Engine::revokee", "engine/model/src/nothing.rs"] {
        assert!(!tree.has(absent), "{absent}");
    }
    let found = code_spans(
        section("# A\n`no`\n## Code map\nthe `one` and `cargo test`\n### Inner\n`x`\n## Next\n`no`", "Code map")
            .unwrap(),
    );
    assert_eq!(found, ["one", "x"].map(str::to_owned).into());
}

/// The text under a heading, up to the next heading of its level or above.
fn section<'a>(text: &'a str, title: &str) -> Option<&'a str> {
    let mut begin = None;
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let level = line.bytes().take_while(|byte| *byte == b'#').count();
        if let Some((from, depth)) = begin {
            if level > 0 && level <= depth {
                return text.get(from..offset);
            }
        } else if level > 0 && line.trim_start_matches('#').trim() == title {
            begin = Some((offset + line.len(), level));
        }
        offset += line.len();
    }
    begin.and_then(|(from, _)| text.get(from..))
}

/// Code spans that look like names: a command line, a flag or the path of a URL is none.
fn code_spans(text: &str) -> BTreeSet<String> {
    let prose = text.split("```").step_by(2);
    let spans = prose.flat_map(|part| part.split('`').enumerate().filter(|(at, _)| at % 2 == 1).map(|(_, span)| span));
    let fits = |span: &&str| !span.is_empty() && !span.contains(char::is_whitespace) && !span.starts_with(['-', '/']);
    spans.filter(fits).map(str::to_owned).collect()
}

/// The names that the tree declares.
struct Tree {
    root: PathBuf,
    files: BTreeSet<String>,
    crates: BTreeSet<String>,
    declared: BTreeSet<String>,
}

impl Tree {
    fn read(root: &Path) -> Self {
        let mut tree =
            Self { root: root.to_owned(), files: BTreeSet::new(), crates: BTreeSet::new(), declared: BTreeSet::new() };
        tree.walk(root);
        tree
    }

    fn walk(&mut self, folder: &Path) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            if path.is_dir() {
                if !SKIPPED.contains(&name.as_str()) {
                    self.files.insert(name);
                    self.walk(&path);
                }
                continue;
            }
            match name.as_str() {
                "Cargo.toml" => self.read_manifest(&path),
                name if name.ends_with(".rs") => self.read_source(&path),
                _ => {}
            }
            self.files.insert(name);
        }
    }

    fn read_manifest(&mut self, path: &Path) {
        let text = std::fs::read_to_string(path).unwrap();
        let names = text.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
        self.crates.extend(names.map(str::to_owned));
    }

    fn read_source(&mut self, path: &Path) {
        let text = std::fs::read_to_string(path).unwrap();
        let mut words =
            text.split(|character: char| !character.is_alphanumeric() && character != '_' && character != '!');
        let mut before = "";
        for word in words.by_ref().filter(|word| !word.is_empty()) {
            if matches!(
                before,
                "struct" | "enum" | "trait" | "type" | "fn" | "mod" | "const" | "static" | "macro_rules!"
            ) {
                self.declared.insert(word.to_owned());
            }
            before = word;
        }
        self.declare_variants(&text);
    }

    /// Lines such as `Allow,` or `Session {` inside an enum declare a name too.
    fn declare_variants(&mut self, text: &str) {
        for line in text.lines().map(str::trim) {
            let end = line.find(|character: char| !character.is_alphanumeric()).unwrap_or(line.len());
            let (name, rest) = line.split_at(end);
            let begins = name.starts_with(|character: char| character.is_ascii_uppercase());
            if begins && (rest.starts_with([',', '(']) || rest.starts_with(" {") || rest.starts_with(" = ")) {
                self.declared.insert(name.to_owned());
            }
        }
    }

    fn has(&self, span: &str) -> bool {
        let span = span.trim_end_matches("()");
        if self.crates.contains(span) || self.crates.contains(&span.replace('_', "-")) {
            return true;
        }
        if span.contains('/') {
            return self.root.join(span.trim_end_matches('/')).exists();
        }
        if span.contains('.') || self.files.contains(span) {
            return self.files.contains(span);
        }
        span.split("::").all(|part| {
            let part = part.split('<').next().unwrap_or_default();
            self.declared.contains(part) || self.crates.contains(&part.replace('_', "-"))
        })
    }
}
