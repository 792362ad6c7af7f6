//! What a `dev` node says when it has started.

use std::fmt::Write;
use std::path::Path;

use crate::node::Node;

/// Where it listens, what it loaded, and what to type next, each command alone on its line.
pub(crate) fn text(node: &Node, try_lines: &[String]) -> String {
    let engine = node.engine();
    let count = |of_type: &str| engine.entities(Some(of_type), 0, COUNTED_MAX).entities.len();
    let (people, agents, groups) = (count("User"), count("Agent"), count("Group"));
    let stored = engine.entities(None, 0, COUNTED_MAX).entities.len();
    let resources = stored.saturating_sub(people + agents + groups);
    let grants = engine.grants(0, COUNTED_MAX).len();
    let status = engine.status();
    let policies = status.policy.map_or(0, |(_, count)| count);
    let data = shown(node.data_dir());
    let mut text = format!(
        "portcullis {} dev: the sample organisation, on this machine only, not for production\n",
        env!("CARGO_PKG_VERSION")
    );
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "  quic      {}\n  admin     http://{}  (/livez /readyz /metrics)\n  data      {data}  (operator.toml, client.toml)\n\
         \x20 loaded    {people} people, {agents} agents, {groups} groups, {resources} resources, {grants} grants\n\
         \x20 policies  {policies} in force at revision {}\n  watching  {data}/sample/policies, {data}/sample/directory.json\n\ntry:\n",
        node.quic(),
        node.admin(),
        status.effective,
    );
    for line in try_lines {
        text.push_str(line);
        text.push('\n');
    }
    text
}

/// A path as short as the working directory allows.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let relative = here.as_deref().and_then(|here| path.strip_prefix(here).ok()).unwrap_or(path);
    relative.to_string_lossy().into_owned()
}

/// Most entities that are counted; a sample has a few dozen.
const COUNTED_MAX: usize = 10_000;
