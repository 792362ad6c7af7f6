//! Which data folder and configuration a command is about.

use std::path::{Path, PathBuf};

use crate::cli::arguments::Global;
use crate::config::{Config, Mistakes, Sources};
use crate::output::Failure;
use crate::shell::Program;

impl Global {
    /// The data folder: flag, then environment, then the configuration that was named, then default.
    pub(crate) fn data_dir(&self) -> PathBuf {
        if let Some(folder) = &self.data_dir {
            return folder.clone();
        }
        if let Some(folder) = std::env::var_os("PORTCULLIS_DATA_DIR").filter(|folder| !folder.is_empty()) {
            return folder.into();
        }
        let named = self.config.is_some().then(|| Config::load(&self.sources()).ok()).flatten();
        named.map_or_else(|| DATA_DIR_DEFAULT.into(), |config| config.node.data_dir)
    }

    /// Where the configuration is read from.
    pub(crate) fn sources(&self) -> Sources {
        let data_dir = self.data_dir.as_ref().map(|folder| ("node.data_dir".to_owned(), folder.display().to_string()));
        Sources::of_process(self.config.clone(), data_dir.into_iter().collect())
    }

    /// The configuration.
    pub(crate) fn load_config(&self) -> Result<Config, Failure> {
        if let Some(file) = self.config.as_deref().filter(|file| !file.exists()) {
            let message = format!("there is no file `{}`", file.display());
            return Err(Failure::usage(message, "name a configuration: `portcullis init DIR` writes one"));
        }
        Config::load(&self.sources()).map_err(|mistakes| Self::misconfigured(&mistakes))
    }

    /// Every mistake of a configuration, as one failure.
    pub(crate) fn misconfigured(mistakes: &Mistakes) -> Failure {
        let message = format!("the configuration is wrong\n{mistakes}");
        Failure::usage(message, "correct what is named; `portcullis config schema` says what may stand where")
    }

    /// This program, for lines that can be typed as they are printed: with the credentials that were
    /// named, else with the data folder, where commands do not find it by themselves.
    pub(crate) fn program(&self) -> Program {
        match &self.client {
            Some(file) => Program::of_process(None).with_client(file),
            None => self.program_on_data_dir(),
        }
    }

    /// This program, for commands on the data folder itself.
    pub(crate) fn program_on_data_dir(&self) -> Program {
        let data_dir = self.data_dir();
        Program::of_process((data_dir != Path::new(DATA_DIR_DEFAULT)).then_some(data_dir.as_path()))
    }
}

/// Where commands look when nobody says where.
const DATA_DIR_DEFAULT: &str = "./.portcullis";
