//! What a run has found: as text, as JSON, and as one page.

mod figures;
mod page;
mod plot;

use std::fs;
use std::path::PathBuf;

use portcullis_benches::{Machine, commit, results_folder, write_results_in};
use serde_json::{Map, Value, json};

use crate::arguments::Settings;
use crate::error::LoadError;
use crate::load::Recorder;

pub(crate) use figures::{arm, latency, line};

/// Where results go, as messages name it.
const RESULTS: &str = "target/portcullis";
/// Version of the JSON.
const SCHEMA_VERSION: u32 = 1;

/// A report.
pub(crate) struct Report {
    mode: &'static str,
    results: Map<String, Value>,
    lines: Vec<String>,
    plotted: Vec<Plotted>,
    failures: Vec<String>,
    json: Option<PathBuf>,
    html: Option<PathBuf>,
    folder: Option<PathBuf>,
}

/// Latencies that the page draws.
pub(crate) struct Plotted {
    pub(crate) name: String,
    pub(crate) recorder: Recorder,
}

impl Report {
    /// A report of `mode` with its settings, machine and commit.
    pub(crate) fn new(mode: &'static str, settings: &Settings) -> Self {
        let (machine, commit) = (Machine::this(), commit());
        let mut results = Map::new();
        results.insert("schema_version".into(), json!(SCHEMA_VERSION));
        results.insert("mode".into(), json!(mode));
        results.insert("settings".into(), settings.to_json());
        results.insert("machine".into(), machine.to_json());
        results.insert("commit".into(), json!({"id": commit.id, "dirty": commit.is_dirty}));
        results.insert("command".into(), json!(std::env::args().skip(1).collect::<Vec<_>>().join(" ")));
        let dirty = if commit.is_dirty { ", with changes" } else { "" };
        let lines = vec![
            format!("portcullis-loadgen {mode}"),
            format!(
                "{}, {} cores, Linux {}, load {:.1} before; commit {}{dirty}",
                machine.cpu, machine.cores, machine.kernel, machine.load_average, commit.id
            ),
        ];
        let (json, html, folder) = (settings.json.clone(), settings.html.clone(), settings.results.clone());
        Self { mode, results, lines, plotted: Vec::new(), failures: Vec::new(), json, html, folder }
    }

    /// Adds a result to the JSON.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.results.insert(name.to_owned(), value.into());
    }

    /// A result of before, to add to.
    pub(crate) fn result_mut(&mut self, name: &str) -> Option<&mut Value> {
        self.results.get_mut(name)
    }

    /// Adds a line of text.
    pub(crate) fn say(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }

    /// Adds a curve to the page.
    pub(crate) fn plot(&mut self, name: impl Into<String>, recorder: Recorder) {
        self.plotted.push(Plotted { name: name.into(), recorder });
    }

    /// Says that the run was not what it must be.
    pub(crate) fn fail(&mut self, why: impl Into<String>) {
        self.failures.push(why.into());
    }

    /// Counts requests without an answer of their own as a failure, if there are any.
    pub(crate) fn check_errors(&mut self, what: &str, recorder: &Recorder) {
        if recorder.errors() > 0 {
            let (refused, skipped, lost) = (recorder.refused, recorder.skipped, recorder.lost);
            self.fail(format!("{what}: {refused} refused, {skipped} not sent in time, {lost} not answered"));
        }
    }

    /// Why the run failed; `None` for a good one.
    pub(crate) fn failure(&self) -> Option<String> {
        (!self.failures.is_empty()).then(|| self.failures.join("; "))
    }

    /// As text, for people.
    pub(crate) fn text(&self) -> String {
        self.lines.iter().map(|line| format!("{line}\n")).collect()
    }

    /// Writes the JSON, always also where results go, and the page where one was asked for.
    pub(crate) fn write(&self) -> Result<Vec<PathBuf>, LoadError> {
        let mut results = self.results.clone();
        results.insert("failures".into(), json!(self.failures));
        let results = Value::Object(results);
        let name = format!("loadgen-{}", self.mode);
        let folder = self.folder.clone().map_or_else(results_folder, Ok).map_err(LoadError::file(RESULTS))?;
        let mut written = vec![write_results_in(&folder, &name, &results).map_err(LoadError::file(folder))?];
        if let Some(path) = &self.json {
            fs::write(path, format!("{results:#}\n")).map_err(LoadError::file(path))?;
            written.push(path.clone());
        }
        if let Some(path) = &self.html {
            let page = page::page(self.mode, &self.lines, &self.plotted, &results);
            fs::write(path, page).map_err(LoadError::file(path))?;
            written.push(path.clone());
        }
        Ok(written)
    }
}
