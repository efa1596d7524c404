//! The health and the metrics of all nodes of a server, added up as a dashboard would.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::client::Client;
use crate::wait::eventually;

/// How long the nodes may take to reach a state.
const DEADLINE: Duration = Duration::from_secs(60);

/// The parts of the health document that each node counts for itself.
const COUNTED: [&str; 3] = ["/reactions", "/webhooks", "/inboxProjector"];

impl Client {
    /// Waits until every node answers `GET /readyz` with 200.
    ///
    /// # Panics
    /// If one of them is not ready within 60 s.
    pub async fn until_ready(&self) {
        eventually("every node is ready", DEADLINE, async || {
            self.everywhere("/readyz").await.iter().all(|answer| answer.status == 200).then_some(())
        })
        .await;
    }

    /// Waits until every node is connected to Redis, or none is.
    ///
    /// # Panics
    /// If one of them is in the other state after 60 s.
    pub async fn until_redis(&self, is_connected: bool) {
        eventually(&format!("connected to Redis: {is_connected}"), DEADLINE, async || {
            let answers = self.everywhere("/healthz").await;
            answers.iter().all(|answer| answer.json["redis"]["connected"] == is_connected).then_some(())
        })
        .await;
    }

    /// The health document of one node, with the sums of what all nodes have counted.
    pub async fn health(&self) -> Value {
        let mut documents = self.everywhere("/healthz").await.into_iter().map(|answer| answer.json);
        let mut together = documents.next().expect("there is a node");
        for document in documents {
            for part in COUNTED {
                let (sum, more) = (together.pointer_mut(part), document.pointer(part));
                add(sum.expect("a part of it"), more.expect("a part of it"));
            }
        }
        together
    }

    /// The page of metrics: of several nodes, the sum of each sample.
    pub async fn metrics(&self) -> String {
        let mut pages = self.everywhere("/metrics").await.into_iter().map(|answer| answer.text).peekable();
        let first = pages.next().expect("there is a node");
        if pages.peek().is_none() {
            return first;
        }
        let mut sums: BTreeMap<String, f64> = BTreeMap::new();
        for page in pages.chain([first]) {
            for line in page.lines().filter(|line| !line.starts_with('#')) {
                let (sample, value) = line.rsplit_once(' ').expect("a sample and its value");
                *sums.entry(sample.to_owned()).or_default() += value.parse::<f64>().expect("a number");
            }
        }
        sums.into_iter().map(|(sample, value)| format!("{sample} {value}\n")).collect()
    }
}

/// Adds the numbers of an object to those of another. Of cursors, the smaller one is taken.
fn add(sum: &mut Value, more: &Value) {
    let (Some(sum), Some(more)) = (sum.as_object_mut(), more.as_object()) else { return };
    for (name, value) in sum {
        let (Some(one), Some(other)) = (value.as_u64(), more[name].as_u64()) else { continue };
        *value = if name == "cursor" { one.min(other) } else { one + other }.into();
    }
}
