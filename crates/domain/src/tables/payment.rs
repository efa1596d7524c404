//! Payments for private tables: what must be paid, how it is shown, and what is stored.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::{Builder, Uuid};

use crate::kernel::{
    ActorId, ActorInRoom, CallRequest, Code, CommandContext, CommandError, DomainError, ExternalCall, Field,
    Fields, Hash, Key, RoomId, Secret, TenantId, Timestamp, Usd, record,
};
use crate::tables::PrivateTableRules;

/// The proof of payment in the stub mode, unless another one is set.
pub const DEFAULT_STUB_PROOF: &str = "coffee_paid";

/// How private tables are paid for.
#[derive(Clone, Debug, PartialEq)]
pub enum PaymentMode {
    /// They are free.
    Off,
    /// A request with this proof counts as paid.
    Stub {
        /// The proof; none counts while there is none.
        proof: Option<Secret>,
    },
    /// A payment provider takes the payment.
    Webhook {
        /// Whether the URL of the provider is set.
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

/// The request to the payment provider.
#[derive(Clone, Debug, PartialEq)]
pub struct ChargeRequest {
    /// The same for every attempt of the same request, so that no request is paid for twice.
    pub payment_id: Uuid,
    /// The tenant.
    pub tenant_id: TenantId,
    /// The room that becomes private.
    pub room_id: RoomId,
    /// The actor that pays.
    pub owner_actor_id: ActorId,
    /// What the client proves its payment with.
    pub proof: Option<Secret>,
    /// What the client calls its payment.
    pub reference: Option<String>,
    /// The amount.
    pub amount: Usd,
    /// The `x-request-id`.
    pub request_id: String,
}

impl CallRequest for ChargeRequest {
    type Response = ChargeResponse;
}

/// The response of the payment provider.
#[derive(Clone, Debug, PartialEq)]
pub enum ChargeResponse {
    /// It is paid.
    Paid {
        /// What the provider calls itself.
        provider: Option<String>,
        /// What it calls the payment.
        reference: Option<String>,
        /// How much it took.
        amount: Usd,
    },
    /// It is not paid.
    Declined {
        /// The status of the provider's answer.
        status: u16,
        /// The message for the payer.
        message: Option<String>,
    },
    /// The provider could not be reached.
    Unreachable {
        /// Why, in general terms.
        cause: String,
    },
}

/// The newest payment of a request, stored before what it pays for is created, so that the provider is not called twice.
/// It buys once; when its idempotency key is forgotten, the same request is another payment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Payment {
    /// The first payment of the request.
    pub payment_id: Uuid,
    /// How many payments of the same request have bought something before this one.
    pub spent_before: u32,
    /// Whether this one has.
    pub is_spent: bool,
    /// The provider that took it.
    pub provider: String,
    /// What it is called.
    pub reference: Option<String>,
    /// The amount that was taken: it must cover what the same request costs later.
    pub amount: Usd,
    /// When it was recorded.
    pub paid_at: Timestamp,
}

record!(Payment in "payments": [payment_id] paid_at);

/// The longest proof or reference of a payment, in characters.
const MAX_TEXT_CHARS: usize = 1_024;
const PAYMENT_PROOF: Field = Field::new(
    "paymentProof",
    "What proves the payment of a private room. No answer shows it.",
    "coffee_paid",
)
.up_to(MAX_TEXT_CHARS)
.in_example();
const PAYMENT_REF: Field =
    Field::new("paymentRef", "The client's own name for the payment.", "receipt-1").up_to(MAX_TEXT_CHARS);
const PAYMENT_AMOUNT_USD: Field = Field::new(
    "paymentAmountUsd",
    "The amount paid, in dollars: at least the price, which is the default.",
    "3",
);

/// What a request contains about its payment.
#[derive(Clone, Debug, PartialEq)]
pub struct PaymentInput {
    proof: Option<Secret>,
    reference: Option<String>,
    amount: Option<Usd>,
}

/// A payment as answers show it.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PaymentReceipt {
    /// Whether the payment was verified.
    verified: bool,
    /// The provider that took it.
    pub provider: String,
    /// What it is called.
    #[serde(rename = "ref")]
    pub reference: Option<String>,
    /// How much.
    pub amount_usd: Usd,
}

