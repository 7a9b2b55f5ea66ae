//! One workspace, as its callers hold it.

use super::{
    AccountId, Call, ClusterId, ConnectionOptions, Error, ExternalUrl, Host, Page, RawAnswer,
    RawRequest, Result, WarehouseRef,
};
use crate::secret::Secret;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use std::{collections::BTreeMap, sync::Arc};

/// A connection to a workspace. Cheap to clone; clones share tokens and connections.
#[derive(Clone)]
pub struct Workspace(Arc<Inner>);

struct Inner {
    name: String,
    host: Host,
    options: ConnectionOptions,
}

/// What a workspace tells of itself at `/.well-known/databricks-config`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct Discovery {
    pub oidc_endpoint: String,
    pub account_id: Option<String>,
    pub workspace_id: Option<String>,
    pub cloud: Option<String>,
}

impl Workspace {
    /// Reads profiles and the environment where `options` want it; makes no request.
    ///
    /// `name`: of `[connections.NAME]`, for errors, logs and metrics. Errors: `Options`, `Unsupported`.
    pub fn new(name: &str, options: &ConnectionOptions) -> Result<Self> {
        let host = Host::parse(options.host.as_deref().unwrap_or_default()).map_err(|message| {
            Error::Options {
                connection: name.to_owned(),
                key: "host".into(),
                message,
            }
        })?;
        Ok(Self(Arc::new(Inner {
            name: name.to_owned(),
            host,
            options: options.clone(),
        })))
    }

    /// `NAME` of `[connections.NAME]`.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    pub fn host(&self) -> &Host {
        &self.0.host
    }

    /// The configured warehouse: of the options, a JDBC URL, the profile or the environment.
    pub fn warehouse(&self) -> Option<&WarehouseRef> {
        self.0.options.warehouse.as_ref()
    }

    /// The configured cluster, from the same places.
    pub fn cluster(&self) -> Option<&ClusterId> {
        None
    }

    /// The account's id, for its APIs.
    pub fn account_id(&self) -> Option<&AccountId> {
        None
    }

    /// `2.0` or `2.1`: the version in the path of temporary credentials.
    pub fn vending_api_version(&self) -> &str {
        &self.0.options.vending_api_version
    }

    /// Makes a call and reads its answer. An empty body counts as `{}`, or `null` where `T` wants that.
    pub async fn send<T: DeserializeOwned>(&self, call: Call) -> Result<T> {
        Err(Error::unexpected(format!(
            "no answer, path=`{}`",
            call.path
        )))
    }

    /// Every item of a list, page by page. Errors also if the service repeats a page's token.
    pub async fn whole<T, P: Page<Item = T>>(&self, call: Call) -> Result<Vec<T>> {
        let page: P = self.send(call).await?;
        Ok(page.into_parts().0)
    }

    /// A request of the user's own making. Errors only where no answer came; a refusal is an answer.
    pub async fn raw(&self, request: RawRequest) -> Result<RawAnswer> {
        Err(Error::unexpected(request.url))
    }

    /// Reads a presigned URL without our token. `headers`: those that the link came with.
    ///
    /// Errors: `PermissionDenied` where the link has expired: ask for a new one.
    pub async fn fetch_external(
        &self,
        link: &ExternalUrl,
        headers: &BTreeMap<String, Secret>,
    ) -> Result<Bytes> {
        Err(Error::unexpected(format!("{link:?} {}", headers.len())))
    }

    /// What the workspace tells of itself, without a token. `None`: it tells nothing, so it may be no workspace.
    pub async fn discover(&self) -> Result<Option<Discovery>> {
        Ok(None)
    }
}

/// Shows the connection's name alone.
impl std::fmt::Debug for Workspace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Workspace").field(&self.0.name).finish()
    }
}
