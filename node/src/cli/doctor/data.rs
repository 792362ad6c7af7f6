//! The data folder: rights, room and speed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{Finding, counted};

/// Looks at a data folder, which need not exist yet.
pub(super) fn check(data_dir: &Path) -> Vec<Finding> {
    let shown = data_dir.display();
    if !data_dir.exists() {
        let fix = "a node makes it when it starts";
        return vec![Finding::warn("data folder", format!("`{shown}` does not exist yet"), fix)];
    }
    vec![rights(data_dir), secrets(data_dir), room(data_dir), speed(data_dir)]
}

fn rights(data_dir: &Path) -> Finding {
    const CHECK: &str = "data folder";
    let shown = data_dir.display();
    match fs::metadata(data_dir).map(|metadata| metadata.permissions().mode() & 0o777) {
        Ok(0o700) => Finding::pass(CHECK, format!("`{shown}` is its owner's alone")),
        Ok(mode) => {
            let detail = format!("`{shown}` has mode {mode:03o}: others may read it");
            Finding::fail(CHECK, detail, format!("chmod 700 {}", quoted(data_dir)))
        }
        Err(error) => Finding::fail(CHECK, format!("`{shown}`: {error}"), "look at the folder and who owns it"),
    }
}

/// Keys and credentials are nobody else's.
fn secrets(data_dir: &Path) -> Finding {
    const CHECK: &str = "secret files";
    let mut found = Vec::new();
    collect(data_dir, DEPTH_MAX, &mut found);
    let is_exposed =
        |path: &&PathBuf| fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0);
    let exposed: Vec<&PathBuf> = found.iter().filter(is_exposed).collect();
    if exposed.is_empty() {
        return Finding::pass(
            CHECK,
            format!("nobody else may use {}", counted(found.len(), "key or credential", "keys and credentials")),
        );
    }
    let names: Vec<String> = exposed.iter().map(|path| quoted(path)).collect();
    Finding::fail(CHECK, format!("others may use {}", names.join(", ")), format!("chmod 600 {}", names.join(" ")))
}

fn collect(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten().take(ENTRIES_MAX) {
        let path = entry.path();
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder && depth > 0 {
            collect(&path, depth - 1, found);
        }
        let is_credential = path.extension().is_some_and(|extension| extension == "toml") && depth == DEPTH_MAX;
        if path.extension().is_some_and(|extension| extension == "key") || is_credential {
            found.push(path);
        }
    }
}

fn room(data_dir: &Path) -> Finding {
    const CHECK: &str = "disk space";
    const FIX: &str = "make room, or move the data folder: a full disk stops every allow";
    match rustix::fs::statvfs(data_dir) {
        Ok(disk) => {
            let free_mib = disk.f_bavail.saturating_mul(disk.f_frsize) / (1024 * 1024);
            let detail = format!("{free_mib} MiB are free");
            match free_mib {
                0..FREE_MIB_FAIL => Finding::fail(CHECK, detail, FIX),
                FREE_MIB_FAIL..FREE_MIB_WARN => Finding::warn(CHECK, detail, FIX),
                _ => Finding::pass(CHECK, detail),
            }
        }
        Err(error) => Finding::warn(CHECK, format!("cannot be told: {error}"), "look at `df`"),
    }
}

/// How long a durable answer waits for the disk.
fn speed(data_dir: &Path) -> Finding {
    const CHECK: &str = "fdatasync";
    const FIX: &str = "use a local disk with a write cache that survives power loss";
    match measure(data_dir) {
        Ok(median) => {
            let detail = format!("takes {} us (median of {SYNCS})", median.as_micros());
            if median <= SYNC_WARN { Finding::pass(CHECK, detail) } else { Finding::warn(CHECK, detail, FIX) }
        }
        Err(error) => {
            let fix = "look at the folder, who owns it, and whether the disk is mounted read-only";
            Finding::fail(CHECK, format!("`{}` cannot be written: {error}", data_dir.display()), fix)
        }
    }
}

fn measure(data_dir: &Path) -> io::Result<Duration> {
    let path = data_dir.join(format!(".doctor-{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).open(&path)?;
    let spans = syncs(&mut file);
    fs::remove_file(&path)?;
    let mut spans = spans?;
    spans.sort_unstable();
    Ok(spans.get(SYNCS / 2).copied().unwrap_or_default())
}

fn syncs(file: &mut File) -> io::Result<Vec<Duration>> {
    (0..SYNCS)
        .map(|_| {
            file.write_all(&[0; 4_096])?;
            let begun = Instant::now();
            file.sync_data()?;
            Ok(begun.elapsed())
        })
        .collect()
}

fn quoted(path: &Path) -> String {
    crate::shell::quote(&path.to_string_lossy())
}

/// How deep keys are looked for.
const DEPTH_MAX: usize = 2;
/// Most entries of one folder that are looked at.
const ENTRIES_MAX: usize = 10_000;
/// How often a sync is timed.
const SYNCS: usize = 9;
/// Slower than any local disk with a cache: a durable allow takes longer than this.
const SYNC_WARN: Duration = Duration::from_millis(20);
/// Less cannot hold the next segments of log and audit.
const FREE_MIB_FAIL: u64 = 256;
/// About a day of records at a thousand decisions a second is ten times as much.
const FREE_MIB_WARN: u64 = 2 * 1024;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::super::Health;
    use super::*;

    fn status(findings: &[Finding], check: &str) -> Health {
        findings.iter().find(|finding| finding.check == check).unwrap().status
    }

    #[test]
    fn rights_of_folder_and_keys_are_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let chmod = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        chmod(folder.path(), 0o700);
        let key = folder.path().join("pki").join("server.key");
        fs::create_dir(folder.path().join("pki")).unwrap();
        fs::write(&key, "").unwrap();
        chmod(&key, 0o600);
        let findings = check(folder.path());
        assert_eq!(status(&findings, "data folder"), Health::Pass);
        assert_eq!(status(&findings, "secret files"), Health::Pass);
        assert_ne!(status(&findings, "fdatasync"), Health::Fail);
        chmod(&key, 0o644);
        chmod(folder.path(), 0o755);
        let findings = check(folder.path());
        assert_eq!(status(&findings, "data folder"), Health::Fail);
        let exposed = findings.iter().find(|finding| finding.check == "secret files").unwrap();
        assert_eq!(exposed.status, Health::Fail);
        assert!(exposed.fix.as_deref().unwrap().starts_with("chmod 600 ") && exposed.detail.contains("server.key"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "the probe's file is gone");
    }
}
