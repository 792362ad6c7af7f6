//! What the listener asks of the node.

/// What the listener asks of the node. Answers come from state that is kept anyway: each call takes
/// microseconds, never waits and never fails.
pub trait Probes: Send + Sync + 'static {
    /// Everything that must hold before the node takes work, in the order in which it is shown.
    /// The node is ready when there is at least one and all of them hold.
    fn conditions(&self) -> Vec<Condition>;

    /// The node's metrics in Prometheus' text format: see [`crate::Metrics`].
    fn metrics(&self) -> String;
}

/// One thing that must hold before the node takes work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// What it is about, in one word, for example `policy`.
    pub name: &'static str,
    /// Where it stands, in words: why it holds, or why it does not hold yet. Shown to anyone who
    /// reaches the listener: no secret, no personal data.
    pub state: Result<String, String>,
}

impl Condition {
    /// A condition that holds.
    pub fn holds(name: &'static str, state: impl Into<String>) -> Self {
        Self { name, state: Ok(state.into()) }
    }

    /// A condition that does not hold, and why.
    pub fn fails(name: &'static str, reason: impl Into<String>) -> Self {
        Self { name, state: Err(reason.into()) }
    }
}
