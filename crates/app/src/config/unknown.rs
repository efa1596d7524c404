//! Variables that are no settings: misspelled ones, and those that an orchestrator sets.

use std::collections::HashMap;

use strsim::{normalized_damerau_levenshtein, osa_distance};

use super::catalogue::SETTINGS;

/// First words of our settings with which variables of other programs begin too. Only together with the second word do they
/// stand for ours.
const SHARED_WORDS: [&str; 6] = ["DATABASE", "LOG", "PG", "PRIVATE", "REDIS", "TRUSTED"];
/// How similar a name must be to be suggested, from 0 to 1.
const MIN_SIMILARITY: f64 = 0.5;
/// Shorter names are one letter away from too many words.
const MIN_MISSPELLED_CHARS: usize = 8;

/// The names of all settings, aliases included.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().flat_map(|setting| setting.description().names.iter().copied())
}

/// Removes the variables that Kubernetes and Docker set for services whose names begin like our settings. Says which.
pub(super) fn remove_service_links(environment: &mut HashMap<String, String>) -> Option<String> {
    let links = environment.extract_if(|name, value| is_ours(name) && is_service_link(name, value));
    let mut links: Vec<_> = links.map(|(name, _)| name).collect();
    links.sort_unstable();
    let names = links.join(", ");
    (!links.is_empty()).then(|| {
        format!(
            "{names} look like Kubernetes service links and are ignored. Set enableServiceLinks: false in the pod to remove them."
        )
    })
}

/// `API_SERVICE_HOST`, `API_SERVICE_PORT_HTTP`, `API_PORT=tcp://10.0.0.1:80`, `API_PORT_80_TCP_ADDR` and the like.
fn is_service_link(name: &str, value: &str) -> bool {
    let is_address = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    let is_part_of_port = |protocol| name.contains("_PORT_") && name.contains(protocol);
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || ["_TCP_", "_UDP_", "_SCTP_"].into_iter().any(is_part_of_port)
        || (is_address && name.contains("_PORT"))
}

/// A hint for each of these variables that is probably a misspelled setting.
pub(super) fn hints<'a>(variables: impl Iterator<Item = &'a String>) -> Vec<String> {
    let unknown = variables.filter(|variable| !names().any(|name| name == variable.as_str()));
    let meant = unknown.filter(|variable| is_ours(variable) || is_misspelled(variable));
    let mut hints: Vec<_> = meant.map(|variable| hint(variable)).collect();
    hints.sort_unstable();
    hints
}

/// The hint for an unknown name: the nearest setting.
pub(super) fn hint(name: &str) -> String {
    let upper = name.to_ascii_uppercase();
    let similarity = |setting: &str| normalized_damerau_levenshtein(&upper, setting);
    let nearest = names().max_by(|a, b| similarity(a).total_cmp(&similarity(b)));
    match nearest.filter(|nearest| similarity(nearest) >= MIN_SIMILARITY) {
        Some(nearest) => format!("{name} is not a setting of agentcafe. Did you mean {nearest}?"),
        None => format!("{name} is not a setting of agentcafe. `agentcafe config` lists all of them."),
    }
}

/// Whether a variable has the prefix of one of our settings.
fn is_ours(variable: &str) -> bool {
    names().any(|name| variable.strip_prefix(prefix(name)).is_some_and(|rest| rest.starts_with('_')))
}

/// The first word of a setting's name, or the first two if other programs use the first as well.
fn prefix(name: &str) -> &str {
    let mut ends = name.match_indices('_').map(|(at, _)| at).chain([name.len()]);
    let first = ends.next().unwrap_or_default();
    let is_shared = SHARED_WORDS.contains(&&name[..first]);
    let end = if is_shared { ends.next().unwrap_or(first) } else { first };
    &name[..end]
}

/// Whether a variable is one letter away from a setting, or two letters are swapped.
fn is_misspelled(variable: &str) -> bool {
    variable.len() >= MIN_MISSPELLED_CHARS && names().any(|name| osa_distance(variable, name) == 1)
}
