//! The kinds of machines that clusters can be made of, `/api/2.1/clusters/list-node-types`.

use super::{Call, Result, Workspace};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A kind of machine.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct NodeType {
    pub node_type_id: String,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub category: String,
    #[serde(default)]
    pub num_cores: f64,
    #[serde(default)]
    pub memory_mb: u64,
    #[serde(default)]
    pub num_gpus: u32,
    #[serde(default)]
    pub is_deprecated: bool,
    /// Everything else, sent on as it came.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// All kinds that the workspace offers.
pub async fn list(workspace: &Workspace) -> Result<Vec<NodeType>> {
    #[derive(Deserialize)]
    struct Listed {
        #[serde(default)]
        node_types: Vec<NodeType>,
    }
    let listed: Listed = workspace
        .send(Call::get("/api/2.1/clusters/list-node-types"))
        .await?;
    Ok(listed.node_types)
}
