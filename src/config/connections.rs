//! The schema of `[connections.NAME.auth]`.

use super::source::tagged;
use crate::databricks::{AuthOptions, EntraOptions, FederationOptions, M2mOptions, PatOptions};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};
use std::borrow::Cow;

const MEANING: &str = "How this process proves who it is.";

/// Written by hand, as that of sources is.
impl JsonSchema for AuthOptions {
    fn schema_name() -> Cow<'static, str> {
        "AuthOptions".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let scopes = ("scopes", json!(["all-apis"]));
        let kinds = [
            ("environment", environment(), None),
            (
                "oauth_m2m",
                M2mOptions::json_schema(generator),
                Some(scopes.clone()),
            ),
            ("pat", PatOptions::json_schema(generator), None),
            ("entra", EntraOptions::json_schema(generator), None),
            (
                "oidc_federation",
                FederationOptions::json_schema(generator),
                Some(scopes),
            ),
        ];
        let kinds: Vec<Value> = kinds
            .into_iter()
            .map(|(name, schema, default)| tagged(name, MEANING, schema, default.as_slice()))
            .collect();
        json_schema!({
            "description": "How this process proves who it is; `type` says which way.",
            "oneOf": kinds,
        })
    }
}

fn environment() -> Schema {
    json_schema!({
        "type": "object",
        "description": "What the environment and `~/.databrickscfg` offer, in the order of Databricks' SDKs: the connection's own keys, then `DATABRICKS_…` and `ARM_…` variables, then the profile.",
        "properties": {},
        "additionalProperties": false,
    })
}

/// The default of a connection that schemars cannot see.
pub(super) fn add_defaults(document: &mut Value) {
    if let Some(auth) = document.pointer_mut("/$defs/ConnectionOptions/properties/auth") {
        auth["default"] = json!({ "type": "environment" });
    }
}
