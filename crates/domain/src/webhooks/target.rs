//! The targets of webhooks: allowed URLs and addresses, so that no client reaches internal systems through this one (SSRF).

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use crate::kernel::{Code, DomainError, rule_set};

/// Where webhooks may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebhookRules {
    /// Whether to this machine and to private networks too.
    pub allow_private_targets: bool,
}

impl Default for WebhookRules {
    fn default() -> Self {
        Self { allow_private_targets: true }
    }
}
rule_set!(WebhookRules);

/// The longest target, in characters.
pub const MAX_TARGET_CHARS: usize = 2_048;
/// Stands for a value in the query of a target.
const HIDDEN: &str = "***";

/// The class of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AddressClass {
    /// A machine on the internet.
    Public,
    /// This machine, its network, or an unspecified address.
    Private,
    /// A metadata service of a cloud, which gives away credentials, or a link-local address.
    Forbidden,
}

impl AddressClass {
    /// Whether a webhook may go there.
    pub fn is_allowed(self, rules: WebhookRules) -> bool {
        match self {
            Self::Public => true,
            Self::Private => rules.allow_private_targets,
            Self::Forbidden => false,
        }
    }

    /// The class of an address; that of the embedded address, if it embeds one.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => of_v4(address),
            IpAddr::V6(address) => of_v6(address),
        }
    }

    /// What is known of a host before its name is resolved.
    fn of_host(host: &Host<&str>) -> Self {
        match host {
            Host::Ipv4(address) => of_v4(*address),
            Host::Ipv6(address) => of_v6(*address),
            Host::Domain(name) => of_name(name.trim_end_matches('.')),
        }
    }
}

fn of_name(name: &str) -> AddressClass {
    const METADATA: [&str; 4] =
        ["metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal"];
    if METADATA.contains(&name) {
        return AddressClass::Forbidden;
    }
    let is_local = ["localhost", "localhost.localdomain"].contains(&name) || name.ends_with(".localhost");
    if is_local { AddressClass::Private } else { AddressClass::Public }
}

/// IPv4 networks that are not the internet (IANA's registry of special purposes): the network, and its length in bits.
const PRIVATE_V4: [([u8; 4], u32); 14] = [
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
];
/// Link-local, and the metadata services of clouds that are elsewhere.
const FORBIDDEN_V4: [([u8; 4], u32); 4] =
    [([169, 254, 0, 0], 16), ([100, 100, 100, 200], 32), ([168, 63, 129, 16], 32), ([192, 0, 0, 192], 32)];

fn of_v4(address: Ipv4Addr) -> AddressClass {
    let within = |networks: &[([u8; 4], u32)]| {
        networks.iter().any(|(network, bits)| {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            (address.to_bits() ^ u32::from_be_bytes(*network)) & mask == 0
        })
    };
    if within(&FORBIDDEN_V4) {
        AddressClass::Forbidden
    } else if within(&PRIVATE_V4) {
        AddressClass::Private
    } else {
        AddressClass::Public
    }
}

/// IPv6 networks that are not the internet: the first 32 bits, and how many of them count.
const PRIVATE_V6: [(u32, u32); 8] = [
    (0x0100_0000, 32),
    (0x2001_0000, 23),
    (0x2001_0db8, 32),
    (0x3fff_0000, 20),
    (0x5f00_0000, 16),
    (0xfc00_0000, 7),
    (0xfec0_0000, 10),
    (0xff00_0000, 8),
];
/// The metadata services of Amazon and Google.
const FORBIDDEN_V6: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)];

fn of_v6(address: Ipv6Addr) -> AddressClass {
    let first = (address.to_bits() >> 96) as u32;
    let starts = |value: u32, bits: u32| (first ^ value).checked_shr(32 - bits).unwrap_or(0) == 0;
    if FORBIDDEN_V6.contains(&address) || starts(0xfe80_0000, 10) {
        return AddressClass::Forbidden;
    }
    if let Some((embedded, at_least)) = embedded_v4(address) {
        return of_v4(embedded).max(at_least);
    }
    let is_private = PRIVATE_V6.iter().any(|(value, bits)| starts(*value, *bits));
    if is_private { AddressClass::Private } else { AddressClass::Public }
}

