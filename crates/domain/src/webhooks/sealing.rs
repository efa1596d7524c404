//! Secrets of webhooks, and targets with a query, at rest: encrypted with a key that is kept apart from the store.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{Key, KeyInit, XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Subscription, WebhookSecret};
use crate::kernel::{
    Command, CommandContext, CommandError, CorruptRecord, Query, Record, Reply, Secret, Success, hex,
    rule_set,
};

/// How long a key is, in bytes.
const KEY_BYTES: usize = 32;
/// How much of a key's hash identifies it, in bytes.
const KEY_ID_BYTES: usize = 4;
const NONCE_BYTES: usize = 24;
/// Separates nonces from other hashes of the same randomness.
const NONCE_LABEL: &[u8] = b"agentcafe webhook secret nonce";

/// Which secret of a webhook is encrypted: each has a nonce of its own, and opens as nothing else.
#[derive(Clone, Copy)]
enum Part {
    SigningSecret,
    TargetUrl,
}

impl Part {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::SigningSecret => b"",
            Self::TargetUrl => b"target url",
        }
    }

    /// What is authenticated beside the ciphertext.
    fn associated_data(self, subscription_id: Uuid) -> Vec<u8> {
        [subscription_id.as_bytes().as_slice(), self.label()].concat()
    }
}

/// An encrypted secret (XChaCha20-Poly1305). The id of the subscription is authenticated with it, so that it opens for no other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SealedSecret {
    /// Which key opens it.
    key_id: String,
    /// The nonce and the ciphertext, in base64.
    ciphertext: String,
}

/// A secret as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StoredSecret {
    /// As it is: without a key, and in records of earlier versions.
    #[serde(rename = "secret")]
    Plain(Secret),
    /// Encrypted.
    Sealed(SealedSecret),
}

/// The secrets of a webhook, decrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedSecret {
    /// What deliveries are signed with.
    pub secret: Secret,
    /// The target; none if it is shown whole.
    pub target_url: Option<Secret>,
}

/// The secret cannot be decrypted with any of the keys, or is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CannotOpen {
    subscription_id: Uuid,
}

impl fmt::Display for CannotOpen {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.subscription_id;
        write!(
            out,
            "the secret of webhook {id} cannot be decrypted with the keys of AGENTCAFE_SECRET_KEY_FILE"
        )
    }
}

impl std::error::Error for CannotOpen {}

/// The keys that secrets are encrypted with. The first encrypts, all decrypt. Without keys, secrets are stored as they are.
#[derive(Default)]
pub struct SecretKeys(Vec<(String, XChaCha20Poly1305)>);

impl fmt::Debug for SecretKeys {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_list().entries(self.0.iter().map(|(id, _)| id)).finish()
    }
}
rule_set!(SecretKeys);

impl SecretKeys {
    /// The text of a key file with one key.
    pub fn file_with(key: [u8; KEY_BYTES]) -> Secret {
        Secret::new(format!("{}\n", hex(key)))
    }

