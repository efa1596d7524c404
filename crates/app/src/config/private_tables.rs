//! Settings of private tables: what they cost, how they are paid for, what their plans are.

use std::time::Duration;

use agentcafe_dispatcher::external_client::PaymentProvider;
use agentcafe_domain::{
    kernel::{money::Usd, secret::Secret},
    permissions::PermissionsMode,
    tables::{PrivateTableRules, payment::PaymentMode, plan::Catalogue},
};

use super::{BadSetting, Environment};

const URL: &str = "PRIVATE_TABLE_PAYMENT_WEBHOOK_URL";
const MODE: &str = "PRIVATE_TABLE_PAYMENT_MODE";
const PRICE: &str = "PRIVATE_TABLE_PRICE_USD";
const CATALOGUE: &str = "TABLE_PLAN_CATALOG_JSON";
const DEFAULT_PLAN: &str = "TABLE_PLAN_DEFAULT_ID";

pub(super) fn rules(environment: &Environment) -> Result<PrivateTableRules, BadSetting> {
    let catalogue = environment.first(&[CATALOGUE]).map(|(_, json)| json);
    let standard = environment.first(&[DEFAULT_PLAN]).map(|(_, id)| id);
    let plans = Catalogue::read(catalogue, standard).map_err(|why| {
        let is_id = why.starts_with("there is no plan");
        let (name, value) = if is_id { (DEFAULT_PLAN, standard) } else { (CATALOGUE, catalogue) };
        BadSetting { name, value: value.unwrap_or_default().to_owned(), why }
    })?;
    let price: Option<f64> = environment.parsed(&[PRICE], "it must be an amount in dollars, 0 or more")?;
    let price = match price {
        None => Usd::from_cents(350),
        Some(dollars) => Usd::from_dollars(dollars).ok_or_else(|| BadSetting {
            name: PRICE,
            value: dollars.to_string(),
            why: "it must be an amount in dollars, 0 to 1000000".to_owned(),
        })?,
    };
    let gates_reads = environment.choice("PRIVATE_TABLE_READ_GATE", &[("off", false), ("members", true)])?;
    Ok(PrivateTableRules {
        payment: payment(environment)?,
        price,
        plans,
        gates_reads: gates_reads.unwrap_or(false),
    })
}

fn payment(environment: &Environment) -> Result<PaymentMode, BadSetting> {
    let proof = environment.text(&["PRIVATE_TABLE_PAYMENT_STUB_PROOF"]);
    let modes = [
        ("off", PaymentMode::Off),
        ("stub", PaymentMode::Stub { proof: Secret::new(proof.unwrap_or_else(|| "coffee_paid".to_owned())) }),
        ("webhook", PaymentMode::Webhook { configured: environment.first(&[URL]).is_some() }),
    ];
    Ok(environment.choice(MODE, &modes)?.unwrap_or_else(|| modes[1].1.clone()))
}

pub(super) fn provider(environment: &Environment) -> Result<PaymentProvider, BadSetting> {
    let (name, why) = (URL, "it must be an absolute http or https URL");
    // The URL may hold a key.
    let bad = || BadSetting { name, value: "…".to_owned(), why: why.to_owned() };
    let url: Option<reqwest::Url> = environment.parsed(&[name], why).map_err(|_| bad())?;
    if url.as_ref().is_some_and(|url| !matches!(url.scheme(), "http" | "https")) {
        return Err(bad());
    }
    Ok(PaymentProvider {
        url,
        timeout: environment.millis("PRIVATE_TABLE_PAYMENT_WEBHOOK_TIMEOUT_MS", 4_000, 250)?,
        secret: environment.text(&["PRIVATE_TABLE_PAYMENT_WEBHOOK_SECRET"]).map(Secret::new),
    })
}

pub(super) fn permissions_mode(environment: &Environment) -> Result<PermissionsMode, BadSetting> {
    let modes = [("open", PermissionsMode::Open), ("strict", PermissionsMode::Strict)];
    Ok(environment.choice("PERMISSIONS_MODE", &modes)?.unwrap_or(PermissionsMode::Open))
}

pub(super) fn sweep(environment: &Environment) -> Result<Duration, BadSetting> {
    environment.millis("TABLE_SESSION_SWEEP_MS", 5_000, 1_000)
}
