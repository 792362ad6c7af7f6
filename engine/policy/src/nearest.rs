//! The name that was probably meant.

/// The nearest of some names to a text, if one is near enough to be meant: at most a third of it, and
/// at least one character, is different.
///
/// BOUND: a caller may send nonsense on every request, so only short texts are compared, and only with
/// [`COMPARED_MAX`] names of about their length.
pub(crate) fn nearest<'a, T>(text: &str, names: impl Iterator<Item = (&'a str, T)>) -> Option<T> {
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    let differing_max = (text.len() / 3).max(1);
    names
        .filter(|(name, _)| name.len().abs_diff(text.len()) <= differing_max)
        .take(COMPARED_MAX)
        .map(|(name, item)| (strsim::osa_distance(text, name), item))
        .filter(|(distance, _)| *distance <= differing_max)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, item)| item)
}

const TEXT_BYTES_MAX: usize = 64;
const COMPARED_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let names = ["read", "write", "slack/post_message"];
        let find = |text: &str| nearest(text, names.iter().map(|name| (*name, *name)));
        assert_eq!(find("raed"), Some("read"));
        assert_eq!(find("slack/post_mesage"), Some("slack/post_message"));
        assert_eq!(find("delete"), None);
        assert_eq!(find(""), None);
        assert_eq!(find(&"x".repeat(10_000)), None);
    }
}
