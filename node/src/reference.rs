//! The reference pages under `docs/` that are generated from the types.

use std::fmt::Write;

use portcullis_model::{ErrorCode, Reason};

use crate::exit::Exit;

/// Every page: its name under `docs/`, and its text.
pub fn pages() -> [(&'static str, String); 3] {
    [
        ("configuration.md", crate::config::reference_markdown()),
        ("reason-codes.md", reason_codes()),
        ("exit-codes.md", exit_codes()),
    ]
}

/// Every reason of a decision and every error, with its stable number.
pub fn reason_codes() -> String {
    let mut page = String::from(
        "# Reason and error codes\n\nGenerated from `engine/model/src/reason.rs` and `engine/model/src/error.rs`. Numbers and codes are never reused.\n\n\
         ## Reasons\n\nWhy a decision is what it is. Only `permitted` is an allow; `approval_required` suspends; every other one denies.\n\n\
         | number | code | meaning |\n|---|---|---|\n",
    );
    for reason in Reason::ALL {
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(page, "| {} | `{}` | {} |", reason.number(), reason.code(), reason.words());
    }
    page.push_str(
        "\n## Errors\n\nWhy no decision was reached, or a command was not carried out. An error is never a verdict: enforcement points refuse. `exit` is how the command line exits on it.\n\n\
         | number | code | retry | exit | what to do |\n|---|---|---|---|---|\n",
    );
    for code in ErrorCode::ALL {
        let retry = if code.is_retryable() { "yes" } else { "no" };
        let exit = Exit::from(*code).number();
        let _ = writeln!(page, "| {} | `{}` | {retry} | {exit} | {} |", code.number(), code.code(), code.fix());
    }
    page
}

/// Every exit code.
pub fn exit_codes() -> String {
    let mut page = String::from(
        "# Exit codes\n\nGenerated from `node/src/exit.rs`. On 6, 7 and 8, `-o json` prints `{\"error\": {\"code\", \"message\", \"fix\", \"retryable\"}}`.\n\n| exit | meaning |\n|---|---|\n",
    );
    for exit in Exit::ALL {
        let _ = writeln!(page, "| {} | {} |", exit.number(), exit.meaning());
    }
    page
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn committed_pages_are_the_generated_ones() {
        let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
        for (name, page) in pages() {
            if std::env::var_os("UPDATE").is_some() {
                std::fs::write(docs.join(name), &page).unwrap();
            }
            let committed = std::fs::read_to_string(docs.join(name)).unwrap();
            assert!(
                committed == page,
                "docs/{name} is out of date: `UPDATE=1 cargo test -p portcullis reference` mends it"
            );
        }
    }
}
