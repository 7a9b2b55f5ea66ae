//! Names the service gives to things. Each kind is a type of its own, so that a function that wants a SCIM id does not
//! compile with an application id.
//!
//! ```
//! use alluvium::databricks::{ApplicationId, ScimId};
//! fn path(id: &ScimId) -> String {
//!     format!("/api/2.0/preview/scim/v2/ServicePrincipals/{id}")
//! }
//! path(&ScimId::new("7"));
//! ```
//!
//! ```compile_fail,E0308
//! use alluvium::databricks::{ApplicationId, ScimId};
//! fn path(id: &ScimId) -> String {
//!     format!("/api/2.0/preview/scim/v2/ServicePrincipals/{id}")
//! }
//! path(&ApplicationId::new("7"));
//! ```

use serde::{Deserialize, Serialize};
use std::{convert::Infallible, fmt, str::FromStr};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = Infallible;

            fn from_str(text: &str) -> Result<Self, Infallible> {
                Ok(Self(text.trim().to_owned()))
            }
        }
    )*};
}

ids! {
    /// A SQL warehouse.
    WarehouseId;
    /// A cluster, as `0123-456789-abcdefgh`.
    ClusterId;
    /// A statement of the SQL Statement Execution API.
    StatementId;
    /// An execution context on a cluster (API 1.2).
    ContextId;
    /// A command in an execution context (API 1.2).
    CommandId;
    /// A service principal as grants and OAuth name it, a UUID. Not what SCIM's paths want: see [`ScimId`].
    ApplicationId;
    /// A user, group or service principal as SCIM names it, a number.
    ScimId;
    /// A personal access token, not its value.
    TokenId;
    /// An OAuth secret of a service principal, not its value.
    SecretId;
    /// A table of Unity Catalog.
    TableId;
    /// A metastore of Unity Catalog.
    MetastoreId;
    /// A Databricks account, a UUID.
    AccountId;
}
