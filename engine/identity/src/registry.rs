//! The registered clients, found by the credential that a connection brings.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use subtle::{ConditionallySelectable, ConstantTimeEq};

use crate::certificate::CertificateIdentity;
use crate::digest::{BearerHash, Fingerprint};
use crate::mistake::ConfigMistake;
use crate::registration::Registration;

/// Most registered clients.
///
/// BOUND: a bearer token is compared with every stored hash: 16 Ki of them take about 0.2 ms.
pub const REGISTRATIONS_MAX: usize = 4_096;
/// Most bearer token hashes of all clients together.
pub const BEARERS_MAX: usize = 16_384;
/// Most bytes of a bearer token; a longer one is nobody's.
pub const BEARER_BYTES_MAX: usize = 4_096;

/// Every registered client. Names and credentials belong to one client each.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    registrations: Vec<Arc<Registration>>,
    certificates: HashMap<Fingerprint, usize>,
    uris: HashMap<String, usize>,
    /// Hash and place of its client, from 1; 0 is nobody.
    bearers: Vec<(BearerHash, u32)>,
}

impl Registry {
    /// A registry of these clients.
    ///
    /// # Errors
    /// Every mistake, of each entry and between them.
    pub fn new(registrations: Vec<Registration>) -> Result<Self, Vec<ConfigMistake>> {
        let mut mistakes = Vec::new();
        if registrations.len() > REGISTRATIONS_MAX {
            return Err(vec![ConfigMistake::Limit { key: "client".into(), limit: REGISTRATIONS_MAX }]);
        }
        let names: Vec<String> = registrations.iter().map(|registration| registration.name.clone()).collect();
        let mut claims = Claims { names: &names, mistakes: &mut mistakes };
        let (mut by_name, mut certificates, mut uris, mut hashes) = <(HashMap<_, _>, _, _, _)>::default();
        let mut bearers = Vec::new();
        for (place, registration) in registrations.iter().enumerate() {
            claims.claim("name", &mut by_name, [registration.name.clone()], place);
            let credentials = &registration.credentials;
            claims.claim("certificate", &mut certificates, credentials.certificates.iter().copied(), place);
            claims.claim("URI", &mut uris, credentials.uris.iter().cloned(), place);
            claims.claim("bearer token", &mut hashes, credentials.bearers.iter().copied(), place);
            // REGISTRATIONS_MAX fits.
            let number = u32::try_from(place + 1).unwrap_or(0);
            bearers.extend(credentials.bearers.iter().map(|hash| (*hash, number)));
            registration.check(claims.mistakes);
        }
        if bearers.len() > BEARERS_MAX {
            mistakes.push(ConfigMistake::Limit { key: "client.credentials.bearers".into(), limit: BEARERS_MAX });
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        Ok(Self { registrations: registrations.into_iter().map(Arc::new).collect(), certificates, uris, bearers })
    }

    /// The client of a certificate that the TLS verifier has accepted; `None` if it is nobody's, or if its names
    /// belong to different clients.
    pub fn by_certificate(&self, certificate: &CertificateIdentity) -> Option<Arc<Registration>> {
        let fingerprint = self.certificates.get(&certificate.fingerprint());
        let mut places = certificate.uris().iter().filter_map(|uri| self.uris.get(uri)).chain(fingerprint);
        let place = places.next()?;
        if places.any(|other| other != place) {
            return None;
        }
        self.registrations.get(*place).cloned()
    }

    /// The client of a bearer token. Every stored hash is compared, each in constant time, whether one fits or not.
    pub fn by_bearer(&self, token: &str) -> Option<Arc<Registration>> {
        if token.is_empty() || token.len() > BEARER_BYTES_MAX {
            return None;
        }
        let hash = BearerHash::of(token.as_bytes());
        let mut found = 0_u32;
        for (stored, number) in &self.bearers {
            found.conditional_assign(number, stored.as_bytes().ct_eq(hash.as_bytes()));
        }
        self.registrations.get(usize::try_from(found).ok()?.checked_sub(1)?).cloned()
    }

    /// The client of this name.
    pub fn by_name(&self, name: &str) -> Option<Arc<Registration>> {
        self.registrations.iter().find(|registration| registration.name == name).cloned()
    }

    /// Every client, in the order of configuration.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Registration>> {
        self.registrations.iter()
    }
}

/// Gives each credential to its first claimant and reports the others.
struct Claims<'a> {
    names: &'a [String],
    mistakes: &'a mut Vec<ConfigMistake>,
}

impl Claims<'_> {
    fn claim<K: Eq + Hash>(
        &mut self,
        what: &'static str,
        owners: &mut HashMap<K, usize>,
        credentials: impl IntoIterator<Item = K>,
        place: usize,
    ) {
        let name = |place: usize| self.names.get(place).cloned().unwrap_or_default();
        for credential in credentials {
            match owners.get(&credential) {
                Some(first) => {
                    let (first, second) = (name(*first), name(place));
                    self.mistakes.push(ConfigMistake::Duplicate { what, first, second });
                }
                None => {
                    owners.insert(credential, place);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
