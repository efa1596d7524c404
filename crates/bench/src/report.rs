//! The report: the machine, and figures with their goals, as a table and as JSON.

use std::fmt::Write as _;
use std::process::Command;

use procfs::{CpuInfo, Current, Meminfo};
use rustix::system::uname;
use serde::Serialize;

use crate::arguments::BenchSettings;

/// Placeholder for what the system does not reveal.
const UNKNOWN: &str = "unknown";

/// Date and machine of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    /// Start of the run, UTC, RFC 3339.
    pub(crate) date: String,
    /// Name of the processor.
    pub(crate) cpu: String,
    /// Processors available to this program.
    pub(crate) cores: usize,
    /// Main memory, in mebibytes.
    pub(crate) memory_mib: u64,
    /// Kernel release.
    pub(crate) kernel: String,
}

impl Machine {
    /// Describes this machine.
    pub(crate) fn describe() -> Self {
        let unknown = || UNKNOWN.to_owned();
        let cpu = CpuInfo::current().ok().and_then(|cpus| cpus.model_name(0).map(str::to_owned));
        Self {
            date: date().unwrap_or_else(unknown),
            cpu: cpu.unwrap_or_else(unknown),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_mib: Meminfo::current().map_or(0, |memory| memory.mem_total >> 20),
            kernel: uname().release().to_string_lossy().into_owned(),
        }
    }
}

/// The current date. This crate needs no clock for anything else.
fn date() -> Option<String> {
    let output = Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ"]).output().ok()?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

/// The value that a figure should have.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(tag = "relation", content = "bound", rename_all = "snake_case")]
pub(crate) enum Goal {
    /// At least this.
    AtLeast(f64),
    /// At most this.
    AtMost(f64),
    /// Less than this.
    Below(f64),
}

impl Goal {
    fn is_met_by(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
            Self::Below(bound) => value < bound,
        }
    }

    fn readable(self) -> String {
        match self {
            Self::AtLeast(bound) => format!("≥ {}", readable_number(bound)),
            Self::AtMost(bound) => format!("≤ {}", readable_number(bound)),
            Self::Below(bound) => format!("< {}", readable_number(bound)),
        }
    }
}

/// One measured value.
#[derive(Debug, Serialize)]
pub(crate) struct Figure {
    scenario: String,
    name: String,
    value: f64,
    unit: &'static str,
    target: Option<Goal>,
    pass: Option<bool>,
}

/// A failed measurement.
#[derive(Debug, Serialize)]
pub(crate) struct ScenarioError {
    scenario: String,
    message: String,
}

/// The results of a run.
#[derive(Debug, Serialize)]
pub(crate) struct BenchReport {
    machine: Machine,
    settings: BenchSettings,
    figures: Vec<Figure>,
    failures: Vec<ScenarioError>,
}

impl BenchReport {
    /// An empty report.
    pub(crate) fn new(machine: Machine, settings: BenchSettings) -> Self {
        Self { machine, settings, figures: Vec::new(), failures: Vec::new() }
    }

    /// The section of a scenario.
    pub(crate) fn section(&mut self, scenario: &str) -> Section<'_> {
        Section { report: self, scenario: scenario.to_owned() }
    }

    /// Whether a measurement failed.
    pub(crate) fn has_failures(&self) -> bool {
        !self.failures.is_empty()
    }

    /// The table.
    pub(crate) fn readable(&self) -> String {
        let machine = &self.machine;
        let mut text = format!(
            "{} · {} · {} cores · {} MiB · Linux {}\n\n",
            machine.date, machine.cpu, machine.cores, machine.memory_mib, machine.kernel
        );
        let header = ["scenario", "figure", "value", "unit", "target", ""].map(str::to_owned);
        let rows: Vec<_> = std::iter::once(header).chain(self.figures.iter().map(cells)).collect();
        let widths: [usize; 6] = std::array::from_fn(|column| {
            rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)
        });
        for [scenario, name, value, unit, target, verdict] in &rows {
            let line = format!(
                "{scenario:<0$}  {name:<1$}  {value:>2$}  {unit:<3$}  {target:<4$}  {verdict}",
                widths[0], widths[1], widths[2], widths[3], widths[4]
            );
            text.push_str(line.trim_end());
            text.push('\n');
        }
        for ScenarioError { scenario, message } in &self.failures {
            writeln!(text, "\nFAILED in {scenario}: {message}").expect("writing to a string cannot fail");
        }
        text
    }
}

