//! Payments: taken once, recorded, and spent once.

use agentcafe_domain::kernel::{
    CallResult, Code, Command, CommandContext, CommandError, DomainError, Query, Reply, Rules, Success, Usd,
};
use agentcafe_domain::tables::PrivateTableRules;
use agentcafe_domain::tables::payment::{
    ChargeRequest, ChargeResponse, PaymentInput, PaymentMode, recording_charge, settle,
};
use serde_json::json;
use uuid::Uuid;

use crate::harness::{Harness, actor, assert_details, body};

const THREE: Usd = Usd::from_cents(300);

/// Pays a price and answers the amount that was taken; `refused` is what refuses it after the payment.
struct Purchase {
    price: Usd,
    refused: Option<Code>,
}

impl Command for Purchase {
    fn reads(&self) -> Vec<Query> {
        Vec::new()
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        let offer = PaymentInput::read(&body(&json!({})))?;
        recording_charge(ctx, |ctx| {
            let paid = settle(ctx, &actor("Nova"), &offer, self.price)?;
            let reply = Reply::new(Success::Ok, &paid.amount_usd);
            self.refused.map_or(Ok(reply), |code| Err(DomainError::new(code).into()))
        })
    }
}

/// A store whose payment provider is asked, under one idempotency key.
fn harness() -> Harness {
    let payment = PaymentMode::Webhook { configured: true };
    let rules = Rules::default().with(PrivateTableRules { payment, ..PrivateTableRules::default() });
    let mut harness = Harness::new();
    (harness.rules, harness.request) = (rules, Some([7; 16]));
    harness
}

/// Purchases, with the amount that the provider takes if it is asked.
fn buy(
    harness: &mut Harness,
    price: Usd,
    taken: Option<Usd>,
    refused: Option<Code>,
) -> Result<Usd, CommandError> {
    let paid = |amount| ChargeResponse::Paid { provider: None, reference: None, amount };
    harness.response = taken.map(|amount| CallResult::new::<ChargeRequest>(paid(amount)));
    let reply = harness.attempt(&Purchase { price, refused })?;
    Ok(serde_json::from_slice(&reply.data).unwrap())
}

/// The id of the payment for which the provider is asked.
fn asked(harness: &mut Harness) -> Uuid {
    match buy(harness, THREE, None, None) {
        Err(CommandError::External(call)) => call.request::<ChargeRequest>().unwrap().payment_id,
        other => panic!("{other:?}"),
    }
}

/// A payment buys once, also if its request was refused at first. A request whose key was forgotten since is another
/// payment, and so is the one after that.
#[test]
fn payment_buys_once() {
    let mut harness = harness();
    let first = asked(&mut harness);
    let denied = buy(&mut harness, THREE, Some(THREE), Some(Code::Validation));
    assert!(matches!(denied, Err(CommandError::DeniedAudited(_))), "{denied:?}");
    assert!(matches!(buy(&mut harness, THREE, None, None), Ok(THREE)), "it is not asked for again");
    let second = asked(&mut harness);
    assert!(matches!(buy(&mut harness, THREE, Some(THREE), None), Ok(THREE)));
    let third = asked(&mut harness);
    assert!(first != second && second != third && third != first, "{first} {second} {third}");
    assert_eq!(asked(&mut harness), third, "until it is paid");
}

/// A payment of less does not pay for more under the same key.
#[test]
fn payment_of_less_is_refused() {
    let mut harness = harness();
    let denied = buy(&mut harness, THREE, Some(THREE), Some(Code::Validation));
    assert!(matches!(denied, Err(CommandError::DeniedAudited(_))), "{denied:?}");
    match buy(&mut harness, Usd::from_cents(1_000), None, None) {
        Err(CommandError::Refused(error)) => {
            assert_details(&error, &json!({ "reason": "amount", "value": 3.0 }));
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(buy(&mut harness, THREE, None, None), Ok(THREE)));
}