/// The IPv4 address that an IPv6 address embeds, and the least strict class of an address that is written so.
fn embedded_v4(address: Ipv6Addr) -> Option<(Ipv4Addr, AddressClass)> {
    let last = |pair: [u16; 2]| Ipv4Addr::from_bits((u32::from(pair[0]) << 16) | u32::from(pair[1]));
    match address.segments() {
        // ::a.b.c.d, with :: and ::1 among them, which are 0.0.0.0 and 0.0.0.1.
        [0, 0, 0, 0, 0, 0, a, b] => Some((last([a, b]), AddressClass::Private)),
        // ::ffff:a.b.c.d, mapped; ::ffff:0:a.b.c.d, translated.
        [0, 0, 0, 0, 0, 0xffff, a, b] | [0, 0, 0, 0, 0xffff, 0, a, b] => {
            Some((last([a, b]), AddressClass::Public))
        }
        // NAT64, the well-known prefix and the local one.
        [0x64, 0xff9b, 0, 0, 0, 0, a, b] => Some((last([a, b]), AddressClass::Public)),
        [0x64, 0xff9b, 1, _, _, _, a, b] => Some((last([a, b]), AddressClass::Private)),
        // 6to4.
        [0x2002, a, b, ..] => Some((last([a, b]), AddressClass::Public)),
        _ => None,
    }
}

/// Reads the target that a client names.
///
/// # Errors
/// `ERR_INVALID_URL {field, value, reason}`.
pub fn read(field: &str, text: String, rules: WebhookRules) -> Result<String, DomainError> {
    match check(&text, rules) {
        Ok(_) => Ok(text),
        Err(reason) => Err(DomainError::new(Code::InvalidUrl)
            .saying(reason.to_string())
            .with("field", field)
            .with("value", shown(&text))
            .with("reason", reason.as_str())),
    }
}

/// A target as it is shown: without user name and password, which an earlier version allowed, without the values of its query,
/// and without what follows `#`.
pub fn shown(target: &str) -> String {
    let text = without_credentials(target);
    let text = text.split('#').next().unwrap_or_default();
    let Some((path, query)) = text.split_once('?') else { return text.to_owned() };
    let hidden = query.split('&').map(|parameter| match parameter.split_once('=') {
        Some((_, "")) => parameter.to_owned(),
        Some((name, _)) => format!("{name}={HIDDEN}"),
        // The whole parameter may be a key.
        None if parameter.is_empty() => String::new(),
        None => HIDDEN.to_owned(),
    });
    format!("{path}?{}", hidden.collect::<Vec<_>>().join("&"))
}

/// Checks that no values are hidden in a target: events cannot be sent to it as it is shown.
///
/// # Errors
/// `ERR_VALIDATION {field}`.
pub fn check_is_whole(target: &str) -> Result<(), DomainError> {
    let query = target.split_once('?').map_or("", |(_, query)| query);
    if query.split('&').any(|parameter| parameter.rsplit('=').next() == Some(HIDDEN)) {
        let why = format!("values in its query are hidden as {HIDDEN}: give the whole URL");
        return Err(DomainError::invalid("targetUrl", why));
    }
    Ok(())
}

fn without_credentials(target: &str) -> Cow<'_, str> {
    match Url::parse(target) {
        Ok(mut url) if has_credentials(&url) => {
            let is_cleared = url.set_username("").is_ok() && url.set_password(None).is_ok();
            if is_cleared { Cow::Owned(url.into()) } else { Cow::Borrowed("") }
        }
        _ => Cow::Borrowed(target),
    }
}

fn has_credentials(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

/// Why a target is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetError {
    /// It is no absolute URL with the scheme http or https.
    NotHttp,
    /// It carries a user name or a password.
    Credentials,
    /// Webhooks may not go to its address.
    Address,
}

impl TargetError {
    /// A name for programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotHttp => "not_http",
            Self::Credentials => "credentials",
            Self::Address => "address_not_allowed",
        }
    }
}

impl std::fmt::Display for TargetError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NotHttp => "a target is an absolute http or https URL",
            Self::Credentials => "a target carries no user name and no password",
            Self::Address => "webhooks may not go to this address",
        })
    }
}

impl std::error::Error for TargetError {}

/// Checks a target, as far as that is possible without resolving its name.
///
/// # Errors
/// Why webhooks may not go there.
pub fn check(text: &str, rules: WebhookRules) -> Result<Url, TargetError> {
    let url = Url::parse(text).map_err(|_| TargetError::NotHttp)?;
    let host = url.host().filter(|_| matches!(url.scheme(), "http" | "https")).ok_or(TargetError::NotHttp)?;
    if has_credentials(&url) {
        return Err(TargetError::Credentials);
    }
    if AddressClass::of_host(&host).is_allowed(rules) { Ok(url) } else { Err(TargetError::Address) }
}
