//! Figures with their targets, as a table to read and as JSON to keep.

use std::fmt::Write as _;

use serde::Serialize;

use crate::arguments::Settings;
use crate::machine::Machine;

/// What a figure should be.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(tag = "relation", content = "bound", rename_all = "snake_case")]
pub(crate) enum Target {
    /// At least this.
    AtLeast(f64),
    /// At most this.
    AtMost(f64),
    /// Less than this.
    Below(f64),
}

impl Target {
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
    scenario: &'static str,
    name: String,
    value: f64,
    unit: &'static str,
    target: Option<Target>,
    pass: Option<bool>,
}

/// Something that went wrong while measuring.
#[derive(Debug, Serialize)]
pub(crate) struct Failure {
    scenario: &'static str,
    message: String,
}

/// All that a run found.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    machine: Machine,
    settings: Settings,
    figures: Vec<Figure>,
    failures: Vec<Failure>,
}

impl Report {
    /// An empty report.
    pub(crate) fn new(machine: Machine, settings: Settings) -> Self {
        Self { machine, settings, figures: Vec::new(), failures: Vec::new() }
    }

    /// Where a scenario writes what it finds.
    pub(crate) fn section(&mut self, scenario: &'static str) -> Section<'_> {
        Section { report: self, scenario }
    }

    /// Whether something went wrong while measuring.
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
        for Failure { scenario, message } in &self.failures {
            writeln!(text, "\nWENT WRONG in {scenario}: {message}")
                .expect("a string takes all that is written");
        }
        text
    }
}

/// One scenario's part of the report.
#[derive(Debug)]
pub(crate) struct Section<'report> {
    report: &'report mut Report,
    scenario: &'static str,
}

impl Section<'_> {
    /// Says on stderr what is going on.
    pub(crate) fn progress(&self, what: &str) {
        eprintln!("{}: {what}", self.scenario);
    }

    /// Adds a figure.
    pub(crate) fn figure(&mut self, name: &str, value: f64, unit: &'static str) {
        self.push(name, value, unit, None);
    }

    /// Adds a figure that has a target.
    pub(crate) fn aimed(&mut self, name: &str, value: f64, unit: &'static str, target: Target) {
        self.push(name, value, unit, Some(target));
    }

    /// Adds what went wrong.
    pub(crate) fn failure(&mut self, message: String) {
        eprintln!("{}: {message}", self.scenario);
        self.report.failures.push(Failure { scenario: self.scenario, message });
    }

    fn push(&mut self, name: &str, value: f64, unit: &'static str, target: Option<Target>) {
        let pass = target.map(|target| target.is_met_by(value));
        let (scenario, name) = (self.scenario, name.to_owned());
        self.report.figures.push(Figure { scenario, name, value, unit, target, pass });
    }
}

fn cells(figure: &Figure) -> [String; 6] {
    let verdict = match figure.pass {
        Some(true) => "pass",
        Some(false) => "FAIL",
        None => "",
    };
    [
        figure.scenario.to_owned(),
        figure.name.clone(),
        readable_number(figure.value),
        figure.unit.to_owned(),
        figure.target.map_or_else(String::new, Target::readable),
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
    fn numbers_are_readable() {
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
    fn a_missed_target_is_no_failure() {
        let mut report = Report::new(Machine::describe(), Settings::new(true));
        report.section("says").aimed("accepted", 9_999.0, "/s", Target::AtLeast(10_000.0));
        assert!(report.readable().contains("FAIL"));
        assert!(!report.has_failures());
        report.section("says").failure("refused".to_owned());
        assert!(report.has_failures());
    }

    #[test]
    fn a_target_is_kept_with_its_relation() {
        let target = serde_json::to_value(Target::AtMost(3.0)).unwrap();
        assert_eq!(target, serde_json::json!({"relation": "at_most", "bound": 3.0}));
    }
}
