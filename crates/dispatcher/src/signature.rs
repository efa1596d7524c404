//! HMAC-SHA256 signatures of requests: the body's in hexadecimal, and those of Standard Webhooks 1.0.

use agentcafe_domain::kernel::{Secret, hex};
use agentcafe_domain::webhooks::signing;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

fn mac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length makes a key");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

/// `x-agentcafe-signature`: the body's, in hexadecimal.
pub(crate) fn of_body(secret: &Secret, body: &[u8]) -> String {
    hex(mac(secret.expose().as_bytes(), &[body]))
}

/// `webhook-signature`: that of id, time and body.
pub(crate) fn standard(secret: &Secret, id: &str, unix_seconds: i64, body: &[u8]) -> String {
    let time = unix_seconds.to_string();
    let parts = [id.as_bytes(), b".", time.as_bytes(), b".", body];
    format!("v1,{}", STANDARD.encode(mac(&signing::key_of(secret), &parts)))
}
