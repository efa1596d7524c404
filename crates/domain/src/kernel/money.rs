//! Amounts of money, in whole cents.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The largest amount that is taken, in cents: a million dollars.
const MAX_CENTS: f64 = 100_000_000.0;

/// An amount in US dollars, held in cents; a JSON number of dollars on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Usd(i64);

impl Usd {
    /// The amount of so many cents.
    pub const fn from_cents(cents: i64) -> Self {
        Self(cents)
    }

    /// The amount nearest to `dollars`. `None` if it is negative, no number, or more than a million.
    pub fn from_dollars(dollars: f64) -> Option<Self> {
        let cents = (dollars * 100.0).round();
        (dollars >= 0.0 && cents <= MAX_CENTS).then_some(Self(cents as i64))
    }

    /// The amount in dollars.
    pub fn dollars(self) -> f64 {
        self.0 as f64 / 100.0
    }
}

impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} USD", self.dollars())
    }
}

impl Serialize for Usd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 % 100 == 0 {
            serializer.serialize_i64(self.0 / 100)
        } else {
            serializer.serialize_f64(self.dollars())
        }
    }
}

impl<'de> Deserialize<'de> for Usd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let dollars = f64::deserialize(deserializer)?;
        Self::from_dollars(dollars).ok_or_else(|| D::Error::custom("not an amount"))
    }
}

impl JsonSchema for Usd {
    fn schema_name() -> Cow<'static, str> {
        "Usd".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "minimum": 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Amounts are rounded to cents; negative ones are none.
    #[test]
    fn amounts_are_whole_cents() {
        let cases = [
            (3.5, Some(350)),
            (0.0, Some(0)),
            (2.994, Some(299)),
            (2.996, Some(300)),
            (-0.01, None),
            (f64::NAN, None),
            (f64::INFINITY, None),
            (1e9, None),
        ];
        for (dollars, cents) in cases {
            assert_eq!(Usd::from_dollars(dollars), cents.map(Usd), "{dollars}");
        }
        assert_eq!(serde_json::to_string(&Usd(350)).unwrap(), "3.5");
        assert_eq!(serde_json::to_string(&Usd(600)).unwrap(), "6");
    }
}
