//! The settings as text: the help of subcommands, `agentcafe config`, and the tables in `docs/operations.md`.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use reqwest::Url;

use super::catalogue::SETTINGS;
use super::setting::{AnySetting, Secrecy};
use super::sources::{ConfiguredValue, Sources};
use super::{DrillConfig, ProjectorConfig, RealtimeConfig, ServeConfig, SettingError, gate};

/// Options of `agentcafe config`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ConfigOptions {
    /// List invalid values and unknown variables, and fail if there are any.
    #[arg(long)]
    check: bool,
    /// Print the tables of all settings in docs/operations.md.
    #[arg(long, conflicts_with = "check")]
    markdown: bool,
}

/// Shown instead of a secret.
const MASK: &str = "********";
const HELP: &str = "\
Settings, from the environment, else from agentcafe.toml (--config, or in the data directory).
Times are in milliseconds. A blank value counts as not set; a number out of bounds is set to the bound.
`agentcafe config` shows all settings and their values.
";

/// The part of a subcommand's help that lists its settings.
pub(crate) fn help(subcommand: &str) -> String {
    let settings = SETTINGS.iter().filter(|setting| setting.description().subcommands.contains(&subcommand));
    let entries = settings.map(|setting| {
        let (description, allowed) = (setting.description(), setting.allowed());
        let (names, default) = (description.names.join(", else "), description.default_text());
        format!("\n  {names}\n     {}\n      [{allowed}] [default: {default}]\n", description.meaning)
    });
    std::iter::once(HELP.to_owned()).chain(entries).collect()
}

/// The tables of all settings, as Markdown.
fn markdown() -> String {
    let mut page = String::new();
    for section in SETTINGS.chunk_by(|a, b| a.description().section == b.description().section) {
        let readers = section.iter().flat_map(|setting| setting.description().subcommands);
        let readers: BTreeSet<_> = readers.map(|name| format!("`{name}`")).collect();
        let readers = readers.into_iter().collect::<Vec<_>>().join(", ");
        page.push_str(&format!("\n### {}\n\nRead by {readers}.\n\n", section[0].description().section));
        page.push_str("| Setting | What it is | Value | Default |\n|---|---|---|---|\n");
        for setting in section {
            let (description, allowed) = (setting.description(), setting.allowed());
            let names: Vec<_> = description.names.iter().map(|name| format!("`{name}`")).collect();
            let (names, default) = (names.join(", else "), description.default_text());
            page.push_str(&format!("| {names} |{} | {allowed} | {default} |\n", description.meaning));
        }
    }
    page
}

/// `agentcafe config`: prints the settings, or what is wrong with them.
///
/// # Errors
/// An invalid configuration file; with `--check`, any invalid setting.
pub(crate) fn run(options: &ConfigOptions, config_file: Option<PathBuf>) -> anyhow::Result<()> {
    if options.markdown {
        return print(&markdown());
    }
    let sources = Sources::load("config", config_file)?;
    if !options.check {
        return print(&SETTINGS.iter().map(|setting| line(*setting, &sources)).collect::<String>());
    }
    let problems = problems(&sources);
    problems.iter().chain(&sources.service_links).for_each(|problem| eprintln!("agentcafe: {problem}"));
    match problems.len() {
        0 => print("All settings are valid.\n"),
        1 => bail!("1 problem with the settings"),
        count => bail!("{count} problems with the settings"),
    }
}

/// The name of a setting, its value, and where it comes from.
fn line(setting: &dyn AnySetting, sources: &Sources) -> String {
    let description = setting.description();
    let (value, origin) = match sources.find(description.names) {
        None => (description.default_text(), "default".to_owned()),
        Some(ConfiguredValue { name, text, origin }) => {
            let effective = setting.effective(text);
            let alias = if name == description.names[0] { String::new() } else { format!(", as {name}") };
            let fault = if effective.is_err() { "; invalid, see --check" } else { "" };
            let shown = match (effective, description.secrecy) {
                (effective, Secrecy::Plain) => effective.unwrap_or_else(|_| text.to_owned()),
                (Ok(effective), Secrecy::Address) => without_secrets(&effective),
                _ => MASK.to_owned(),
            };
            (shown, format!("{origin}{alias}{fault}"))
        }
    };
    format!("{:<41} {value:<35} {origin}\n", description.names[0])
}

/// Of a URL its scheme, host and port. Other texts, such as `none`, stay.
fn without_secrets(address: &str) -> String {
    let Ok(url) = Url::parse(address) else { return address.to_owned() };
    let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
    format!("{}://{}{port}/…", url.scheme(), url.host_str().unwrap_or_default())
}

/// All errors: values that are invalid, alone or in combination, and unknown variables.
fn problems(sources: &Sources) -> Vec<String> {
    let alone = SETTINGS.iter().filter_map(|setting| {
        let problem = setting.effective(sources.find(setting.description().names)?.text).err()?;
        Some(sources.error(*setting, &problem).to_string())
    });
    let mut problems: BTreeSet<_> = alone.collect();
    if problems.is_empty() {
        let readers: [fn(&Sources) -> Result<(), SettingError>; 5] = [
            |sources| ServeConfig::read(sources).map(drop),
            |sources| RealtimeConfig::read(sources).map(drop),
            |sources| ProjectorConfig::read(sources).map(drop),
            |sources| gate(sources, None, None).map(drop),
            |sources| DrillConfig::read(sources).map(drop),
        ];
        problems.extend(readers.iter().filter_map(|read| read(sources).err()).map(|error| error.to_string()));
    }
    problems.into_iter().chain(sources.unknown.iter().cloned()).collect()
}

fn print(text: &str) -> anyhow::Result<()> {
    std::io::stdout().write_all(text.as_bytes()).context("standard output cannot be written")
}
