//! The settings that decide what commands mean; read once at start, the same for every command.

use crate::{
    kernel::{money::Usd, secret::Secret},
    tables::{
        payment::{DEFAULT_STUB_PROOF, PaymentMode},
        plan::Catalogue,
    },
};

/// Settings of the rules. Times in milliseconds; 0 means 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// The longest message, in Unicode scalar values.
    pub max_chat_message_chars: usize,
    /// How long an actor counts as present after it acted, unless it says otherwise.
    pub presence_default_ttl_ms: i64,
    /// How long an idempotency key is kept.
    pub idempotency_ttl_ms: i64,
    /// What is too much from one actor in one room.
    pub moderation: ModerationRules,
    /// Who may give permissions.
    pub permissions_mode: PermissionsMode,
    /// How private tables are sold.
    pub private_tables: PrivateTableRules,
    /// Where webhooks may go.
    pub webhooks: WebhookRules,
}

/// Where webhooks may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebhookRules {
    /// Whether to this machine and to private networks too.
    pub allow_private_targets: bool,
}

/// Who may give permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PermissionsMode {
    /// Whoever has the token.
    Open,
    /// Operators of the room; and anybody the first one in a room.
    Strict,
}

/// How private tables are sold.
#[derive(Clone, Debug, PartialEq)]
pub struct PrivateTableRules {
    /// How they are paid for.
    pub payment: PaymentMode,
    /// What it costs to make a room private.
    pub price: Usd,
    /// The plans of sessions.
    pub plans: Catalogue,
    /// Whether only those at a private table may read what happens there.
    pub gates_reads: bool,
}

/// When an actor acts too much. A limit of 0 turns its rule off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModerationRules {
    /// How long actions and texts are remembered.
    pub window_ms: i64,
    /// The most actions in the window.
    pub max_actions_per_window: usize,
    /// How often the same text may be said in the window.
    pub max_repeated_text_per_window: usize,
    /// The least time between two actions.
    pub min_action_interval_ms: i64,
    /// How long an actor must be quiet after it hit a limit.
    pub cooldown_ms: i64,
}

impl ModerationRules {
    /// Whether any of the rules that remember something is on.
    pub const fn is_on(&self) -> bool {
        let limits = self.max_actions_per_window > 0 || self.max_repeated_text_per_window > 0;
        self.min_action_interval_ms > 0 || (limits && self.window_ms > 0)
    }

    /// How long anything is remembered, in milliseconds.
    pub fn remembered_ms(&self) -> i64 {
        self.window_ms.max(self.min_action_interval_ms).max(self.cooldown_ms)
    }
}

impl Default for ModerationRules {
    fn default() -> Self {
        Self {
            window_ms: 60_000,
            max_actions_per_window: 40,
            max_repeated_text_per_window: 4,
            min_action_interval_ms: 150,
            cooldown_ms: 2_000,
        }
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            max_chat_message_chars: 120,
            presence_default_ttl_ms: 60_000,
            idempotency_ttl_ms: 86_400_000,
            moderation: ModerationRules::default(),
            permissions_mode: PermissionsMode::Open,
            private_tables: PrivateTableRules::default(),
            webhooks: WebhookRules { allow_private_targets: true },
        }
    }
}

impl Default for PrivateTableRules {
    fn default() -> Self {
        Self {
            payment: PaymentMode::Stub { proof: Secret::new(DEFAULT_STUB_PROOF) },
            price: Usd::from_cents(350),
            plans: Catalogue::default(),
            gates_reads: false,
        }
    }
}
