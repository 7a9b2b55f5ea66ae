//! The settings of a cluster, whole: `edit` forgets whatever is not sent.

use super::ClusterId;
use serde_json::{Map, Value};

/// The settings of a cluster, by the service's names.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterSpec(Map<String, Value>);

/// What `get` shows and `edit` does not take ("Clusters", ClusterDetails without ClusterSpec).
const SHOWN_ONLY: [&str; 19] = [
    "cluster_cores",
    "cluster_id",
    "cluster_log_status",
    "cluster_memory_mb",
    "cluster_source",
    "creator_user_name",
    "default_tags",
    "driver",
    "executors",
    "jdbc_port",
    "last_activity_time",
    "last_restarted_time",
    "last_state_loss_time",
    "pinned_by_user_name",
    "spark_context_id",
    "spec",
    "start_time",
    "state",
    "state_message",
];
const SHOWN_AT_THE_END: [&str; 2] = ["terminated_time", "termination_reason"];

impl ClusterSpec {
    /// Of an answer of `clusters/get`: its `spec`, what people set when they made or edited it; from services that show
    /// none, all that it shows and `edit` takes.
    pub(super) fn of(shown: Map<String, Value>) -> Self {
        if let Some(Value::Object(spec)) = shown.get("spec")
            && spec.contains_key("spark_version")
        {
            return Self(spec.clone());
        }
        let mut kept = shown;
        kept.retain(|key, _| {
            !SHOWN_ONLY.contains(&key.as_str()) && !SHOWN_AT_THE_END.contains(&key.as_str())
        });
        // Of a cluster that grows by itself `num_workers` is what it has now.
        if kept.get("autoscale").is_some_and(Value::is_object) {
            kept.remove("num_workers");
        }
        Self(kept)
    }

    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    pub fn set(&mut self, key: &str, value: Value) {
        self.0.insert(key.to_owned(), value);
    }

    pub fn remove(&mut self, key: &str) -> Option<Value> {
        self.0.remove(key)
    }

    /// One entry of `spark_conf`.
    pub fn spark_conf(&self, key: &str) -> Option<&str> {
        self.0.get("spark_conf")?.get(key)?.as_str()
    }

    /// Sets one entry of `spark_conf` and keeps the others.
    pub fn set_spark_conf(&mut self, key: &str, value: &str) {
        let conf = self
            .0
            .entry("spark_conf")
            .or_insert_with(|| Value::Object(Map::new()));
        if !conf.is_object() {
            *conf = Value::Object(Map::new());
        }
        if let Value::Object(conf) = conf {
            conf.insert(key.to_owned(), Value::String(value.to_owned()));
        }
    }

    pub(super) fn request(self, id: &ClusterId) -> Value {
        let mut all = self.0;
        all.insert("cluster_id".into(), Value::String(id.to_string()));
        Value::Object(all)
    }
}
