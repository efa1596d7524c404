//! Who is one client to the limits: an API key, or a network address.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use agentcafe_domain::keys::Principal;
use axum::extract::Request;

use crate::client_address::client_address;
use crate::middleware::Middleware;

/// Whose requests count together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Client {
    /// Those of a network address.
    Address(IpAddr),
    /// Those with an API key.
    Key(Arc<str>),
}

impl fmt::Display for Client {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(out),
            // No address begins so.
            Self::Key(key_id) => write!(out, "key-{key_id}"),
        }
    }
}

impl Middleware {
    /// The client behind a request whose principal is known.
    pub(crate) fn client(&self, request: &Request) -> Client {
        match request.extensions().get::<Principal>().and_then(Principal::binding) {
            Some(binding) => Client::Key(Arc::clone(&binding.key_id)),
            None => Client::Address(client_address(request, &self.trusted_proxies)),
        }
    }
}
