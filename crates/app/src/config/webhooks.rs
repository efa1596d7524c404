//! Settings of webhooks: where they may go, and how many at once.

use agentcafe_domain::webhooks::target::WebhookRules;

use super::{AUTH_TOKEN, BadSetting, Environment, count};

pub(super) fn rules(environment: &Environment) -> Result<WebhookRules, BadSetting> {
    let is_local = environment.first(&AUTH_TOKEN).is_none();
    let allowed = environment.flag("WEBHOOK_ALLOW_PRIVATE_TARGETS")?;
    Ok(WebhookRules { allow_private_targets: allowed.unwrap_or(is_local) })
}

pub(super) fn max_concurrency(environment: &Environment) -> Result<usize, BadSetting> {
    Ok(count(environment.number(&["WEBHOOK_MAX_CONCURRENCY"], 4, 1, false)?))
}
