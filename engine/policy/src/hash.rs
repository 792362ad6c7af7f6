//! The name of a policy set: a hash of its text.

use portcullis_model::{PolicySetText, SetHash};
use sha2::{Digest, Sha256};

/// SHA-256 over a policy set's schema and its files, by name ascending.
///
/// Every part is preceded by its length, so that no two sets give the same bytes; the order in which
/// the files are listed does not matter.
pub fn set_hash(text: &PolicySetText) -> SetHash {
    let mut files: Vec<_> = text.files.iter().collect();
    files.sort_by(|a, b| (&a.name, &a.text).cmp(&(&b.name, &b.text)));
    let mut hasher = Sha256::new();
    hasher.update(b"portcullis/policy-set\0");
    for file in std::iter::once(&text.schema).chain(files) {
        for part in [&file.name, &file.text] {
            // A length always fits 64 bits.
            hasher.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            hasher.update(part.as_bytes());
        }
    }
    SetHash::from_bytes(hasher.finalize().into())
}

#[cfg(test)]
mod tests {
    use portcullis_model::PolicyFile;

    use super::*;

    fn set(schema: &str, files: &[(&str, &str)]) -> PolicySetText {
        let file = |(name, text): (&str, &str)| PolicyFile { name: name.to_owned(), text: text.to_owned() };
        PolicySetText { schema: file(("s", schema)), files: files.iter().copied().map(file).collect() }
    }

    #[test]
    fn order_of_files_does_not_matter_and_everything_else_does() {
        let hash = |schema, files: &[_]| set_hash(&set(schema, files));
        let base = hash("x", &[("a", "1"), ("b", "2")]);
        assert_eq!(base, hash("x", &[("b", "2"), ("a", "1")]));
        for other in [
            hash("y", &[("a", "1"), ("b", "2")]),
            hash("x", &[("a", "2"), ("b", "1")]),
            hash("x", &[("a", "1b"), ("", "2")]),
            hash("x", &[("a1", ""), ("b", "2")]),
            hash("x", &[("a", "1")]),
            hash("", &[("x", ""), ("a", "1"), ("b", "2")]),
        ] {
            assert_ne!(base, other);
        }
    }
}
