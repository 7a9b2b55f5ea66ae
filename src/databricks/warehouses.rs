//! SQL warehouses, `/api/2.0/sql/warehouses` (Databricks REST reference, "SQL Warehouses").

use super::{
    Call, Error, Kind, Result, WarehouseId, WarehouseRef, Workspace,
    page::Page,
    wait::{Look, Waiting},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::{collections::BTreeMap, fmt};

const PATH: &str = "/api/2.0/sql/warehouses";

/// The sizes, smallest first.
pub const SIZES: [&str; 10] = [
    "2X-Small", "X-Small", "Small", "Medium", "Large", "X-Large", "2X-Large", "3X-Large",
    "4X-Large", "5X-Large",
];
const LONGEST_NAME: usize = 99;
const MOST_CLUSTERS: u32 = 40;
const LEAST_AUTO_STOP_MINUTES: u32 = 10;

/// The life of a warehouse.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum WarehouseState {
    Starting,
    Running,
    Stopping,
    Stopped,
    Deleting,
    Deleted,
    /// One that is newer than this program.
    #[serde(untagged)]
    Other(String),
}

impl fmt::Display for WarehouseState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "STARTING",
            Self::Running => "RUNNING",
            Self::Stopping => "STOPPING",
            Self::Stopped => "STOPPED",
            Self::Deleting => "DELETING",
            Self::Deleted => "DELETED",
            Self::Other(state) => state,
        })
    }
}

/// A warehouse as the service shows it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Warehouse {
    pub id: WarehouseId,
    pub name: String,
    pub state: WarehouseState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub odbc_params: Option<OdbcParams>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub num_clusters: Option<u32>,
    /// Everything else, `cluster_size`, `auto_stop_mins`, `tags` and what is newer than this program among it.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// How a warehouse fares.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Health {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_reason: Option<FailureReason>,
}

/// Why a warehouse's compute ended.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct FailureReason {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = self.failure_reason.as_ref();
        let mut told: Vec<&str> = Vec::new();
        let parts = [
            self.status.as_deref(),
            self.summary.as_deref(),
            self.message.as_deref(),
            self.details.as_deref(),
            reason.and_then(|reason| reason.code.as_deref()),
        ];
        for part in parts.into_iter().flatten().map(str::trim) {
            if !part.is_empty() && !told.contains(&part) {
                told.push(part);
            }
        }
        f.write_str(&told.join(": "))?;
        for (key, value) in reason.iter().flat_map(|reason| &reason.parameters) {
            write!(f, ", {key}={value}")?;
        }
        Ok(())
    }
}

/// Where ODBC and JDBC clients connect.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct OdbcParams {
    pub hostname: String,
    pub path: String,
    pub port: u16,
    pub protocol: String,
}

impl Warehouse {
    /// `None` if the service does not tell.
    pub fn size(&self) -> Option<&str> {
        self.rest.get("cluster_size")?.as_str()
    }

    /// Idle minutes before it stops itself; 0 never.
    pub fn auto_stop_minutes(&self) -> Option<u64> {
        self.rest.get("auto_stop_mins")?.as_u64()
    }

    /// What can be set of it, for [`Warehouses::edit`].
    pub fn spec(&self) -> WarehouseSpec {
        let mut all = self.rest.clone();
        all.insert("name".into(), Value::String(self.name.clone()));
        let shown: Vec<&str> = READ_ONLY.to_vec();
        all.retain(|key, value| !shown.contains(&key.as_str()) && !value.is_null());
        serde_json::from_value(Value::Object(all))
            .unwrap_or_else(|_| WarehouseSpec::new(&self.name))
    }

    fn told(&self) -> String {
        self.health
            .as_ref()
            .map(Health::to_string)
            .unwrap_or_default()
    }
}

/// Of what the service shows, what cannot be set.
const READ_ONLY: [&str; 6] = [
    "creator_name",
    "creator_id",
    "jdbc_url",
    "num_active_sessions",
    "size",
    "customer_version_label",
];

/// What a warehouse is to be.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct WarehouseSpec {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_size: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_num_clusters: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_num_clusters: Option<u32>,
    /// 0: it never stops by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_stop_mins: Option<u32>,
    /// `CLASSIC` or `PRO`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warehouse_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable_serverless_compute: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Tags>,
    /// Everything else, sent as it is.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// Tags of the machines behind a warehouse.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct Tags {
    pub custom_tags: Vec<Tag>,
}

/// One tag.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct Tag {
    pub key: String,
    pub value: String,
}

