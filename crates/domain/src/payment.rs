//! Paying for a private table: what must be paid, how it is shown, and what is kept of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::{Builder, Uuid};

use crate::{
    act,
    actor::ActorInRoom,
    command::{Halt, Moment},
    errand::{Charge, Errand, Outcome},
    fields::Fields,
    idempotency::Hash,
    money::Usd,
    record::{Cell, Key, Query, Record, Table},
    refusal::{Code, Refusal},
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
    /// How much, if the provider said so.
    pub amount: Option<Usd>,
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

/// The longest proof or reference of a payment, in characters.
const MAX_TEXT_CHARS: usize = 1_024;

/// What a client says about its payment.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    proof: Option<Secret>,
    reference: Option<String>,
    amount: Option<Usd>,
}

/// A payment as answers show it.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Paid {
    verified: bool,
    /// Who took it.
    pub provider: String,
    /// What it is called.
    #[serde(rename = "ref")]
    pub reference: Option<String>,
    /// How much.
    pub amount_usd: Usd,
}

/// The payment of a request: the same id however often the request comes.
fn payment_id(key: Hash) -> Uuid {
    Builder::from_custom_bytes(key).into_uuid()
}

fn key_of(moment: &Moment<'_>) -> Option<Key> {
    moment.request.map(|request| vec![payment_id(request.key).to_string().as_str().into()])
}

impl Offer {
    /// Reads `paymentProof`, `paymentRef` and `paymentAmountUsd`, in this order.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field}`, `ERR_OUT_OF_BOUNDS {field, …}`.
    pub fn read(fields: &Fields) -> Result<Self, Refusal> {
        let text = |name| act::bounded_text(name, fields.trimmed_text(name)?, MAX_TEXT_CHARS);
        let proof = text("paymentProof")?.map(Secret::new);
        Ok(Self { proof, reference: text("paymentRef")?, amount: fields.amount("paymentAmountUsd")? })
    }

    /// What is paid where at least `price` is asked.
    ///
    /// # Errors
    /// `ERR_PAYMENT_REQUIRED {field, value, min}`.
    pub fn amount(&self, price: Usd) -> Result<Usd, Refusal> {
        let amount = self.amount.unwrap_or(price);
        if amount >= price {
            return Ok(amount);
        }
        Err(Refusal::new(Code::PaymentRequired)
            .saying(format!("this costs at least {price}"))
            .with("field", "paymentAmountUsd")
            .with("value", amount.dollars())
            .with("min", price.dollars()))
    }

    /// What the client calls its payment; never what it proves it with.
    fn own_reference(&self) -> Option<String> {
        let is_proof =
            |text: &String| self.proof.as_ref().is_some_and(|proof| proof.expose() == text.as_str());
        self.reference.clone().filter(|text| !is_proof(text))
    }
}

