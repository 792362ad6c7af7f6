//! One number and its bound.

use serde_json::{Value, json};

/// One number.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// What was done, how often, on what.
    pub(crate) how: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    pub(crate) bound: Bound,
}

/// What a number must keep.
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
    /// Shown beside another one.
    None,
}

impl Row {
    pub(crate) fn is_kept(&self) -> bool {
        match self.bound {
            Bound::AtLeast(bound) => self.value >= bound,
            Bound::AtMost(bound) => self.value <= bound,
            Bound::None => true,
        }
    }

    pub(crate) fn print(&self) {
        let bound = match self.bound {
            Bound::AtLeast(bound) => format!("must be >= {bound:.0}"),
            Bound::AtMost(bound) => format!("must be <= {bound:.0}"),
            Bound::None => String::new(),
        };
        let kept = if self.is_kept() { "" } else { "MISSED" };
        println!("{:<28} {:>12.1} {:<9} {bound:<18} {kept:<6} {}", self.name, self.value, self.unit, self.how);
    }

    pub(crate) fn to_json(&self) -> Value {
        let (at_least, at_most) = match self.bound {
            Bound::AtLeast(bound) => (Some(bound), None),
            Bound::AtMost(bound) => (None, Some(bound)),
            Bound::None => (None, None),
        };
        json!({
            "name": self.name, "how": self.how, "value": self.value, "unit": self.unit,
            "at_least": at_least, "at_most": at_most, "kept": self.is_kept(),
        })
    }
}
