//! The few arguments of a runner.

use std::collections::BTreeMap;

/// What was given on the command line.
#[derive(Debug)]
pub struct Arguments {
    named: BTreeMap<String, u64>,
    free: Vec<String>,
}

impl Arguments {
    /// Reads `--name NUMBER` for the names that are known, and what stands free. Ends the process with
    /// code 2 and `usage` on anything else.
    pub fn parse(known: &[&str], usage: &str) -> Self {
        let misused = |what: &str| -> ! {
            eprintln!("{what}\nusage: {usage}");
            std::process::exit(2);
        };
        let mut found = Self { named: BTreeMap::new(), free: Vec::new() };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let Some(name) = word.strip_prefix("--") else {
                found.free.push(word);
                continue;
            };
            if !known.contains(&name) {
                misused(&format!("`{word}` is not known"));
            }
            match words.next().and_then(|number| number.parse().ok()) {
                Some(number) => drop(found.named.insert(name.to_owned(), number)),
                None => misused(&format!("`{word}` needs a number")),
            }
        }
        found
    }

    /// The number given for a name.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.named.get(name).copied()
    }

    /// What stood free, in order.
    pub fn free(&self) -> &[String] {
        &self.free
    }
}
