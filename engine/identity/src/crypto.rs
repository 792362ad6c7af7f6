//! The one cryptography provider of tokens: aws-lc.

use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
use jsonwebtoken::{DecodingKey, EncodingKey, jwk};

/// Makes aws-lc the process's provider for every use of `jsonwebtoken`. The first call installs it, later ones
/// change nothing. Call it at start-up: should another crate switch a second provider on, `jsonwebtoken` panics at
/// its first use instead. This crate's own verification names the provider at each use and does not depend on it.
pub fn install_crypto() {
    // An error says that a provider is installed already, which is what was asked for.
    DEFAULT_PROVIDER.install_default().ok();
}

/// Whether `signature` over `message` was made by the holder of `key`. False for a key that does not fit `algorithm`.
pub(crate) fn is_signed(
    message: &[u8],
    signature: &Vec<u8>,
    key: &DecodingKey,
    algorithm: jsonwebtoken::Algorithm,
) -> bool {
    (DEFAULT_PROVIDER.verifier_factory)(&algorithm, key)
        .is_ok_and(|verifier| verifier.verify(message, signature).is_ok())
}

/// The Ed25519 signature over `message`; `None` if the key does not work.
pub(crate) fn sign_ed25519(message: &[u8], key: &EncodingKey) -> Option<Vec<u8>> {
    let signer = (DEFAULT_PROVIDER.signer_factory)(&jsonwebtoken::Algorithm::EdDSA, key).ok()?;
    signer.try_sign(message).ok()
}

/// The public half of an Ed25519 key in PKCS#8; `None` if it is not one.
pub(crate) fn ed25519_public(pkcs8: &[u8]) -> Option<Vec<u8>> {
    (DEFAULT_PROVIDER.key_utils.ed_pub_components_from_private_key)(pkcs8, &jwk::EllipticCurve::Ed25519).ok()
}

#[cfg(test)]
mod tests {
    use crate::testing::Signer;

    /// The second provider that feature unification could bring would make this panic without the installation.
    #[test]
    fn the_provider_installs_any_number_of_times() {
        crate::install_crypto();
        crate::install_crypto();
        let key = Signer::ed25519("k");
        let signature = jsonwebtoken::crypto::sign(b"message", key.encoding(), jsonwebtoken::Algorithm::EdDSA);
        assert!(signature.is_ok_and(|signature| !signature.is_empty()));
    }
}
