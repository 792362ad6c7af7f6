//! `completions`.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::arguments::Arguments;
use crate::cli::print_text;
use crate::exit::Exit;
use crate::output::Failure;

/// Writes the script that a shell sources.
pub(crate) fn run(shell: Shell) -> Result<Exit, Failure> {
    print_text(&script(shell))?;
    Ok(Exit::Ok)
}

fn script(shell: Shell) -> String {
    let mut bytes = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "portcullis", &mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_shell_completes_the_commands() {
        for shell in Shell::value_variants() {
            let script = script(*shell);
            assert!(script.contains("healthcheck") && script.contains("data-dir"), "{shell}");
        }
    }
}
