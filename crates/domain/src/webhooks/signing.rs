//! Secrets of webhooks: how they are made, and which key is in them (Standard Webhooks 1.0).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::kernel::{DomainError, Secret};

/// The prefix of a secret whose rest is the key in base64.
const PREFIX: &str = "whsec_";

/// Makes a secret of 32 random bytes.
pub fn secret_of(random: [u8; 32]) -> Secret {
    Secret::new(format!("{PREFIX}{}", STANDARD.encode(random)))
}

/// Reads a secret that a client brings.
///
/// # Errors
/// `ERR_VALIDATION {field}` if it starts like one of ours, but has no key in it.
pub fn read(text: String) -> Result<Secret, DomainError> {
    if let Some(encoded) = text.strip_prefix(PREFIX)
        && !STANDARD.decode(encoded).is_ok_and(|key| !key.is_empty())
    {
        return Err(DomainError::invalid("secret", "what follows whsec_ in secret must be base64"));
    }
    Ok(Secret::new(text))
}

/// The key of the Standard Webhooks signature.
pub fn key_of(secret: &Secret) -> Vec<u8> {
    let text = secret.expose();
    let decoded = text.strip_prefix(PREFIX).and_then(|encoded| STANDARD.decode(encoded).ok());
    decoded.unwrap_or_else(|| text.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key is what follows `whsec_`, decoded; else the secret itself.
    #[test]
    fn keys_are_read_from_secrets() {
        let made = secret_of([7; 32]);
        assert_eq!(made.expose().len(), 6 + 44);
        let cases: [(&str, Option<Vec<u8>>); 5] = [
            (made.expose(), Some(vec![7; 32])),
            ("plain text", Some(b"plain text".to_vec())),
            ("whsec_AAEC", Some(vec![0, 1, 2])),
            ("whsec_", None),
            ("whsec_***", None),
        ];
        for (text, want) in cases {
            let got = read(text.to_owned()).ok().map(|secret| key_of(&secret));
            assert_eq!(got, want, "{text}");
        }
    }
}