impl WarehouseSpec {
    /// Everything but the name as the service has it by default.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            cluster_size: None,
            min_num_clusters: None,
            max_num_clusters: None,
            auto_stop_mins: None,
            warehouse_type: None,
            enable_serverless_compute: None,
            tags: None,
            rest: Map::new(),
        }
    }

    /// Refuses what the service would refuse, with all that is wrong.
    pub fn check(&self) -> Result<()> {
        let mut wrong = Vec::new();
        let characters = self.name.chars().count();
        if self.name.trim().is_empty() || characters > LONGEST_NAME {
            wrong.push(format!(
                "a name has 1 to {LONGEST_NAME} characters, name=`{}`",
                self.name
            ));
        }
        if let Some(size) = self
            .cluster_size
            .as_deref()
            .filter(|size| !SIZES.contains(size))
        {
            wrong.push(format!(
                "a size is one of {}, cluster_size=`{size}`",
                SIZES.join(", ")
            ));
        }
        let least = self.min_num_clusters.unwrap_or(1);
        let most = self.max_num_clusters.unwrap_or(least.max(1));
        if least < 1 || most < least || most > MOST_CLUSTERS {
            wrong.push(format!(
                "clusters are 1 to {MOST_CLUSTERS}, and the least no more than the most, min_num_clusters=`{least}` max_num_clusters=`{most}`"
            ));
        }
        if let Some(minutes) = self
            .auto_stop_mins
            .filter(|minutes| (1..LEAST_AUTO_STOP_MINUTES).contains(minutes))
        {
            wrong.push(format!(
                "a warehouse stops after {LEAST_AUTO_STOP_MINUTES} idle minutes or more, or never (0), auto_stop_mins=`{minutes}`"
            ));
        }
        let kind = self.warehouse_type.as_deref();
        if let Some(kind) = kind.filter(|kind| !["CLASSIC", "PRO"].contains(kind)) {
            wrong.push(format!("a type is CLASSIC or PRO, warehouse_type=`{kind}`"));
        }
        if self.enable_serverless_compute == Some(true) && kind == Some("CLASSIC") {
            wrong.push("serverless warehouses are PRO, warehouse_type=`CLASSIC`".to_owned());
        }
        match wrong.is_empty() {
            true => Ok(()),
            false => Err(Error::told(
                Kind::InvalidParameter,
                format!("not a warehouse: {}", wrong.join("; ")),
            )),
        }
    }
}

#[derive(Deserialize)]
struct Listed {
    #[serde(default)]
    warehouses: Vec<Warehouse>,
    next_page_token: Option<String>,
}

impl Page for Listed {
    type Item = Warehouse;

    fn into_parts(self) -> (Vec<Warehouse>, Option<String>) {
        (self.warehouses, self.next_page_token)
    }
}

/// The warehouses of a workspace.
#[derive(Clone, Debug)]
pub struct Warehouses {
    workspace: Workspace,
}

impl Warehouses {
    pub fn new(workspace: &Workspace) -> Self {
        Self {
            workspace: workspace.clone(),
        }
    }

    /// All that whoever asks may see.
    pub async fn list(&self) -> Result<Vec<Warehouse>> {
        let call = Call::get(PATH).query("page_size", "100");
        self.workspace.whole::<_, Listed>(call).await
    }

    pub async fn get(&self, id: &WarehouseId) -> Result<Warehouse> {
        self.workspace.send(Call::get(at(id, ""))).await
    }

    /// The warehouse with this id or this name.
    ///
    /// Errors: `NotFound`, with the names there are; `InvalidParameter` if several bear the name.
    pub async fn find(&self, text: &str) -> Result<Warehouse> {
        let listed = self.list().await?;
        if let Some(found) = listed
            .iter()
            .find(|warehouse| warehouse.id.as_str() == text)
        {
            return Ok(found.clone());
        }
        let mut named: Vec<&Warehouse> = listed.iter().filter(|w| w.name == text).collect();
        if named.is_empty() {
            // The service keeps names apart by case no better than people do.
            named.extend(
                listed
                    .iter()
                    .filter(|w| w.name.to_lowercase() == text.to_lowercase()),
            );
        }
        match named.as_slice() {
            [one] => Ok((*one).clone()),
            [] => {
                // One that may be used but not listed.
                if is_id(text)
                    && let Ok(id) = text.parse()
                {
                    return self.get(&id).await;
                }
                let names: Vec<&str> = listed.iter().take(20).map(|w| w.name.as_str()).collect();
                Err(Error::told(
                    Kind::NotFound,
                    format!(
                        "no SQL warehouse has this id or name, or CAN USE on it is missing; name one of those there are, warehouse=`{text}` there_are=`{}`",
                        names.join(", ")
                    ),
                ))
            }
            several => {
                let ids: Vec<&str> = several.iter().map(|w| w.id.as_str()).collect();
                Err(Error::told(
                    Kind::InvalidParameter,
                    format!(
                        "several SQL warehouses bear this name, give the id of one, warehouse=`{text}` ids=`{}`",
                        ids.join(", ")
                    ),
                ))
            }
        }
    }

