//! API keys as a table for people.

use agentcafe_domain::kernel::{Clock, IdPatterns, Timestamp};
use agentcafe_domain::keys::manage::ApiKeyView;
use agentcafe_domain::keys::{Kind, Scope};

use crate::tail::sanitize::sanitize;

const HEADINGS: [&str; 9] =
    ["ID", "NAME", "ALLOWS", "TENANT", "ACTORS", "ROOMS", "EXPIRES", "LAST USED", "STATE"];

/// A line with the headings and one for each key.
pub(super) fn render(keys: &[ApiKeyView], clock: impl Clock) -> String {
    let now = clock.now();
    let rows = keys.iter().map(|key| row(key, now));
    let rows: Vec<_> = std::iter::once(HEADINGS.map(str::to_owned)).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; HEADINGS.len()] = std::array::from_fn(width);
    let line = |row: &[String; HEADINGS.len()]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

fn row(key: &ApiKeyView, now: Timestamp) -> [String; HEADINGS.len()] {
    let ids = |patterns: &IdPatterns| patterns.as_slice().join(",");
    let time = |at: Option<Timestamp>| at.map_or_else(|| "-".to_owned(), |at| at.to_string());
    let cells = [
        key.key_id.clone(),
        key.name.clone().unwrap_or_default(),
        allows(&key.scopes),
        key.tenant_id.clone(),
        ids(&key.actors),
        ids(&key.rooms),
        time(key.expires_at),
        time(key.last_used_at),
        state(key, now).to_owned(),
    ];
    cells.map(|cell| if cell.is_empty() { "-".to_owned() } else { sanitize(&cell).into_owned() })
}

/// The name of the kind with these scopes, else their names.
fn allows(scopes: &[Scope]) -> String {
    let is_same = |kind: Kind| {
        let preset = kind.scopes();
        preset.len() == scopes.len() && preset.iter().all(|scope| scopes.contains(scope))
    };
    match Kind::NAMES.iter().find(|(_, kind)| is_same(*kind)) {
        Some((name, _)) => (*name).to_owned(),
        None => scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>().join(","),
    }
}

fn state(key: &ApiKeyView, now: Timestamp) -> &'static str {
    match (key.disabled_at, key.expires_at) {
        (Some(_), _) => "revoked",
        (None, Some(end)) if end <= now => "expired",
        (None, _) if key.secrets > 1 => "rotating",
        (None, _) => "active",
    }
}
