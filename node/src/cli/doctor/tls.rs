//! The node's certificate: its chain, its key and its time.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use portcullis_model::Timestamp;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::Finding;
use crate::cli::time;
use crate::config::Config;

/// Looks at the certificates that are configured, or at those that `dev` has made.
pub(super) fn check(config: Option<&Config>, data_dir: &Path) -> Vec<Finding> {
    const CHECK: &str = "certificate";
    let configured = config.and_then(|config| config.tls.as_ref());
    let files = match configured {
        Some(tls) => Some((tls.certificate.clone(), tls.key.clone(), tls.client_ca.clone())),
        None => {
            let made = |name: &str| data_dir.join("pki").join(name);
            made("server.crt").is_file().then(|| (made("server.crt"), made("server.key"), Some(made("ca.crt"))))
        }
    };
    let Some((certificate, key, client_ca)) = files else {
        return vec![Finding::warn(
            CHECK,
            "none is configured",
            "`portcullis init DIR` writes one; `dev` makes its own",
        )];
    };
    let mut findings = vec![look(CHECK, &certificate, |chain| chain_of(&certificate, &key, chain))];
    findings.extend(client_ca.map(|path| look("client authority", &path, |chain| within_time(&path, chain))));
    findings
}

fn look(check: &'static str, path: &Path, judge: impl FnOnce(&[CertificateDer<'static>]) -> Verdict) -> Finding {
    let fix = "name a file with certificates in PEM; `portcullis init DIR` writes one";
    match read(path) {
        Err(problem) => Finding::fail(check, format!("`{}`: {problem}", path.display()), fix),
        Ok(chain) => match judge(&chain) {
            Ok(Left { detail, days: 0..DAYS_WARN }) => Finding::warn(check, detail, "renew it before then"),
            Ok(Left { detail, .. }) => Finding::pass(check, detail),
            Err(problem) => Finding::fail(check, problem, "replace it: `portcullis init DIR` makes new ones"),
        },
    }
}

/// How long it still lasts, or what is wrong.
type Verdict = Result<Left, String>;

struct Left {
    detail: String,
    days: u64,
}

/// Each certificate issued by the next, within its time, and the key that of the first.
fn chain_of(path: &Path, key: &Path, chain: &[CertificateDer<'static>]) -> Verdict {
    let parsed = parse(path, chain)?;
    for (one, next) in parsed.iter().zip(parsed.iter().skip(1)) {
        if one.issuer() != next.subject() {
            return Err(format!(
                "`{}`: `{}` was not issued by the certificate after it",
                path.display(),
                one.subject()
            ));
        }
    }
    let pem = crate::pki::read_secret(key).map_err(|error| error.to_string())?;
    let key_der =
        PrivateKeyDer::from_pem_slice(&pem).map_err(|_| format!("`{}` holds no key in PEM", key.display()))?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    CertifiedKey::from_der(chain.to_vec(), key_der, &provider)
        .map_err(|error| format!("`{}` does not go with `{}`: {error}", key.display(), path.display()))?;
    within_time(path, chain)
}

fn within_time(path: &Path, chain: &[CertificateDer<'static>]) -> Verdict {
    let now = i64::try_from(time::now().as_millis() / 1_000).unwrap_or(i64::MAX);
    let parsed = parse(path, chain)?;
    let shown = path.display();
    let ends = parsed.iter().map(|certificate| certificate.validity().not_after.timestamp()).min().unwrap_or(0);
    let begins = parsed.iter().map(|certificate| certificate.validity().not_before.timestamp()).max().unwrap_or(0);
    let moment = |seconds: i64| Timestamp::from_millis(u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000));
    if now < begins {
        return Err(format!("`{shown}` is not valid before {}: look at the clock", moment(begins)));
    }
    if ends <= now {
        return Err(format!("`{shown}` has expired at {}", moment(ends)));
    }
    let days = u64::try_from((ends - now) / DAY_SECONDS).unwrap_or(0);
    Ok(Left { detail: format!("`{shown}` is valid for {days} more days"), days })
}

fn parse<'a>(path: &Path, chain: &'a [CertificateDer<'static>]) -> Result<Vec<X509Certificate<'a>>, String> {
    let one = |der: &'a CertificateDer<'static>| X509Certificate::from_der(der).map(|(_, certificate)| certificate);
    let parsed: Result<Vec<_>, _> = chain.iter().map(one).collect();
    parsed.map_err(|_| format!("`{}` holds what is no certificate", path.display()))
}

fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let mut pem = Vec::new();
    File::open(path)
        .and_then(|file| file.take(PEM_BYTES_MAX).read_to_end(&mut pem))
        .map_err(|error| error.to_string())?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        _ => Err("holds no certificate in PEM".to_owned()),
    }
}

/// Fewer days than it takes to notice, ask for and roll out a new certificate.
const DAYS_WARN: u64 = 30;
const DAY_SECONDS: i64 = 24 * 60 * 60;
/// Most bytes of a file of certificates.
const PEM_BYTES_MAX: u64 = 256 * 1024;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use std::path::PathBuf;
    use std::time::{Duration, SystemTime};

    use super::super::Health;
    use super::*;
    use crate::pki::Authority;

    fn made(now: SystemTime) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let pki = folder.path().join("pki");
        std::fs::create_dir(&pki).unwrap();
        let authority = Authority::create(now).unwrap();
        authority.server(&[]).unwrap().write(&pki, "server").unwrap();
        crate::pki::write_public(&pki.join("ca.crt"), authority.certificate_pem().as_bytes()).unwrap();
        (folder, pki)
    }

    fn statuses(folder: &tempfile::TempDir) -> Vec<Health> {
        check(None, folder.path()).iter().map(|finding| finding.status).collect()
    }

    #[test]
    fn time_key_and_content_are_looked_at() {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        let (folder, _) = made(SystemTime::now());
        assert_eq!(statuses(&folder), [Health::Pass, Health::Pass]);
        let (folder, _) = made(SystemTime::now() - DAY * 710);
        assert_eq!(statuses(&folder), [Health::Warn, Health::Pass]);
        let (folder, _) = made(SystemTime::now() - DAY * 800);
        assert_eq!(statuses(&folder), [Health::Fail, Health::Pass]);
        let (folder, _) = made(SystemTime::now() + DAY * 3);
        assert_eq!(statuses(&folder), [Health::Fail, Health::Fail]);

        let (folder, pki) = made(SystemTime::now());
        let (_other, other) = made(SystemTime::now());
        std::fs::copy(other.join("server.key"), pki.join("server.key")).unwrap();
        assert_eq!(statuses(&folder), [Health::Fail, Health::Pass]);
        std::fs::write(pki.join("ca.crt"), "text").unwrap();
        assert_eq!(statuses(&folder), [Health::Fail, Health::Fail]);
        assert_eq!(check(None, &folder.path().join("none"))[0].status, Health::Warn);
    }
}