/// A scenario's part of the report.
#[derive(Debug)]
pub(crate) struct Section<'report> {
    report: &'report mut BenchReport,
    scenario: String,
}

impl Section<'_> {
    /// Reports progress on stderr.
    pub(crate) fn progress(&self, what: &str) {
        eprintln!("{}: {what}", self.scenario);
    }

    /// Adds a figure.
    pub(crate) fn figure(&mut self, name: &str, value: f64, unit: &'static str) {
        self.figure_with_goal(name, value, unit, None);
    }

    /// Adds a figure and its goal, if it has one.
    pub(crate) fn figure_with_goal(
        &mut self,
        name: &str,
        value: f64,
        unit: &'static str,
        target: impl Into<Option<Goal>>,
    ) {
        let target = target.into();
        let pass = target.map(|target| target.is_met_by(value));
        let (scenario, name) = (self.scenario.clone(), name.to_owned());
        self.report.figures.push(Figure { scenario, name, value, unit, target, pass });
    }

    /// Adds a failed measurement.
    pub(crate) fn failure(&mut self, message: String) {
        eprintln!("{}: {message}", self.scenario);
        self.report.failures.push(ScenarioError { scenario: self.scenario.clone(), message });
    }
}

fn cells(figure: &Figure) -> [String; 6] {
    let verdict = match figure.pass {
        Some(true) => "pass",
        Some(false) => "FAIL",
        None => "",
    };
    [
        figure.scenario.clone(),
        figure.name.clone(),
        readable_number(figure.value),
        figure.unit.to_owned(),
        figure.target.map_or_else(String::new, Goal::readable),
        verdict.to_owned(),
    ]
}

/// About three significant digits, thousands apart: `12,345`, `98.7`, `1.03`, `0`.
fn readable_number(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 1000.0 || size.fract() == 0.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    let number = format!("{value:.decimals$}");
    let whole_digits = number.find('.').unwrap_or(number.len());
    let mut readable = String::new();
    for (at, character) in number.char_indices() {
        let digits_to_come = whole_digits.saturating_sub(at);
        if at > 0 && digits_to_come > 0 && digits_to_come.is_multiple_of(3) && !readable.ends_with('-') {
            readable.push(',');
        }
        readable.push(character);
    }
    readable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readable_number_has_three_digits_and_separators() {
        let cases = [
            (0.0, "0"),
            (1.031, "1.03"),
            (98.74, "98.7"),
            (100.0, "100"),
            (1000.4, "1,000"),
            (-123_456.7, "-123,457"),
            (1_234_567.0, "1,234,567"),
        ];
        for (value, readable) in cases {
            assert_eq!(readable_number(value), readable);
        }
    }

    #[test]
    fn bench_report_missed_goal_is_no_failure() {
        let mut report = BenchReport::new(Machine::describe(), BenchSettings::new(true));
        report.section("says").figure_with_goal("accepted", 9_999.0, "/s", Goal::AtLeast(10_000.0));
        assert!(report.readable().contains("FAIL"));
        assert!(!report.has_failures());
        report.section("says").failure("refused".to_owned());
        assert!(report.has_failures());
    }

    #[test]
    fn goal_is_serialised_with_its_relation() {
        let target = serde_json::to_value(Goal::AtMost(3.0)).unwrap();
        assert_eq!(target, serde_json::json!({"relation": "at_most", "bound": 3.0}));
    }
}
