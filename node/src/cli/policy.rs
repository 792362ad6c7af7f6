//! `policy`: validate, test and push.

use std::path::Path;

use portcullis_client::admin::{AdminReply, AdminRequest};
use portcullis_directory::Names;
use portcullis_model::PolicySetText;
use portcullis_policy::{CompileOptions, Diagnostic, OnError, PolicyErrors, Snapshot, Validation, compile};
use serde_json::{Value as Json, json};

use crate::cli::arguments::{Global, PolicyCommand, PolicyTestOrder};
use crate::cli::connection::{Connection, unexpected, with_causes};
use crate::cli::diagnostics::{diagnostic_json, render_diagnostics, render_errors};
use crate::cli::{SCHEMA_VERSION, note, print, style, time};
use crate::exit::Exit;
use crate::node::policy_folder::read_policies;
use crate::output::{Failure, Format};
use crate::policy_test::{self, Files, Filter, TestError};

/// Validates, tests or pushes.
pub(crate) fn run(global: &Global, command: &PolicyCommand) -> Result<Exit, Failure> {
    match command {
        PolicyCommand::Validate { folder } => validate(global, folder),
        PolicyCommand::Test(order) => test(global, order),
        PolicyCommand::Push { folder } => push(global, folder),
    }
}

fn read(folder: &Path) -> Result<PolicySetText, Failure> {
    read_policies(folder).map_err(|error| {
        Failure::usage(with_causes(&error), "name a folder with `schema.cedarschema` and `*.cedar` files")
    })
}

/// Compiles as a live node does, against no directory.
pub(crate) fn compile_offline(set: &PolicySetText) -> Result<Snapshot, PolicyErrors> {
    compile(set, &Names::new(), CompileOptions { validation: Validation::Strict, on_error: OnError::Deny })
}

fn validate(global: &Global, folder: &Path) -> Result<Exit, Failure> {
    let set = read(folder)?;
    match compile_offline(&set) {
        Ok(snapshot) => {
            warn(global, &set, snapshot.warnings());
            let document = json!({
                "schema_version": SCHEMA_VERSION,
                "valid": true,
                "policies": snapshot.policy_count(),
                "hash": snapshot.hash(),
                "diagnostics": all_json(snapshot.warnings()),
                "omitted": 0,
            });
            print(global.output, &document, |_| {
                let (policies, warnings) = (snapshot.policy_count(), snapshot.warnings().len());
                format!(
                    "{} {policies} policies in {} files, {warnings} warnings",
                    style::good("✔ valid"),
                    set.files.len()
                )
            })?;
            Ok(Exit::Ok)
        }
        Err(errors) => refuse(global, &set, &errors),
    }
}

/// Shows what is wrong: pictures on stderr, or a document on stdout.
fn refuse(global: &Global, set: &PolicySetText, errors: &PolicyErrors) -> Result<Exit, Failure> {
    let document = json!({
        "schema_version": SCHEMA_VERSION,
        "valid": false,
        "diagnostics": all_json(&errors.diagnostics),
        "omitted": errors.omitted,
    });
    if global.output == Format::Text {
        note(&render_errors(set, errors));
        let count = errors.diagnostics.len() + errors.omitted;
        let noun = if count == 1 { "error" } else { "errors" };
        note(&format!("{}: {count} {noun}", style::bad("✘ policy invalid")));
    } else {
        print(global.output, &document, |_| String::new())?;
    }
    Ok(Exit::PolicyInvalid)
}

fn warn(global: &Global, set: &PolicySetText, warnings: &[Diagnostic]) {
    if global.output == Format::Text && !warnings.is_empty() {
        note(&render_diagnostics(set, warnings));
    }
}

fn all_json(diagnostics: &[Diagnostic]) -> Vec<Json> {
    diagnostics.iter().map(diagnostic_json).collect()
}

fn push(global: &Global, folder: &Path) -> Result<Exit, Failure> {
    let set = read(folder)?;
    match compile_offline(&set) {
        Err(errors) => return refuse(global, &set, &errors),
        Ok(snapshot) => warn(global, &set, snapshot.warnings()),
    }
    let connection = Connection::open(global)?;
    let AdminReply::PolicyPushed(pushed) = connection.call(&AdminRequest::PolicyPush { set })? else {
        return Err(unexpected());
    };
    let document = json!({
        "schema_version": SCHEMA_VERSION,
        "hash": pushed.hash,
        "policies": pushed.policies,
        "revision": pushed.revision,
        "warnings": pushed.warnings,
    });
    print(global.output, &document, |_| {
        format!("{} {} policies at revision {}", style::good("✔ in force"), pushed.policies, pushed.revision)
    })?;
    Ok(Exit::Ok)
}

fn test(global: &Global, order: &PolicyTestOrder) -> Result<Exit, Failure> {
    let beside = Files::beside(&order.folder);
    let files = Files {
        tests: order.tests.clone().unwrap_or(beside.tests),
        directory: order.directory.clone().unwrap_or(beside.directory),
        resources: order.resources.clone().or(beside.resources),
        grants: order.grants.clone().or(beside.grants),
        policies: beside.policies,
    };
    let filter = Filter(order.filter.clone().unwrap_or_default());
    let report = match policy_test::run(&files, &filter, time::now()) {
        Ok(report) => report,
        Err(TestError::Policy { set, errors }) => return refuse(global, &set, &errors),
        Err(error) => return Err(Failure::usage(with_causes(&error), TEST_FIX)),
    };
    print(global.output, &report.to_json(), |_| report.to_text())?;
    if report.grants_file.is_none() {
        note("no grants file was given or found: cases are about policy alone");
    }
    Ok(if report.failed() == 0 { Exit::Ok } else { Exit::TestsFailed })
}

/// What to do about files that a test run cannot use.
const TEST_FIX: &str = "name the files with `--tests`, `--directory`, `--resources` and `--grants`";
