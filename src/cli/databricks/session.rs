//! Which workspace an action is for, and how its answers are told.

use super::show::Show;
use crate::{
    config::{Config, Environment, Flags},
    databricks::{
        self, ClusterId, ConnectionOptions, WarehouseId, WarehouseRef, Workspace,
        warehouses::{Warehouse, Warehouses},
    },
    error::{Error, Kind, Result},
    telemetry::Telemetry,
};
use std::{collections::BTreeMap, path::PathBuf};

/// It counts before a profile's host.
const HOST: &str = "DATABRICKS_HOST";
/// How long a call is tried on where the connection does not say.
const BUDGET_SECONDS: f64 = 60.0;

/// Options of every action.
#[derive(Debug, clap::Args)]
pub(super) struct SessionArgs {
    /// The configuration file (TOML) with [connections.NAME]
    #[arg(
        long,
        short,
        global = true,
        value_name = "FILE",
        env = "ALLUVIUM_CONFIG"
    )]
    pub(super) config: Option<PathBuf>,

    /// The workspace: NAME of [connections.NAME]; by default the only one
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) connection: Option<String>,

    /// The workspace of this profile of ~/.databrickscfg, whatever is configured
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        conflicts_with = "connection"
    )]
    pub(super) profile: Option<String>,

    /// Print JSON on a terminal, too
    #[arg(long, global = true)]
    pub(super) json: bool,

    /// Log each request and its answer to stderr, secrets struck out
    #[arg(long, global = true)]
    pub(super) debug: bool,
}

/// An opened workspace and the ways to the user.
pub(super) struct Session {
    pub(super) workspace: Workspace,
    pub(super) show: Show,
    pub(super) telemetry: Telemetry,
}

impl Session {
    /// Makes no request.
    pub(super) fn open(args: &SessionArgs, telemetry: Telemetry) -> Result<Self> {
        let environment = Environment::of_process();
        let config = Config::load(args.config.as_deref(), &environment, &Flags::default())?;
        let (name, mut options) = choose(
            &config.connections,
            args.connection.as_deref(),
            args.profile.as_deref(),
            std::env::var_os(HOST).is_some_and(|host| !host.is_empty()),
        )?;
        let budget = budget_seconds(&options);
        options.retry_budget_seconds.get_or_insert(budget);
        Ok(Self {
            workspace: Workspace::new(&name, &options)?,
            show: Show::new(args.json),
            telemetry,
        })
    }

    /// The warehouse of a text, else that of the connection: looked up where it is a name.
    pub(super) async fn warehouse(&self, named: Option<&str>) -> Result<Warehouse> {
        let warehouses = Warehouses::new(&self.workspace);
        Ok(match self.warehouse_ref(named)? {
            WarehouseRef::Id(id) => warehouses.get(&id).await?,
            WarehouseRef::Name(name) => warehouses.find(&name).await?,
        })
    }

    /// As [`Session::warehouse`], without a request where the id is told.
    pub(super) async fn warehouse_id(&self, named: Option<&str>) -> Result<WarehouseId> {
        Ok(match self.warehouse_ref(named)? {
            WarehouseRef::Id(id) => id,
            WarehouseRef::Name(name) => Warehouses::new(&self.workspace).find(&name).await?.id,
        })
    }

    fn warehouse_ref(&self, named: Option<&str>) -> Result<WarehouseRef> {
        let named = named.map(WarehouseRef::parse);
        named.or_else(|| self.workspace.warehouse().cloned()).ok_or_else(|| {
            self.missing("SQL warehouse", "its id or name, or set `warehouse` of the connection; `alluvium databricks warehouses list` shows them")
        })
    }

    /// The cluster of an option, else that of the connection.
    pub(super) fn cluster(&self, named: Option<&str>) -> Result<ClusterId> {
        let named = named.map(|id| ClusterId::new(id.trim()));
        named.or_else(|| self.workspace.cluster().cloned()).ok_or_else(|| {
            self.missing("cluster", "its id, or set `cluster` of the connection; `alluvium databricks clusters list` shows them")
        })
    }

    fn missing(&self, what: &str, remedy: &str) -> Error {
        let name = self.workspace.name();
        Error::new(
            Kind::Config,
            format!("no {what} is named: give {remedy}, connection=`{name}`"),
        )
    }
}

