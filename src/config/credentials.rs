//! The schema of `[stores.NAME.credentials]`.

use super::source::tagged;
use crate::storage::{
    AccountKeyOptions, AssumeRoleOptions, CredentialOptions, EntraOptions, LandingZoneOptions,
    ManagedIdentityOptions, ProfileOptions, SasOptions, StaticKeys, UnityCatalogOptions,
    WebIdentityOptions,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};
use std::borrow::Cow;

const MEANING: &str = "Where the credentials come from.";

/// Written by hand, as that of sources is; `source` of a role refers to the whole again.
impl JsonSchema for CredentialOptions {
    fn schema_name() -> Cow<'static, str> {
        "CredentialOptions".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut kinds = Vec::new();
        let mut kind = |name: &str, schema: Schema, defaults: &[(&str, Value)]| {
            kinds.push(tagged(name, MEANING, schema, defaults));
        };
        kind("environment", environment(), &[]);
        kind("static", StaticKeys::json_schema(generator), &[]);
        kind("profile", ProfileOptions::json_schema(generator), &[]);
        let source = ("source", json!({ "type": "environment" }));
        kind(
            "assume_role",
            AssumeRoleOptions::json_schema(generator),
            &[source],
        );
        kind(
            "web_identity",
            WebIdentityOptions::json_schema(generator),
            &[],
        );
        kind("sas", SasOptions::json_schema(generator), &[]);
        kind(
            "account_key",
            AccountKeyOptions::json_schema(generator),
            &[],
        );
        kind("entra", EntraOptions::json_schema(generator), &[]);
        kind(
            "managed_identity",
            ManagedIdentityOptions::json_schema(generator),
            &[],
        );
        let verb = ("refresh_method", json!("POST"));
        kind(
            "landing_zone",
            LandingZoneOptions::json_schema(generator),
            &[verb],
        );
        let operation = ("operation", json!("read_write"));
        kind(
            "unity_catalog",
            UnityCatalogOptions::json_schema(generator),
            &[operation],
        );
        json_schema!({
            "description": "Where credentials come from; `type` says which way.",
            "oneOf": kinds,
        })
    }
}

fn environment() -> Schema {
    json_schema!({
        "type": "object",
        "description": "What the environment offers. S3: variables, the default profile, web identity, container and instance metadata, as the AWS SDKs look. Azure: variables, workload identity, managed identity.",
        "properties": {},
        "additionalProperties": false,
    })
}

/// Defaults of a store that schemars cannot see.
pub(super) fn add_defaults(document: &mut Value) {
    let properties = document.pointer_mut("/$defs/StoreOptions/properties");
    if let Some(properties) = properties.and_then(Value::as_object_mut) {
        for (key, default) in [
            ("credentials", json!({ "type": "environment" })),
            ("checksum", json!("none")),
        ] {
            if let Some(property) = properties.get_mut(key) {
                property["default"] = default;
            }
        }
    }
}
