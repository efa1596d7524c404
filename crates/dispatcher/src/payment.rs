//! Asks the payment provider. The same payment id goes with every attempt of one request, so that nobody pays twice.

use agentcafe_domain::kernel::{Secret, Usd};
use agentcafe_domain::tables::payment::{ChargeRequest, ChargeResponse};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::{Client, RequestBuilder, header};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::external_client::PaymentProvider;

/// The longest answer of a provider that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 64 << 10;
/// The longest text of a provider that is kept or passed on, in characters.
const MAX_TEXT_CHARS: usize = 256;

/// Asks whether `charge` is paid.
pub(crate) async fn charge(
    client: Option<&Client>,
    provider: &PaymentProvider,
    charge: &ChargeRequest,
) -> ChargeResponse {
    let (Some(client), Some(url)) = (client, &provider.url) else {
        return ChargeResponse::Unreachable { cause: "no payment provider is configured".to_owned() };
    };
    let body = json!({
        "paymentId": charge.payment_id,
        "tenantId": charge.tenant_id,
        "roomId": charge.room_id,
        "ownerActorId": charge.owner_actor_id,
        "paymentProof": charge.proof.as_ref().map(Secret::expose),
        "paymentRef": charge.reference,
        "amountUsd": charge.amount,
    })
    .to_string();
    let request = client
        .post(url.clone())
        .timeout(provider.timeout)
        .header(header::CONTENT_TYPE, "application/json")
        .header("x-request-id", &charge.request_id)
        .header("idempotency-key", charge.payment_id.to_string());
    match answer(signed(request, provider.secret.as_ref(), &body).body(body)).await {
        Ok((status, answer)) => {
            let secrets = [charge.proof.as_ref(), provider.secret.as_ref()];
            let secrets: Vec<&Secret> = secrets.into_iter().flatten().collect();
            verdict(status, &answer, charge.amount, &secrets)
        }
        Err(error) => {
            tracing::warn!(error = %error.without_url(), "the payment provider could not be asked");
            ChargeResponse::Unreachable { cause: "the payment provider could not be reached".to_owned() }
        }
    }
}

/// Adds the signature of the body, if there is a secret to sign with.
fn signed(request: RequestBuilder, secret: Option<&Secret>, body: &str) -> RequestBuilder {
    let Some(secret) = secret else { return request };
    let mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).expect("any length makes a key");
    let signature = mac.chain_update(body).finalize().into_bytes();
    let signature: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
    request.header("x-agentcafe-signature", signature)
}

async fn answer(request: RequestBuilder) -> Result<(u16, Value), reqwest::Error> {
    let mut response = request.send().await?;
    let status = response.status().as_u16();
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if bytes.len() + chunk.len() > MAX_ANSWER_BYTES {
            break;
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok((status, serde_json::from_slice(&bytes).unwrap_or(Value::Null)))
}

/// How much was taken: what was asked for, unless the answer says something else. `None` if that is no amount.
fn taken(answer: &Value, asked: Usd) -> Option<Usd> {
    match answer.get("amountUsd") {
        None | Some(Value::Null) => Some(asked),
        Some(Value::String(text)) => text.trim().parse().ok().and_then(Usd::from_dollars),
        Some(said) => said.as_f64().and_then(Usd::from_dollars),
    }
}

/// What an answer to a charge of `asked` says: paid only if it says so, as a boolean. A text that repeats a secret is not taken
/// over.
fn verdict(status: u16, answer: &Value, asked: Usd, secrets: &[&Secret]) -> ChargeResponse {
    let text = |name: &str| {
        let text = answer.get(name).and_then(Value::as_str)?;
        let tells = secrets.iter().any(|secret| secret.is_revealed_by(text));
        if tells {
            return None;
        }
        Some(text.chars().take(MAX_TEXT_CHARS).collect::<String>())
    };
    let paid = answer.get("paid").or_else(|| answer.get("ok")) == Some(&Value::Bool(true));
    if (200..300).contains(&status) && paid {
        let Some(amount) = taken(answer, asked) else {
            return ChargeResponse::Unreachable {
                cause: "the payment provider's amountUsd is no amount".to_owned(),
            };
        };
        return ChargeResponse::Paid { provider: text("provider"), reference: text("paymentRef"), amount };
    }
    ChargeResponse::Declined { status, message: text("message").or_else(|| text("error")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CONTRACT 5.3 and RULINGS A20: only a 2xx answer whose `paid` (or else `ok`) is `true` is a payment.
    #[test]
    fn only_true_is_paid() {
        let cases = [
            (200, json!({ "paid": true }), true),
            (201, json!({ "ok": true }), true),
            (200, json!({ "paid": "false" }), false),
            (200, json!({ "paid": "true" }), false),
            (200, json!({ "paid": false, "ok": true }), false),
            (200, json!({ "paid": 1 }), false),
            (200, json!(null), false),
            (302, json!({ "paid": true }), false),
            (500, json!({ "paid": true }), false),
        ];
        for (status, answer, want) in cases {
            let verdict = verdict(status, &answer, Usd::from_cents(300), &[]);
            assert_eq!(matches!(verdict, ChargeResponse::Paid { .. }), want, "{status} {answer}");
        }
    }

    /// RULINGS A7: what the provider says that it took counts; if it says nothing, it took what it was asked for.
    #[test]
    fn the_amount_that_was_taken_counts() {
        let cases = [
            (json!({}), Some(300)),
            (json!({ "amountUsd": null }), Some(300)),
            (json!({ "amountUsd": 2.5 }), Some(250)),
            (json!({ "amountUsd": 0 }), Some(0)),
            (json!({ "amountUsd": " 7 " }), Some(700)),
            (json!({ "amountUsd": "" }), None),
            (json!({ "amountUsd": "NaN" }), None),
            (json!({ "amountUsd": -3 }), None),
            (json!({ "amountUsd": true }), None),
            (json!({ "amountUsd": [3] }), None),
        ];
        for (mut answer, want) in cases {
            answer["paid"] = json!(true);
            let got = match verdict(200, &answer, Usd::from_cents(300), &[]) {
                ChargeResponse::Paid { amount, .. } => Some(amount),
                _ => None,
            };
            assert_eq!(got, want.map(Usd::from_cents), "{answer}");
        }
    }

    /// RULINGS A8 and A20: what a provider says is passed on, but not the proof, nor what it was signed with.
    #[test]
    fn a_provider_cannot_tell_a_secret() {
        let secrets = [Secret::new("coffee_paid"), Secret::new("signing-key")];
        let secrets: Vec<&Secret> = secrets.iter().collect();
        let paid = json!({ "paid": true, "provider": "signing-key", "paymentRef": "ref coffee_paid" });
        let asked = Usd::from_cents(300);
        let nothing = ChargeResponse::Paid { provider: None, reference: None, amount: asked };
        assert_eq!(verdict(200, &paid, asked, &secrets), nothing);
        for (message, want) in [("no coffee_paid", None), ("no coffee", Some("no coffee".to_owned()))] {
            let declined = ChargeResponse::Declined { status: 402, message: want };
            assert_eq!(verdict(402, &json!({ "message": message }), asked, &secrets), declined);
        }
    }
}
