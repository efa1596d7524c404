//! Authentication: from the token of a request to who calls.

use std::sync::Arc;
use std::time::Duration;

use agentcafe_domain::kernel::{Code, DomainError, OperationError};
use agentcafe_domain::keys::manage::NoteKeyUses;
use agentcafe_domain::keys::token::Token;
use agentcafe_domain::keys::{ApiKey, Principal};
use subtle::ConstantTimeEq;
use tokio::time::{MissedTickBehavior, interval};

use crate::auth_mode::{AuthMode, Authentication};
use crate::key_ring::KnownKey;
use crate::service::Service;

/// The interval at which the uses of keys are stored.
const NOTE_USES_EVERY: Duration = Duration::from_secs(60);

impl Service {
    /// Finds out who calls, by the token of a request.
    ///
    /// # Errors
    /// `ERR_UNAUTHORIZED` for a token that is not valid, or a missing one where one is needed; the store is not available.
    pub async fn authenticate(&self, token: Option<&str>) -> Result<Principal, OperationError> {
        let Authentication { mode, shared_token } = &self.settings.authentication;
        let shared_token = shared_token.as_deref().filter(|_| *mode != AuthMode::Keys);
        let Some(token) = token else {
            let needs_token = shared_token.is_some()
                || *mode == AuthMode::Keys
                || (*mode != AuthMode::Shared && self.keys.has_any().await?);
            return if needs_token { Err(unauthorized()) } else { Ok(Principal::Shared) };
        };
        if let Some(key) = Token::parse(token).filter(|_| *mode != AuthMode::Shared) {
            let holder = self.keys.find(&key, self.engine.now()).await?;
            return holder.map(Principal::Key).ok_or_else(unauthorized);
        }
        match shared_token {
            Some(shared) if bool::from(token.as_bytes().ct_eq(shared.as_bytes())) => Ok(Principal::Shared),
            // As before API keys: where nothing is configured, a token is not looked at.
            None if *mode != AuthMode::Keys && !self.keys.has_any().await? => Ok(Principal::Shared),
            _ => Err(unauthorized()),
        }
    }

    /// Whether there is any API key.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn has_keys(&self) -> Result<bool, OperationError> {
        self.keys.has_any().await
    }

    /// Whether callers without a token are let in, as far as this node knows: until it has looked for keys, they are.
    pub fn is_open(&self) -> bool {
        let Authentication { mode, shared_token } = &self.settings.authentication;
        match mode {
            AuthMode::Keys => false,
            AuthMode::Shared => shared_token.is_none(),
            AuthMode::Automatic | AuthMode::Both => {
                shared_token.is_none() && self.keys.known_any() != Some(true)
            }
        }
    }

    /// Stores when keys were used, until the engine stops.
    pub async fn note_key_uses(self: Arc<Self>) {
        let mut ticks = interval(NOTE_USES_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.engine.stopping.run_until_cancelled(ticks.tick()).await.is_some() {
            let uses = self.keys.take_uses();
            if uses.is_empty() {
                continue;
            }
            if let Err(error) = self.engine.execute_in_background(Arc::new(NoteKeyUses(uses))).await {
                tracing::warn!(?error, "uses of API keys could not be stored");
            }
        }
    }

    /// Checks that what a caller came in with still counts.
    ///
    /// # Errors
    /// `ERR_UNAUTHORIZED` for a key that was revoked or has expired, and without one once there are keys; the store is not
    /// available.
    pub(crate) async fn require_live(&self, principal: &Principal) -> Result<(), OperationError> {
        let Principal::Key(holder) = principal else {
            let Authentication { mode, shared_token } = &self.settings.authentication;
            let has_closed = match mode {
                AuthMode::Keys => true,
                AuthMode::Shared => false,
                AuthMode::Automatic | AuthMode::Both => shared_token.is_none() && self.keys.has_any().await?,
            };
            return if has_closed { Err(unauthorized()) } else { Ok(()) };
        };
        let live = self.live_key(&holder.credential_id).await?;
        if live.is_some() { Ok(()) } else { Err(unauthorized()) }
    }

    /// The key of a credential, if that counts.
    pub(super) async fn live_key(
        &self,
        credential_id: &str,
    ) -> Result<Option<Arc<KnownKey>>, OperationError> {
        let known = self.keys.get(ApiKey::key_id_of(credential_id)).await?;
        Ok(known.filter(|known| known.key.is_credential_live(credential_id, self.engine.now())))
    }
}

pub(super) fn unauthorized() -> OperationError {
    DomainError::new(Code::Unauthorized).into()
}
