//! Table plans: what a private table costs, how many it seats, how long it lasts, what can be done at it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::kernel::{Usd, wire_enum};

/// The most actors that a plan may seat.
const MAX_SEATS: i64 = 32;
/// How long a plan may last, in minutes.
const MINUTES: std::ops::RangeInclusive<i64> = 5..=1_440;
/// The default plan, unless a setting names another.
const DEFAULT_PLAN: &str = "cappuccino";

wire_enum! {
    /// What a plan may include.
    pub enum Feature {
        /// To speak.
        BasicThreadChat = "basic_thread_chat",
        /// To create and change tasks.
        TaskBoard = "task_board",
        /// To create and change shared objects.
        SharedObjects = "shared_objects",
        /// To replay what happened.
        Replay = "replay",
        /// To have webhooks and reactions.
        EventSubscriptions = "event_subscriptions",
    }
}

/// A plan, as the health document shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The plan.
    pub plan_id: String,
    /// How many may sit at the table at once.
    pub max_agents: u64,
    /// How long the table is theirs, in minutes.
    pub duration_minutes: i64,
    /// What they can do there; names beside those of [`Feature`] describe and gate nothing.
    pub features: Vec<String>,
    /// What it costs at least, in USD.
    pub price: Usd,
}

impl Plan {
    /// How long a session lasts, in milliseconds.
    pub const fn duration_ms(&self) -> i64 {
        self.duration_minutes * 60_000
    }
}

/// The plans that can be bought.
#[derive(Clone, Debug, PartialEq)]
pub struct Catalogue {
    plans: Vec<Plan>,
    standard: usize,
}

/// A plan's id as it is compared: trimmed, in lower case, `_` for all but ASCII letters, digits and `_`.
pub fn normal_id(id: &str) -> String {
    let plain = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '_' };
    id.trim().to_lowercase().chars().map(plain).collect()
}

impl Default for Catalogue {
    fn default() -> Self {
        let chat = ["basic_thread_chat"].as_slice();
        let work = ["basic_thread_chat", "task_board", "shared_objects"].as_slice();
        let all =
            &["basic_thread_chat", "task_board", "shared_objects", "replay", "event_subscriptions", "export"];
        let plan = |plan_id: &str, max_agents, duration_minutes, price, features: &[&str]| Plan {
            plan_id: plan_id.to_owned(),
            max_agents,
            duration_minutes,
            features: features.iter().map(|feature| (*feature).to_owned()).collect(),
            price: Usd::from_cents(price),
        };
        let plans = vec![
            plan("espresso", 2, 30, 300, chat),
            plan(DEFAULT_PLAN, 4, 90, 600, work),
            plan("americano", 8, 240, 1_000, all),
            plan("decaf_night_shift", 8, 720, 1_500, all),
        ];
        Self { plans, standard: 1 }
    }
}

impl Catalogue {
    /// Reads a catalogue: an object of plans by id, which replaces the built-in one, and the id of its default plan.
    ///
    /// # Errors
    /// The error, for the operator that wrote the catalogue.
    pub fn read(json: Option<&str>, default_id: Option<&str>) -> Result<Self, String> {
        let mut catalogue = match json {
            None => Self::default(),
            Some(json) => Self { plans: read_plans(json)?, standard: 0 },
        };
        let place = |id: &str| catalogue.plans.iter().position(|plan| plan.plan_id == id);
        catalogue.standard = match default_id {
            Some(id) => place(&normal_id(id)).ok_or_else(|| format!("there is no plan {id:?}"))?,
            None => place(DEFAULT_PLAN).unwrap_or(0),
        };
        Ok(catalogue)
    }

    /// All plans.
    pub fn plans(&self) -> &[Plan] {
        &self.plans
    }

    /// The default plan.
    pub fn standard(&self) -> &Plan {
        &self.plans[self.standard]
    }

    /// The plan with this id, as a client wrote it.
    pub fn find(&self, id: &str) -> Option<&Plan> {
        let id = normal_id(id);
        self.plans.iter().find(|plan| plan.plan_id == id)
    }

    /// The ids of all plans, for refusals.
    pub fn ids(&self) -> Value {
        self.plans.iter().map(|plan| json!(plan.plan_id)).collect()
    }
}

fn read_plans(json: &str) -> Result<Vec<Plan>, String> {
    let entries: Map<String, Value> = serde_json::from_str(json)
        .map_err(|error| format!("it must be a JSON object of plans by id: {error}"))?;
    let mut plans: Vec<Plan> = Vec::new();
    for (id, entry) in &entries {
        let plan = read_plan(&normal_id(id), entry).map_err(|why| format!("plan {id:?}: {why}"))?;
        if plans.iter().any(|known| known.plan_id == plan.plan_id) {
            return Err(format!("two plans are called {:?}", plan.plan_id));
        }
        plans.push(plan);
    }
    if plans.is_empty() {
        return Err("it must have at least one plan".to_owned());
    }
    Ok(plans)
}

fn read_plan(plan_id: &str, entry: &Value) -> Result<Plan, String> {
    if plan_id.is_empty() {
        return Err("its id is blank".to_owned());
    }
    if !entry.is_object() {
        return Err("it must be an object with maxAgents, durationMinutes, features and price".to_owned());
    }
    let number = |name: &str, default: f64| match entry.get(name) {
        None | Some(Value::Null) => Ok(default),
        Some(value) => value.as_f64().ok_or_else(|| format!("{name} must be a number")),
    };
    let features = match entry.get("features") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(features)) => read_features(features)?,
        Some(_) => return Err("features must be an array of names".to_owned()),
    };
    let whole = |number: f64, range: std::ops::RangeInclusive<i64>| {
        (number.round() as i64).clamp(*range.start(), *range.end())
    };
    Ok(Plan {
        plan_id: plan_id.to_owned(),
        max_agents: whole(number("maxAgents", 1.0)?, 1..=MAX_SEATS).unsigned_abs(),
        duration_minutes: whole(number("durationMinutes", 30.0)?, MINUTES),
        features,
        price: Usd::from_dollars(number("price", 0.0)?.max(0.0)).ok_or("price is too large")?,
    })
}

fn read_features(features: &[Value]) -> Result<Vec<String>, String> {
    let mut names: Vec<String> = Vec::new();
    for feature in features {
        let name = feature.as_str().ok_or("features must be an array of names")?.trim().to_lowercase();
        if !name.is_empty() && !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}
