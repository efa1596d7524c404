//! The address of the client behind a request: the peer's, or the one that trusted proxies forward.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, Request};
use axum::http::HeaderMap;
use ipnet::IpNet;

/// The client's address: that of the peer; behind trusted proxies, the last one in `x-forwarded-for` that is not one of them.
pub(crate) fn client_address(request: &Request, trusted_proxies: &[IpNet]) -> IpAddr {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let peer = peer.map_or(IpAddr::from([0, 0, 0, 0]), |info| info.0.ip().to_canonical());
    let is_trusted = |address: &IpAddr| trusted_proxies.iter().any(|net| net.contains(address));
    if !is_trusted(&peer) {
        return peer;
    }
    forwarded(request.headers()).find(|address| !is_trusted(address)).unwrap_or(peer)
}

/// The addresses in `x-forwarded-for` from the last to the first, up to one that is no address.
fn forwarded(headers: &HeaderMap) -> impl Iterator<Item = IpAddr> {
    let lists = headers.get_all("x-forwarded-for").iter().rev().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.rsplit(',')).map_while(|address| address.trim().parse().ok())
}