    /// The warehouse that a configuration names.
    ///
    /// Errors as of [`Warehouses::find`].
    pub async fn of(&self, which: &WarehouseRef) -> Result<Warehouse> {
        match which {
            WarehouseRef::Id(id) => self.get(id).await,
            WarehouseRef::Name(name) => self.find(name).await,
        }
    }

    /// Makes a warehouse, which starts at once. Not repeated after an unknown outcome.
    pub async fn create(&self, spec: &WarehouseSpec) -> Result<WarehouseId> {
        #[derive(Deserialize)]
        struct Created {
            id: WarehouseId,
        }
        spec.check()?;
        let call = Call::post(PATH).body(spec)?.once();
        let created: Created = self.workspace.send(call).await?;
        Ok(created.id)
    }

    /// Sets all of a warehouse: what `spec` leaves out falls back to the service's default, so begin with [`Warehouse::spec`].
    pub async fn edit(&self, id: &WarehouseId, spec: &WarehouseSpec) -> Result<()> {
        spec.check()?;
        self.done(Call::post(at(id, "/edit")).body(spec)?).await
    }

    /// Starts it; one that runs or starts is left alone by the service.
    pub async fn start(&self, id: &WarehouseId) -> Result<()> {
        self.done(Call::post(at(id, "/start"))).await
    }

    /// Stops it; statements that run on it are cancelled.
    pub async fn stop(&self, id: &WarehouseId) -> Result<()> {
        self.done(Call::post(at(id, "/stop"))).await
    }

    pub async fn delete(&self, id: &WarehouseId) -> Result<()> {
        self.done(Call::delete(at(id, ""))).await
    }

    /// Waits until it runs. Starts nothing.
    ///
    /// Errors: `Unavailable` with its health if it stopped or is being deleted; those of [`Waiting`].
    pub async fn wait_running(&self, id: &WarehouseId, waiting: &Waiting) -> Result<Warehouse> {
        self.wait(id, waiting, |state| match state {
            WarehouseState::Running => Some(true),
            WarehouseState::Stopped | WarehouseState::Deleted | WarehouseState::Deleting => {
                Some(false)
            }
            _ => None,
        })
        .await
    }

    /// Waits until it has stopped.
    pub async fn wait_stopped(&self, id: &WarehouseId, waiting: &Waiting) -> Result<Warehouse> {
        self.wait(id, waiting, |state| match state {
            WarehouseState::Stopped => Some(true),
            WarehouseState::Deleted
            | WarehouseState::Deleting
            | WarehouseState::Running
            | WarehouseState::Starting => Some(false),
            _ => None,
        })
        .await
    }

    /// Starts it if it does not run, and waits until it does.
    pub async fn ensure_running(&self, id: &WarehouseId, waiting: &Waiting) -> Result<Warehouse> {
        let mut found = self.get(id).await?;
        if found.state == WarehouseState::Stopping {
            // One that stops takes no start.
            found = self
                .wait(id, waiting, |state| {
                    (*state != WarehouseState::Stopping).then_some(true)
                })
                .await?;
        }
        match found.state {
            WarehouseState::Running => return Ok(found),
            WarehouseState::Stopped => self.start(id).await?,
            _ => {}
        }
        self.wait_running(id, waiting).await
    }

    /// `ends`: `Some(true)` is what is waited for, `Some(false)` that it will not come.
    async fn wait(
        &self,
        id: &WarehouseId,
        waiting: &Waiting,
        ends: impl Fn(&WarehouseState) -> Option<bool>,
    ) -> Result<Warehouse> {
        waiting
            .until("warehouse", id, async || {
                let found = self.get(id).await?;
                let told = found.told();
                match ends(&found.state) {
                    Some(true) => Ok(Look::Done(found)),
                    Some(false) => Err(Error::told(Kind::Unavailable, format!(
                        "the SQL warehouse is {}, start it again, or look at its health in the workspace, warehouse=`{}` name=`{}` health=`{told}`",
                        found.state, found.id, found.name
                    ))),
                    None => Ok(Look::Again {
                        state: found.state.to_string(),
                        message: told,
                    }),
                }
            })
            .await
    }

    async fn done(&self, call: Call) -> Result<()> {
        self.workspace.send::<Value>(call).await.map(drop)
    }
}

fn at(id: &WarehouseId, rest: &str) -> String {
    format!("{PATH}/{}{rest}", super::segment(id))
}

/// Ids are sixteen digits of base sixteen.
fn is_id(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests;