/// What we refused before anything was sent is a mistake of the command line's.
pub(super) fn usage(error: databricks::Error) -> Error {
    let ours = error.kind() == databricks::Kind::InvalidParameter && error.api().is_none();
    match ours {
        true => Error::new(Kind::Config, error.to_string()),
        false => error.into(),
    }
}

/// How long a call is tried where the connection does not say; a user's own `timeout_seconds` is left whole, as a try
/// takes a third at most.
fn budget_seconds(options: &ConnectionOptions) -> f64 {
    match options.timeout_seconds == ConnectionOptions::default().timeout_seconds {
        true => BUDGET_SECONDS,
        false => BUDGET_SECONDS.max(3.0 * options.timeout_seconds),
    }
}

/// A connection's name, for messages, and its options. `host`: whether the environment states one.
fn choose(
    configured: &BTreeMap<String, ConnectionOptions>,
    connection: Option<&str>,
    profile: Option<&str>,
    host: bool,
) -> Result<(String, ConnectionOptions)> {
    let names = || {
        configured
            .keys()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(", ")
    };
    if let Some(profile) = profile {
        if host {
            return Err(Error::new(
                Kind::Config,
                format!(
                    "--profile: {HOST} is set and would count instead; unset it (env -u {HOST} …), profile=`{profile}`"
                ),
            ));
        }
        let options = ConnectionOptions {
            profile: Some(profile.to_owned()),
            ..ConnectionOptions::default()
        };
        return Ok((profile.to_owned(), options));
    }
    if let Some(name) = connection {
        return match configured.get(name) {
            Some(options) => Ok((name.to_owned(), options.clone())),
            None => Err(Error::new(
                Kind::Config,
                format!(
                    "--connection: the configuration has no such [connections.NAME]; name it with --config, connection=`{name}` connections=`{}`",
                    names()
                ),
            )),
        };
    }
    let mut all = configured.iter();
    match (all.next(), all.next()) {
        (None, _) => Ok(("environment".into(), ConnectionOptions::default())),
        (Some((name, options)), None) => Ok((name.clone(), options.clone())),
        _ => Err(Error::new(
            Kind::Config,
            format!(
                "say which workspace with --connection NAME, connections=`{}`",
                names()
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured(names: &[&str]) -> BTreeMap<String, ConnectionOptions> {
        let options = |name: &str| ConnectionOptions {
            host: Some(format!("https://{name}.cloud.databricks.com")),
            ..ConnectionOptions::default()
        };
        names
            .iter()
            .map(|name| ((*name).to_owned(), options(name)))
            .collect()
    }

    #[test]
    fn a_timeout_of_the_users_is_not_cut() {
        let budget = |timeout_seconds| {
            budget_seconds(&ConnectionOptions {
                timeout_seconds,
                ..ConnectionOptions::default()
            })
        };
        assert_eq!(
            [budget(60.0), budget(5.0), budget(90.0)],
            [60.0, 60.0, 270.0]
        );
    }

    #[test]
    fn a_connection_is_named_or_the_only_one_or_of_the_environment() {
        let two = configured(&["dev", "prod"]);
        let (name, options) = choose(&two, Some("prod"), None, false).unwrap();
        assert_eq!(name, "prod");
        assert_eq!(
            options.host.as_deref(),
            Some("https://prod.cloud.databricks.com")
        );
        let told = choose(&two, None, None, true).unwrap_err().to_string();
        assert!(
            told.contains("--connection") && told.contains("`dev, prod`"),
            "{told}"
        );
        let told = choose(&two, Some("test"), None, false).unwrap_err();
        assert_eq!(told.kind(), Kind::Config);
        assert!(told.to_string().contains("connection=`test`"), "{told}");
        assert_eq!(
            choose(&configured(&["dev"]), None, None, false).unwrap().0,
            "dev"
        );
        let (name, options) = choose(&configured(&[]), None, None, false).unwrap();
        assert_eq!((name.as_str(), options.host), ("environment", None));
        let (_, options) = choose(&two, None, Some("staging"), false).unwrap();
        assert_eq!(
            (options.profile.as_deref(), options.host),
            (Some("staging"), None)
        );
        let told = choose(&two, None, Some("staging"), true).unwrap_err();
        assert_eq!(told.kind(), Kind::Config);
        assert!(
            told.to_string().contains("env -u DATABRICKS_HOST"),
            "{told}"
        );
    }
}
