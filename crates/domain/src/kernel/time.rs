//! Times in UTC with millisecond precision, as the wire shows them.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use jiff::fmt::temporal::DateTimePrinter;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));

/// The last time that can be represented, 9999-12-30T22:00:00.000Z: the largest of the calendar library.
const LATEST_MS: i64 = 253_402_207_200_000;
/// The first: 0000-01-01T00:00:00.000Z.
const EARLIEST_MS: i64 = -62_167_219_200_000;

/// Milliseconds since 1970-01-01T00:00:00Z; written as RFC 3339 with exactly three decimals and `Z`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(i64);

/// The source of the current time; tests have their own.
pub trait Clock: Send + Sync {
    /// The current time.
    fn now(&self) -> Timestamp;

    /// A stopwatch that never goes back: only differences of its readings mean something.
    fn stopwatch(&self) -> Duration;

    /// What the machine's clock shows: for values that others compare with their own clocks.
    fn wall(&self) -> Timestamp {
        self.now()
    }

    /// The boot of the machine since which the stopwatch counts; none if it counts from elsewhere.
    fn boot_id(&self) -> Option<&str> {
        None
    }
}

impl Timestamp {
    /// The time `ms` milliseconds after the epoch, clamped to the years 0000 to 9999.
    pub const fn from_millis(ms: i64) -> Self {
        if ms > LATEST_MS {
            Self(LATEST_MS)
        } else if ms < EARLIEST_MS {
            Self(EARLIEST_MS)
        } else {
            Self(ms)
        }
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// This time, `ms` milliseconds later.
    #[must_use]
    pub const fn plus_ms(self, ms: i64) -> Self {
        Self::from_millis(self.0.saturating_add(ms))
    }

    /// Reads an RFC 3339 date-time with a zone; finer than a millisecond is cut off. `None` if it is not one.
    pub fn parse(raw: &str) -> Option<Self> {
        let at: jiff::Timestamp = raw.trim().parse().ok()?;
        let ms = at.as_millisecond();
        (EARLIEST_MS..=LATEST_MS).contains(&ms).then_some(Self(ms))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = jiff::Timestamp::from_millisecond(self.0).map_err(|_| fmt::Error)?;
        let mut text = String::with_capacity(24);
        PRINTER.print_timestamp(&at, &mut text).map_err(|_| fmt::Error)?;
        f.write_str(&text)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Cow::<str>::deserialize(deserializer)?;
        Self::parse(&raw).ok_or_else(|| D::Error::custom("not an RFC 3339 date-time"))
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A timestamp is written with exactly three decimals and `Z`; only RFC 3339 is read.
    #[test]
    fn a_timestamp_is_written_and_read_as_the_wire_shows_it() {
        let cases = [
            ("2026-11-22T08:00:00.000Z", Some("2026-11-22T08:00:00.000Z")),
            ("2026-11-22T08:00:00Z", Some("2026-11-22T08:00:00.000Z")),
            ("2026-11-22T09:00:00.1239+01:00", Some("2026-11-22T08:00:00.123Z")),
            ("9999-12-30T22:00:00.000Z", Some("9999-12-30T22:00:00.000Z")),
            ("9999-12-31T23:59:59.999Z", None),
            ("yesterday", None),
            ("2026-11-22", None),
            ("1790000000000", None),
            ("", None),
        ];
        for (raw, want) in cases {
            let got = Timestamp::parse(raw).map(|at| at.to_string());
            assert_eq!(got.as_deref(), want, "{raw:?}");
        }
    }

    #[test]
    fn arithmetic_stays_within_what_can_be_written() {
        assert_eq!(Timestamp::from_millis(i64::MAX).to_string(), "9999-12-30T22:00:00.000Z");
        assert_eq!(Timestamp::from_millis(0).plus_ms(i64::MIN).to_string(), "0000-01-01T00:00:00.000Z");
    }
}
