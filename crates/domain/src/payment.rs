//! Paying for a private table: what must be paid, how it is shown, and what is kept of it.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    money::Usd,
    record::{Cell, Key, Record, Table},
    secret::Secret,
    time::Timestamp,
};

/// How private tables are paid for.
#[derive(Clone, Debug, PartialEq)]
pub enum PaymentMode {
    /// They are free.
    Off,
    /// Whoever knows the proof has paid.
    Stub {
        /// The proof.
        proof: Secret,
    },
    /// A payment provider is asked.
    Webhook {
        /// Whether it is known where the provider is.
        configured: bool,
    },
}

impl PaymentMode {
    /// The name in settings and answers.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Stub { .. } => "stub",
            Self::Webhook { .. } => "webhook",
        }
    }
}

/// What the payment provider said.
#[derive(Clone, Debug, PartialEq)]
pub enum Charged {
    /// It is paid.
    Paid {
        /// What the provider calls itself.
        provider: Option<String>,
        /// What it calls the payment.
        reference: Option<String>,
        /// How much it took, if it says so.
        amount: Option<Usd>,
    },
    /// It is not paid.
    Declined {
        /// The status of the provider's answer.
        status: u16,
        /// What it says to the payer.
        message: Option<String>,
    },
    /// The provider could not be asked.
    Unreachable {
        /// Why, in general terms.
        cause: String,
    },
}

/// A payment that was made, kept before what it pays for is created: whatever happens then, it is not asked for again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Payment {
    /// The payment.
    pub payment_id: Uuid,
    /// Who took it.
    pub provider: String,
    /// What it is called.
    pub reference: Option<String>,
    /// How much.
    pub amount: Usd,
    /// When it was recorded.
    pub paid_at: Timestamp,
}

impl Record for Payment {
    const TABLE: &'static Table = &Table { name: "payments", key: &["payment_id"], columns: &["paid_at"] };

    fn key(&self) -> Key {
        vec![self.payment_id.to_string().as_str().into()]
    }

    fn columns(&self) -> Vec<Cell> {
        vec![self.paid_at.into()]
    }
}
