//! The address of the client behind a request: the peer's, or the one that trusted proxies forward.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::extract::{ConnectInfo, Request};
use axum::http::HeaderMap;
use ipnet::IpNet;

/// The client's address: that of the peer; behind trusted proxies, the last one in `x-forwarded-for` that is not one of them.
/// Of an IPv6 address, its [network](network_of).
pub(crate) fn client_address(request: &Request, trusted_proxies: &[IpNet]) -> IpAddr {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let peer = peer.map_or(IpAddr::from([0, 0, 0, 0]), |info| info.0.ip().to_canonical());
    let is_trusted = |address: &IpAddr| trusted_proxies.iter().any(|net| net.contains(address));
    let client = match is_trusted(&peer) {
        true => forwarded(request.headers()).find(|address| !is_trusted(address)).unwrap_or(peer),
        false => peer,
    };
    network_of(client)
}

/// What counts as one client: an IPv4 address, or the /64 of an IPv6 address, which a network assigns to one client as a whole.
pub(crate) fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        IpAddr::V4(_) => address,
    }
}

/// The addresses in `x-forwarded-for` from the last to the first, up to one that is no address.
fn forwarded(headers: &HeaderMap) -> impl Iterator<Item = IpAddr> {
    let lists = headers.get_all("x-forwarded-for").iter().rev().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.rsplit(',')).map_while(address)
}

/// An address as proxies write it: in quotes, with a port, in brackets; an IPv4 address mapped into IPv6 is that IPv4 address.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let with_port = || text.parse().ok().map(|address: SocketAddr| address.ip());
    text.parse().ok().or_else(in_brackets).or_else(with_port).map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forwarded_address_is_read_as_proxies_write_it() {
        for (text, want) in [
            ("203.0.113.7", Some("203.0.113.7")),
            (" 203.0.113.7:41001 ", Some("203.0.113.7")),
            ("\"[2001:db8::7]:443\"", Some("2001:db8::7")),
            ("[2001:db8::7]", Some("2001:db8::7")),
            ("2001:db8::7", Some("2001:db8::7")),
            ("::ffff:203.0.113.9", Some("203.0.113.9")),
            ("[::ffff:203.0.113.9]:80", Some("203.0.113.9")),
            ("203.0.113.7:port", None),
            ("\"203.0.113.7", None),
            ("unknown", None),
            ("", None),
        ] {
            assert_eq!(address(text).map(|address| address.to_string()).as_deref(), want, "{text:?}");
        }
    }
}
