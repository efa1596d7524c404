//! API keys in tests: makes them, each with a client that authenticates with it.

use serde_json::Value;

use crate::client::Client;
use crate::server::Launch;

/// The shared token of servers that are launched [with it](Launch::with_shared_token).
pub const SHARED_TOKEN: &str = "shared-token-of-the-tests";

/// An API key, and a client that authenticates with it.
#[derive(Clone, Debug)]
pub struct Key {
    /// The key's id.
    pub id: String,
    /// The text of the key.
    pub token: String,
    /// A client that sends it.
    pub client: Client,
}

impl Launch {
    /// Sets [`SHARED_TOKEN`], beside which API keys can be used as soon as there are any.
    #[must_use]
    pub fn with_shared_token(self) -> Self {
        self.env("API_AUTH_TOKEN", SHARED_TOKEN)
    }
}

impl Client {
    /// The same client, which authenticates with this token.
    #[must_use]
    pub fn with_token(self, token: &str) -> Self {
        self.with_header("x-api-key", token)
    }

    /// Makes an API key as a body of `POST /v1/keys` describes it. This client needs the shared token or an admin key.
    ///
    /// # Panics
    /// If the server refuses.
    pub async fn make_key(&self, body: Value) -> Key {
        let made = self.act("/v1/keys", body).await;
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let (id, token) = (text(&made.data()["key"]["keyId"]), text(&made.data()["token"]));
        Key { client: self.clone().with_token(&token), id, token }
    }
}