/// Keeps a payment that the provider has just taken. If the command is refused after all, the record of it stays, so that
/// the same request never pays twice: the refusal becomes one that keeps what was written.
///
/// # Errors
/// What `decide` refuses.
pub fn keeping<T>(
    moment: &mut Moment<'_>,
    decide: impl FnOnce(&mut Moment<'_>) -> Result<T, Halt>,
) -> Result<T, Halt> {
    let taken = match (moment.outcome, moment.request) {
        (Some(Outcome::Charged(Charged::Paid { provider, reference, amount })), Some(request)) => {
            Some(Payment {
                payment_id: payment_id(request.key),
                provider: provider.clone().unwrap_or_else(|| "webhook".to_owned()),
                reference: reference.clone(),
                amount: *amount,
                paid_at: moment.now,
            })
        }
        _ => None,
    };
    if let Some(payment) = &taken {
        moment.put(payment);
    }
    match decide(moment) {
        Err(Halt::Refused(refusal)) if taken.is_some() => Err(Halt::Denied(refusal)),
        decided => decided,
    }
}

/// What [`settle`] reads of the store.
pub fn read(moment: &Moment<'_>) -> Option<Query> {
    key_of(moment).map(Query::one::<Payment>)
}

/// Settles what `payer` owes for its room.
///
/// # Errors
/// `ERR_PAYMENT_REQUIRED`; [`Halt::Outside`] to ask the provider.
pub fn settle(
    moment: &mut Moment<'_>,
    payer: &ActorInRoom,
    offer: &Offer,
    amount: Usd,
) -> Result<Paid, Halt> {
    let paid = |provider: &str, reference| Paid {
        verified: true,
        provider: provider.to_owned(),
        reference,
        amount_usd: amount,
    };
    let mode = moment.rules.private_tables.payment.clone();
    let unpaid =
        |message: &str| Refusal::new(Code::PaymentRequired).saying(message).with("mode", mode.as_str());
    match &mode {
        PaymentMode::Off => Ok(paid("off", offer.own_reference())),
        PaymentMode::Stub { proof } => {
            let given = offer.proof.as_ref().map(|given| given.expose().trim());
            if given == Some(proof.expose().trim()) {
                let reference = offer.own_reference().filter(|text| text != proof.expose());
                let reference = reference.unwrap_or_else(|| format!("stub_{}", moment.fresh_id()));
                return Ok(paid("stub", Some(reference)));
            }
            Err(unpaid("paymentProof is missing or not the one that is asked for")
                .with("tenantId", payer.tenant_id.as_str())
                .with("roomId", payer.room_id.as_str())
                .with("ownerActorId", payer.actor_id.as_str())
                .with("expectedProofHint", "the operator's PRIVATE_TABLE_PAYMENT_STUB_PROOF")
                .with("amountUsd", amount.dollars())
                .into())
        }
        PaymentMode::Webhook { configured: false } => Err(unpaid("no payment provider is configured")
            .with("reason", "PRIVATE_TABLE_PAYMENT_WEBHOOK_URL is not set")
            .into()),
        PaymentMode::Webhook { configured: true } => {
            let (provider, reference, taken) = charged(moment, payer, offer, amount, &unpaid)?;
            Ok(Paid { amount_usd: taken, ..paid(&provider, reference) })
        }
    }
}

/// What the provider has taken: recorded before, or asked for now.
fn charged(
    moment: &mut Moment<'_>,
    payer: &ActorInRoom,
    offer: &Offer,
    amount: Usd,
    unpaid: &impl Fn(&str) -> Refusal,
) -> Result<(String, Option<String>, Usd), Halt> {
    let Some(request) = moment.request else {
        return Err(unpaid("a payment needs a request").into());
    };
    let recorded = match key_of(moment) {
        Some(key) => moment.get::<Payment>(key)?,
        None => None,
    };
    if let Some(payment) = recorded {
        let taken = payment.amount.unwrap_or(amount);
        if taken < amount {
            return Err(unpaid("the provider took less than this costs")
                .with("reason", "amount")
                .with("value", taken.dollars())
                .with("min", amount.dollars())
                .into());
        }
        return Ok((payment.provider, payment.reference.or_else(|| offer.own_reference()), taken));
    }
    match moment.outcome {
        Some(Outcome::Charged(Charged::Declined { status, message })) => {
            Err(unpaid("the payment was declined")
                .with("status", *status)
                .with("providerMessage", message.clone())
                .into())
        }
        Some(Outcome::Charged(Charged::Unreachable { cause })) => {
            Err(unpaid("the payment provider could not be asked").with("cause", cause.as_str()).into())
        }
        _ => Err(Halt::Outside(Box::new(Errand::Charge(Charge {
            payment_id: payment_id(request.key),
            tenant_id: payer.tenant_id.clone(),
            room_id: payer.room_id.clone(),
            owner_actor_id: payer.actor_id.clone(),
            proof: offer.proof.clone(),
            reference: offer.reference.clone(),
            amount,
            request_id: request.id.to_owned(),
        })))),
    }
}