    /// Reads a key file: keys of 32 bytes in hexadecimal, one in a line. None if it is anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let keys: Option<Vec<_>> = lines.map(|line| bytes_of(line).map(cipher)).collect();
        keys.filter(|keys| !keys.is_empty()).map(Self)
    }

    /// Encrypts the secrets of a webhook. `random` is fresh, and may be what the secret was made of.
    pub fn seal(&self, subscription_id: Uuid, opened: &OpenedSecret, random: [u8; 32]) -> WebhookSecret {
        let encrypt = |part, secret: &Secret| self.encrypt(subscription_id, part, secret, random);
        let target_url = opened.target_url.as_ref().map(|target| encrypt(Part::TargetUrl, target));
        WebhookSecret { subscription_id, secret: encrypt(Part::SigningSecret, &opened.secret), target_url }
    }

    fn encrypt(&self, subscription_id: Uuid, part: Part, secret: &Secret, random: [u8; 32]) -> StoredSecret {
        let Some((key_id, cipher)) = self.0.first() else { return StoredSecret::Plain(secret.clone()) };
        let hash = Sha256::new().chain_update(NONCE_LABEL).chain_update(part.label()).chain_update(random);
        let hash: [u8; 32] = hash.finalize().into();
        let mut sealed = hash[..NONCE_BYTES].to_vec();
        let payload =
            Payload { msg: secret.expose().as_bytes(), aad: &part.associated_data(subscription_id) };
        let nonce = XNonce::try_from(sealed.as_slice()).expect("it has the length of a nonce");
        sealed.extend(cipher.encrypt(&nonce, payload).expect("a secret is short"));
        StoredSecret::Sealed(SealedSecret { key_id: key_id.clone(), ciphertext: STANDARD.encode(sealed) })
    }

    /// Decrypts what is stored for a subscription.
    ///
    /// # Errors
    /// [`CannotOpen`] if it was encrypted with another key or for another subscription, or is damaged.
    pub fn open(&self, stored: &WebhookSecret) -> Result<OpenedSecret, CannotOpen> {
        let subscription_id = stored.subscription_id;
        let open = |part, secret: &StoredSecret| match secret {
            StoredSecret::Plain(secret) => Ok(secret.clone()),
            StoredSecret::Sealed(sealed) => {
                self.decrypt(subscription_id, part, sealed).ok_or(CannotOpen { subscription_id })
            }
        };
        let target_url = stored.target_url.as_ref().map(|target| open(Part::TargetUrl, target));
        let (secret, target_url) = (open(Part::SigningSecret, &stored.secret)?, target_url.transpose()?);
        Ok(OpenedSecret { secret, target_url })
    }

    fn decrypt(&self, subscription_id: Uuid, part: Part, sealed: &SealedSecret) -> Option<Secret> {
        let (_, cipher) = self.0.iter().find(|(id, _)| *id == sealed.key_id)?;
        let bytes = STANDARD.decode(&sealed.ciphertext).ok()?;
        let (nonce, ciphertext) = bytes.split_at_checked(NONCE_BYTES)?;
        let payload = Payload { msg: ciphertext, aad: &part.associated_data(subscription_id) };
        let opened = cipher.decrypt(&XNonce::try_from(nonce).ok()?, payload).ok()?;
        String::from_utf8(opened).ok().map(Secret::new)
    }

    /// Whether the secrets of a webhook are encrypted with the first key, or there is none.
    pub fn is_current(&self, stored: &WebhookSecret) -> bool {
        let Some((first, _)) = self.0.first() else { return true };
        [Some(&stored.secret), stored.target_url.as_ref()].into_iter().flatten().all(|secret| match secret {
            StoredSecret::Sealed(sealed) => sealed.key_id == *first,
            StoredSecret::Plain(_) => false,
        })
    }
}

fn bytes_of(line: &str) -> Option<[u8; KEY_BYTES]> {
    let is_hex = line.len() == 2 * KEY_BYTES && line.bytes().all(|byte| byte.is_ascii_hexdigit());
    let byte = |at: usize| u8::from_str_radix(&line[2 * at..2 * at + 2], 16).unwrap_or_default();
    is_hex.then(|| std::array::from_fn(byte))
}

/// A key with its id.
fn cipher(key: [u8; KEY_BYTES]) -> (String, XChaCha20Poly1305) {
    let id = hex(&Sha256::digest(key)[..KEY_ID_BYTES]);
    (id, XChaCha20Poly1305::new(&Key::from(key)))
}

/// Encrypts stored secrets with the first key: those of earlier versions, and those of keys that are being replaced. Targets that
/// an earlier version stored whole are among them.
pub struct SealSecrets {
    /// The subscriptions, with fresh randomness for each.
    pub secrets: Vec<(Uuid, [u8; 32])>,
}

