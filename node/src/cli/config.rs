//! `config`: show and schema.

use crate::cli::arguments::{ConfigCommand, Global};
use crate::cli::print;
use crate::config::{Origins, schema, show_json, show_text};
use crate::exit::Exit;
use crate::output::{Failure, Format};

/// Shows what is in force, or what may be.
pub(crate) fn run(global: &Global, command: &ConfigCommand) -> Result<Exit, Failure> {
    match command {
        ConfigCommand::Show { origin } => {
            let config = global.load_config()?;
            let origins = if *origin { Origins::Shown } else { Origins::Hidden };
            print(global.output, &show_json(&config, origins), |_| show_text(&config, origins))?;
        }
        ConfigCommand::Schema => {
            // A schema is JSON, whoever reads it.
            let format = if global.output == Format::Ndjson { Format::Ndjson } else { Format::Json };
            print(format, &schema(), |_| String::new())?;
        }
    }
    Ok(Exit::Ok)
}
