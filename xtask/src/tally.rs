//! Adds up what test runners report.

use std::process::ExitCode;

use crate::step::Reports;

/// What has passed and failed so far, over all runners of one command.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    passed: u64,
    failed: u64,
    /// Steps that did not succeed, by name.
    broken: Vec<String>,
    /// Whether a step has run that must report at least one test.
    expects_tests: bool,
}

impl Tally {
    /// Adds what a line of this kind of report says; any other line changes nothing. What a program
    /// under test prints looks like a runner's closing line, so `cargo test` is read by its own only.
    pub(crate) fn read(&mut self, line: &str, reports: Reports) {
        let found = match reports {
            Reports::Nothing => None,
            Reports::CargoTests => cargo_test(line),
            Reports::Runner => plain(line),
        };
        if let Some((passed, failed)) = found {
            self.passed += passed;
            self.failed += failed;
        }
    }

    /// How many tests have been reported.
    pub(crate) fn reported(&self) -> u64 {
        self.passed + self.failed
    }

    /// Remembers a step that did not succeed.
    pub(crate) fn broke(&mut self, step: &str) {
        self.broken.push(step.to_owned());
    }

    /// Remembers that tests must have run by the end.
    pub(crate) fn expect_tests(&mut self) {
        self.expects_tests = true;
    }

    /// Prints the closing line; success where every step succeeded and no test failed or is missing.
    pub(crate) fn close(mut self) -> ExitCode {
        if self.expects_tests && self.reported() == 0 {
            self.broke("no test ran");
        }
        if !self.broken.is_empty() {
            println!("\nnot passed: {}", self.broken.join(", "));
        }
        println!("{} passed, {} failed", self.passed, self.failed);
        if self.broken.is_empty() && self.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// `test result: ok. 12 passed; 0 failed; 0 ignored; ...`
fn cargo_test(line: &str) -> Option<(u64, u64)> {
    let rest = line.strip_prefix("test result: ")?;
    let (_, counts) = rest.split_once(". ")?;
    let mut counts = counts.split("; ");
    Some((number(counts.next()?, "passed")?, number(counts.next()?, "failed")?))
}

/// `12 passed, 0 failed`, perhaps with one word and a colon before it.
fn plain(line: &str) -> Option<(u64, u64)> {
    let line = line.trim();
    let counts = match line.split_once(": ") {
        Some((word, counts)) if !word.contains(' ') => counts,
        Some(_) => return None,
        None => line,
    };
    let mut counts = counts.split(", ");
    Some((number(counts.next()?, "passed")?, number(counts.next()?, "failed")?))
}

fn number(text: &str, word: &str) -> Option<u64> {
    let (count, rest) = text.split_once(' ')?;
    (rest == word).then(|| count.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_added_and_nothing_else() {
        let mut tally = Tally::default();
        for line in [
            "test result: ok. 13 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.05s",
            "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "74 passed, 0 failed",
            "conformance: 5 passed, 2 failed, 1 skipped",
            "test tests::two_passed ... ok",
            "we saw 3 passed, 4 failed",
            "x passed, 1 failed",
            "9 passed",
            "",
        ] {
            tally.read(line, Reports::CargoTests);
        }
        assert_eq!((tally.passed, tally.failed, tally.reported()), (15, 1, 16));
        for line in ["74 passed, 0 failed", "conformance: 5 passed, 2 failed, 1 skipped", "we saw 3 passed, 4 failed"] {
            tally.read(line, Reports::Runner);
            tally.read(line, Reports::Nothing);
        }
        assert_eq!((tally.passed, tally.failed, tally.reported()), (94, 3, 97));
    }

    #[test]
    fn a_failure_a_broken_step_or_no_test_fails() {
        let after = |prepare: fn(&mut Tally)| {
            let mut tally = Tally::default();
            prepare(&mut tally);
            tally.close()
        };
        assert_eq!(after(|_| {}), ExitCode::SUCCESS);
        assert_eq!(after(|tally| tally.read("1 passed, 0 failed", Reports::Runner)), ExitCode::SUCCESS);
        assert_eq!(after(|tally| tally.read("1 passed, 1 failed", Reports::Runner)), ExitCode::FAILURE);
        assert_eq!(after(|tally| tally.broke("clippy")), ExitCode::FAILURE);
        assert_eq!(after(Tally::expect_tests), ExitCode::FAILURE);
    }
}
