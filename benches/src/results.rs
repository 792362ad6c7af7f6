//! Where results go: `target/portcullis` in the workspace, wherever cargo builds.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The folder, made where it is missing. It is in the workspace that this was built from; where that is
/// gone, below the current folder.
///
/// # Errors
/// Where it cannot be made.
pub fn results_folder() -> io::Result<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().filter(|folder| folder.is_dir());
    let folder = workspace.unwrap_or(Path::new("")).join("target").join("portcullis");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Writes `NAME.json` into the folder and tells where.
///
/// # Errors
/// Where it cannot be written.
pub fn write_results(name: &str, results: &Value) -> io::Result<PathBuf> {
    write_results_in(&results_folder()?, name, results)
}

/// Writes `NAME.json` into another folder, made where it is missing, and tells where.
///
/// # Errors
/// Where it cannot be written.
pub fn write_results_in(folder: &Path, name: &str, results: &Value) -> io::Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let path = folder.join(format!("{name}.json"));
    fs::write(&path, format!("{results:#}\n"))?;
    Ok(path)
}