impl Command for SealSecrets {
    fn reads(&self) -> Vec<Query> {
        let of_webhook = |(id, _): &(Uuid, _)| {
            let key = Subscription::key_of(*id);
            [Query::one::<WebhookSecret>(key.clone()), Query::one::<Subscription>(key)]
        };
        self.secrets.iter().flat_map(of_webhook).collect()
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        let keys = ctx.rules.get::<SecretKeys>();
        for (id, random) in &self.secrets {
            let Some(stored) = ctx.get::<WebhookSecret>(Subscription::key_of(*id))? else { continue };
            let mut subscription: Option<Subscription> = ctx.get(Subscription::key_of(*id))?;
            let hidden = subscription.as_mut().and_then(Subscription::hide_target);
            if keys.is_current(&stored) && hidden.is_none() {
                continue;
            }
            let mut opened = keys.open(&stored).map_err(corrupt)?;
            opened.target_url = hidden.or(opened.target_url);
            ctx.put(&keys.seal(*id, &opened, *random));
            subscription.iter().for_each(|subscription| ctx.put(subscription));
        }
        Ok(Reply::new(Success::Ok, &()))
    }
}

/// The error of a command that needs a secret that cannot be decrypted.
pub(super) fn corrupt(why: CannotOpen) -> CommandError {
    CommandError::Corrupt(CorruptRecord { table: WebhookSecret::TABLE.name, why: why.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A secret opens with its key and for its subscription only; the first of several keys encrypts.
    #[test]
    fn secret_keys_bind_secrets_to_key_and_subscription() {
        let file = |bytes: &[u8]| bytes.iter().map(|byte| hex([*byte; KEY_BYTES]) + "\n").collect::<String>();
        let keys = |bytes: &[u8]| SecretKeys::parse(&file(bytes)).expect("a key file");
        let (id, secret) = (Uuid::from_u128(7), Secret::new("whsec_cGw0bnRlZA=="));
        let target_url = Some(Secret::new("https://example.com/?key=cGw0bnRlZA"));
        let opened = OpenedSecret { secret: secret.clone(), target_url };
        let sealed = keys(&[1]).seal(id, &opened, [9; 32]);
        assert!(!serde_json::to_string(&sealed).expect("JSON").contains("cGw0bnRlZA"));
        assert_eq!(keys(&[2, 1]).open(&sealed), Ok(opened.clone()));
        assert!(keys(&[2]).open(&sealed).is_err() && SecretKeys::default().open(&sealed).is_err());
        let other = WebhookSecret { subscription_id: Uuid::from_u128(8), ..sealed.clone() };
        assert!(keys(&[1]).open(&other).is_err());
        let swapped = WebhookSecret { target_url: Some(sealed.secret.clone()), ..sealed.clone() };
        assert!(keys(&[1]).open(&swapped).is_err(), "a secret is no target");
        assert!(keys(&[1, 2]).is_current(&sealed) && !keys(&[2, 1]).is_current(&sealed));
        let plain = SecretKeys::default().seal(id, &opened, [9; 32]);
        assert_eq!(plain.secret, StoredSecret::Plain(secret));
        assert!(SecretKeys::default().is_current(&plain) && !keys(&[1]).is_current(&plain));
        assert!(!keys(&[1]).is_current(&WebhookSecret { secret: sealed.secret, ..plain }));
        for text in ["", "\n", "00", &file(&[1])[2..], &format!("{}\nx", file(&[1]))] {
            assert!(SecretKeys::parse(text).is_none(), "{text:?}");
        }
    }

    /// Records of earlier versions have the secret itself.
    #[test]
    fn stored_secret_of_an_earlier_version_is_read() {
        let json = r#"{"subscriptionId":"00000000-0000-0000-0000-000000000007","secret":"a"}"#;
        let stored: WebhookSecret = serde_json::from_str(json).expect("a record");
        assert_eq!(stored.secret, StoredSecret::Plain(Secret::new("a")));
        assert_eq!(serde_json::to_string(&stored).expect("JSON"), json);
    }
}