/// The id of the next payment of a request: the same for every attempt until it is spent.
fn payment_id(mut key: Hash, spent_before: u32) -> Uuid {
    for (byte, number) in key.iter_mut().rev().zip(spent_before.to_le_bytes()) {
        *byte ^= number;
    }
    Builder::from_custom_bytes(key).into_uuid()
}

fn key_of(ctx: &CommandContext<'_>) -> Option<Key> {
    ctx.request.map(|request| vec![payment_id(request.key, 0).to_string().as_str().into()])
}

/// The newest payment of the request, if one was taken.
fn newest(ctx: &CommandContext<'_>) -> Result<Option<Payment>, CommandError> {
    key_of(ctx).map_or(Ok(None), |key| ctx.get(key))
}

/// How many payments of a request have bought something already.
fn spent(newest: Option<&Payment>) -> u32 {
    newest.map_or(0, |payment| payment.spent_before + u32::from(payment.is_spent))
}

impl PaymentInput {
    /// Reads `paymentProof`, `paymentRef` and `paymentAmountUsd`, in this order.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field}`, `ERR_OUT_OF_BOUNDS {field, …}`.
    pub fn read(fields: &Fields) -> Result<Self, DomainError> {
        let proof = fields.trimmed_text(PAYMENT_PROOF)?.map(Secret::new);
        let reference = fields.trimmed_text(PAYMENT_REF)?;
        Ok(Self { proof, reference, amount: fields.amount(PAYMENT_AMOUNT_USD)? })
    }

    /// The amount of the payment, at least `price`.
    ///
    /// # Errors
    /// `ERR_PAYMENT_REQUIRED {field, value, min}`.
    pub fn amount(&self, price: Usd) -> Result<Usd, DomainError> {
        let amount = self.amount.unwrap_or(price);
        if amount >= price {
            return Ok(amount);
        }
        Err(DomainError::new(Code::PaymentRequired)
            .saying(format!("this costs at least {price}"))
            .with("field", "paymentAmountUsd")
            .with("value", amount.dollars())
            .with("min", price.dollars()))
    }

    /// What the client calls its payment; never what it proves it with.
    fn own_reference(&self) -> Option<String> {
        let is_revealed = |text: &String| self.proof.as_ref().is_some_and(|proof| proof.is_revealed_by(text));
        self.reference.clone().filter(|text| !is_revealed(text))
    }
}

/// The id of the purchase: the same until it was paid and spent; none for background work.
///
/// # Errors
/// [`CommandError::Load`] for what was paid under the same key.
pub fn purchase(ctx: &CommandContext<'_>) -> Result<Option<Uuid>, CommandError> {
    let Some(request) = ctx.request else { return Ok(None) };
    let asks = ctx.rules.get::<PrivateTableRules>().payment == PaymentMode::Webhook { configured: true };
    let spent_before = if asks { spent(newest(ctx)?.as_ref()) } else { 0 };
    Ok(Some(payment_id(request.key, spent_before)))
}

