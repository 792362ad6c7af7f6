//! Reads `client.toml`.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis_wire::limits::{LANES_MAX, PROOF_BYTES_MAX};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::Deserialize;

use crate::error::OptionsError;
use crate::options::{ClientOptions, Credential};

/// Largest file that is read: a chain of certificates has some KiB.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// The file's keys. Paths are relative to the file's folder.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    address: String,
    server_name: String,
    ca: PathBuf,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    token: Option<String>,
    token_file: Option<PathBuf>,
    lanes: Option<usize>,
    deadline_ms: Option<u64>,
}

impl ClientOptions {
    /// Options from a file in TOML: `address`, `server_name`, `ca` (PEM), and either `certificate` and
    /// `key` (PEM), or `token`, or `token_file`; besides, `lanes` and `deadline_ms`. Paths are relative
    /// to the file's folder.
    ///
    /// # Errors
    /// [`OptionsError`], which names the file and the key at fault.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, OptionsError> {
        let path = path.as_ref();
        let text = read_text(path)?;
        let keys: Keys = toml::from_str(&text)
            .map_err(|error| OptionsError::Toml { file: path.to_owned(), message: plain_message(&text, &error) })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        keys.into_options(path, folder)
    }
}

impl Keys {
    fn into_options(self, file: &Path, folder: &Path) -> Result<ClientOptions, OptionsError> {
        let bad = |key, problem| OptionsError::Key { file: file.to_owned(), key, problem };
        let roots = certificates(&folder.join(&self.ca))?;
        let credential = match (self.certificate, self.key, self.token, self.token_file) {
            (Some(certificate), Some(key), None, None) => Credential::Certificate {
                chain: certificates(&folder.join(certificate))?,
                key: private_key(&folder.join(key))?,
            },
            (None, None, Some(token), None) => Credential::Token(token),
            (None, None, None, Some(path)) => Credential::Token(read_text(&folder.join(path))?.trim().to_owned()),
            (Some(_), None, ..) => return Err(bad("key", "is missing beside `certificate`")),
            (None, Some(_), ..) => return Err(bad("certificate", "is missing beside `key`")),
            (None, None, None, None) => {
                return Err(bad("certificate", "is missing, and so are `token` and `token_file`"));
            }
            _ => return Err(bad("token", "is one credential too many: give a certificate, a token or a token file")),
        };
        if matches!(&credential, Credential::Token(token) if token.is_empty() || token.len() > PROOF_BYTES_MAX) {
            return Err(bad("token", "is empty or too long"));
        }
        let mut options = ClientOptions::new(self.address, self.server_name, roots, credential);
        if let Some(lanes) = self.lanes {
            if !(1..=LANES_MAX).contains(&lanes) {
                return Err(bad("lanes", "is not between 1 and 4"));
            }
            options.lanes = lanes;
        }
        if let Some(deadline_ms) = self.deadline_ms {
            if !(1..=60_000).contains(&deadline_ms) {
                return Err(bad("deadline_ms", "is not between 1 and 60000"));
            }
            options.deadline = Duration::from_millis(deadline_ms);
        }
        Ok(options)
    }
}

fn read_text(path: &Path) -> Result<String, OptionsError> {
    let failed = |source| OptionsError::Read { file: path.to_owned(), source };
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text));
    match read.map(u64::try_from) {
        Ok(Ok(bytes)) if bytes <= FILE_BYTES_MAX => Ok(text),
        Ok(_) => Err(failed(std::io::Error::other("larger than 256 KiB"))),
        Err(error) => Err(failed(error)),
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, OptionsError> {
    let text = read_text(path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    match certificates {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(OptionsError::Pem { file: path.to_owned(), what: "certificate" }),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, OptionsError> {
    let text = read_text(path)?;
    PrivateKeyDer::from_pem_slice(text.as_bytes())
        .map_err(|_| OptionsError::Pem { file: path.to_owned(), what: "private key" })
}

/// The message with its line, without the excerpt of the file, which may hold a token.
fn plain_message(text: &str, error: &toml::de::Error) -> String {
    let line = error.span().and_then(|span| text.get(..span.start)).map(|before| before.matches('\n').count() + 1);
    match line {
        Some(line) => format!("line {line}: {}", error.message()),
        None => error.message().to_owned(),
    }
}
