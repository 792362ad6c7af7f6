//! The last line of a runner.

use std::process::ExitCode;

/// Counts what a runner found.
#[derive(Debug, Default)]
pub struct Tally {
    passed: usize,
    failed: usize,
}

impl Tally {
    /// Counts one case, and prints what is wrong with it.
    pub fn count(&mut self, case: &str, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => self.passed += 1,
            Err(difference) => {
                self.failed += 1;
                println!("FAILED {case}: {difference}");
            }
        }
    }

    /// Prints `N passed, N failed`; success only if something passed and nothing failed.
    pub fn close(&self) -> ExitCode {
        println!("{} passed, {} failed", self.passed, self.failed);
        if self.failed == 0 && self.passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