/// Records a payment that the provider has just taken. If the command is refused, the record is committed all the same, so
/// that the same request never pays twice: the refusal becomes [`CommandError::DeniedAudited`].
///
/// # Errors
/// What `decide` refuses.
pub fn recording_charge<T>(
    ctx: &mut CommandContext<'_>,
    decide: impl FnOnce(&mut CommandContext<'_>) -> Result<T, CommandError>,
) -> Result<T, CommandError> {
    let taken = match (ctx.response_to::<ChargeRequest>(), ctx.request) {
        (Some(ChargeResponse::Paid { provider, reference, amount }), Some(request)) => Some(Payment {
            payment_id: payment_id(request.key, 0),
            spent_before: spent(newest(ctx)?.as_ref()),
            is_spent: false,
            provider: provider.clone().unwrap_or_else(|| "webhook".to_owned()),
            reference: reference.clone(),
            amount: *amount,
            paid_at: ctx.now,
        }),
        _ => None,
    };
    if let Some(payment) = &taken {
        ctx.put(payment);
    }
    match (decide(ctx), taken) {
        (Err(CommandError::Refused(error)), Some(payment)) => {
            // It has bought nothing, whatever the command wrote before the refusal.
            ctx.put(&payment);
            Err(CommandError::DeniedAudited(error))
        }
        (decided, _) => decided,
    }
}

/// Settles the price that `payer` pays for its room.
///
/// # Errors
/// `ERR_PAYMENT_REQUIRED`; [`CommandError::External`] to call the provider.
pub fn settle(
    ctx: &mut CommandContext<'_>,
    payer: &ActorInRoom,
    offer: &PaymentInput,
    amount: Usd,
) -> Result<PaymentReceipt, CommandError> {
    let paid = |provider: &str, reference| PaymentReceipt {
        verified: true,
        provider: provider.to_owned(),
        reference,
        amount_usd: amount,
    };
    let mode = ctx.rules.get::<PrivateTableRules>().payment.clone();
    let unpaid =
        |message: &str| DomainError::new(Code::PaymentRequired).saying(message).with("mode", mode.as_str());
    match &mode {
        PaymentMode::Off => Ok(paid("off", offer.own_reference())),
        PaymentMode::Stub { proof: None } => Err(unpaid("no payment proof is configured")
            .with("reason", "PRIVATE_TABLE_PAYMENT_STUB_PROOF is not set")
            .into()),
        PaymentMode::Stub { proof: Some(proof) } => {
            let given = offer.proof.as_ref().map(|given| given.expose().trim());
            if given == Some(proof.expose().trim()) {
                let reference = offer.own_reference().filter(|text| !proof.is_revealed_by(text));
                let reference = reference.unwrap_or_else(|| format!("stub_{}", ctx.fresh_id()));
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
            let (provider, reference, taken) = charged(ctx, payer, offer, amount, &unpaid)?;
            Ok(PaymentReceipt { amount_usd: taken, ..paid(&provider, reference) })
        }
    }
}

/// The payment that the provider took: recorded before, or requested now.
fn charged(
    ctx: &mut CommandContext<'_>,
    payer: &ActorInRoom,
    offer: &PaymentInput,
    amount: Usd,
    unpaid: &impl Fn(&str) -> DomainError,
) -> Result<(String, Option<String>, Usd), CommandError> {
    let Some(request) = ctx.request else {
        return Err(unpaid("a payment needs a request").into());
    };
    let newest = newest(ctx)?;
    let spent_before = spent(newest.as_ref());
    if let Some(payment) = newest.filter(|payment| !payment.is_spent) {
        let taken = payment.amount;
        if taken < amount {
            return Err(unpaid("the provider took less than this costs")
                .with("reason", "amount")
                .with("value", taken.dollars())
                .with("min", amount.dollars())
                .into());
        }
        ctx.put(&Payment { is_spent: true, ..payment.clone() });
        return Ok((payment.provider, payment.reference.or_else(|| offer.own_reference()), taken));
    }
    match ctx.response_to::<ChargeRequest>() {
        Some(ChargeResponse::Declined { status, message }) => Err(unpaid("the payment was declined")
            .with("status", *status)
            .with("providerMessage", message.clone())
            .into()),
        Some(ChargeResponse::Unreachable { cause }) => {
            Err(unpaid("the payment provider could not be asked").with("cause", cause.as_str()).into())
        }
        _ => Err(CommandError::External(ExternalCall::new(ChargeRequest {
            payment_id: payment_id(request.key, spent_before),
            tenant_id: payer.tenant_id.clone(),
            room_id: payer.room_id.clone(),
            owner_actor_id: payer.actor_id.clone(),
            proof: offer.proof.clone(),
            reference: offer.reference.clone(),
            amount,
            request_id: request.id.to_owned(),
        }))),
    }
}
