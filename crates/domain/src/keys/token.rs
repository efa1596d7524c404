//! The text of an API key: `cafe_<keyId>_<secret><checksum>`, all in base62, with a checksum that finds typing errors
//! and lets scanners recognise a leaked key without asking a server.

use sha2::{Digest, Sha256};

use crate::kernel::Secret;

const PREFIX: &str = "cafe_";
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// How many random bytes an id and a secret are made of, in this order.
pub const RANDOM_BYTES: usize = ID_BYTES + SECRET_BYTES;
const ID_BYTES: usize = 9;
const SECRET_BYTES: usize = 32;
/// As many digits as the largest number of so many bytes has.
const ID_DIGITS: usize = 13;
const SECRET_DIGITS: usize = 43;
const CHECKSUM_DIGITS: usize = 6;

/// The hash of a secret, which is all that is stored of it.
pub type SecretHash = [u8; 32];

/// An API key as a client sends it.
#[derive(Clone, Debug)]
pub struct Token {
    /// Which key it claims to be.
    pub key_id: String,
    /// The hash of its secret.
    pub hash: SecretHash,
}

impl Token {
    /// Reads a token. None if it is not well formed: a shared token, or a key with a typing error.
    pub fn parse(text: &str) -> Option<Self> {
        let (key_id, rest) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let is_well_formed = key_id.len() == ID_DIGITS
            && rest.len() == SECRET_DIGITS + CHECKSUM_DIGITS
            && [key_id, rest].iter().all(|part| part.bytes().all(|digit| DIGITS.contains(&digit)));
        let (secret, checksum) = rest.split_at_checked(SECRET_DIGITS).filter(|_| is_well_formed)?;
        let body = &text[..text.len() - CHECKSUM_DIGITS];
        (checksum == checksum_of(body)).then(|| Self { key_id: key_id.to_owned(), hash: hash(secret) })
    }
}

/// Makes the id of a key from random bytes.
pub fn key_id(random: &[u8; RANDOM_BYTES]) -> String {
    base62(&random[..ID_BYTES], ID_DIGITS)
}

/// Makes the text of a key and the hash of its secret from random bytes.
pub fn make(key_id: &str, random: &[u8; RANDOM_BYTES]) -> (Secret, SecretHash) {
    let secret = random_text(random);
    let body = format!("{PREFIX}{key_id}_{secret}");
    let text = format!("{body}{}", checksum_of(&body));
    (Secret::new(text), hash(&secret))
}

/// A secret of random bytes.
pub(super) fn random_text(random: &[u8; RANDOM_BYTES]) -> String {
    base62(&random[ID_BYTES..], SECRET_DIGITS)
}

fn hash(secret: &str) -> SecretHash {
    Sha256::digest(secret).into()
}

fn checksum_of(body: &str) -> String {
    base62(&crc32fast::hash(body.as_bytes()).to_be_bytes(), CHECKSUM_DIGITS)
}

/// A number in big-endian bytes as `width` digits.
fn base62(bytes: &[u8], width: usize) -> String {
    let mut number = bytes.to_vec();
    let mut digits = vec![DIGITS[0]; width];
    for digit in digits.iter_mut().rev() {
        let remainder = number.iter_mut().fold(0, |carry, byte| {
            let value = carry * 256 + usize::from(*byte);
            *byte = u8::try_from(value / 62).unwrap_or(u8::MAX);
            value % 62
        });
        *digit = DIGITS[remainder];
    }
    digits.into_iter().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(byte: u8) -> [u8; RANDOM_BYTES] {
        [byte; RANDOM_BYTES]
    }

    /// The largest numbers fit their width, so that every token is equally long.
    #[test]
    fn token_is_read_as_it_was_made() {
        for byte in [0, 7, 255] {
            let id = key_id(&random(byte));
            let (text, hash) = make(&id, &random(byte));
            let token = Token::parse(text.expose()).unwrap();
            assert_eq!((token.key_id, token.hash), (id, hash));
            assert_eq!(text.expose().len(), 68);
        }
        assert_eq!(base62(&[255; 4], CHECKSUM_DIGITS), "4gfFC3");
    }

    /// One wrong character, or one that is missing, is noticed without a look into the store.
    #[test]
    fn token_with_a_typing_error_is_none() {
        let (text, _) = make(&key_id(&random(7)), &random(9));
        let text = text.expose();
        assert!(Token::parse(&text[1..]).is_none() && Token::parse(&text[..67]).is_none());
        for at in 0..text.len() {
            let other = if text.as_bytes()[at] == b'x' { "y" } else { "x" };
            let mistyped = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            assert!(Token::parse(&mistyped).is_none(), "{mistyped}");
        }
        assert!(Token::parse("a shared token").is_none() && Token::parse("cafe_ä_ö").is_none());
    }
}
