//! Databricks' unified authentication: attributes from the connection, the environment and a profile, in this order.
//!
//! As in the SDKs: the first place that has an attribute counts; a profile is read only if one is named, or if neither a
//! host nor a credential is set; attributes of two kinds of credentials are an error unless `auth_type` chooses. Beyond
//! them a rule of ours: a secret is used only for the host that its place states, if it states one.

use super::{Kept, kept::is_host, profile, surroundings::Surroundings};
use crate::secret::LiveSecret;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

/// Name as in profiles, variables, and the kind of credential it belongs to.
const ATTRIBUTES: [(&str, &[&str], Option<&str>); 25] = [
    ("host", &["DATABRICKS_HOST"], None),
    ("account_id", &["DATABRICKS_ACCOUNT_ID"], None),
    ("workspace_id", &["DATABRICKS_WORKSPACE_ID"], None),
    ("warehouse_id", &["DATABRICKS_WAREHOUSE_ID"], None),
    ("cluster_id", &["DATABRICKS_CLUSTER_ID"], None),
    ("auth_type", &["DATABRICKS_AUTH_TYPE"], None),
    ("discovery_url", &["DATABRICKS_DISCOVERY_URL"], None),
    ("scopes", &[], None),
    ("profile", &["DATABRICKS_CONFIG_PROFILE"], None),
    ("config_file", &["DATABRICKS_CONFIG_FILE"], None),
    ("token", &["DATABRICKS_TOKEN"], Some("pat")),
    ("username", &["DATABRICKS_USERNAME"], Some("basic")),
    ("password", &["DATABRICKS_PASSWORD"], Some("basic")),
    ("client_id", &["DATABRICKS_CLIENT_ID"], Some("oauth")),
    (
        "client_secret",
        &["DATABRICKS_CLIENT_SECRET"],
        Some("oauth"),
    ),
    (
        "oidc_token_env",
        &["DATABRICKS_OIDC_TOKEN_ENV"],
        Some("env-oidc"),
    ),
    (
        "oidc_token_filepath",
        &[
            "DATABRICKS_OIDC_TOKEN_FILEPATH",
            "DATABRICKS_OIDC_TOKEN_FILE",
        ],
        Some("file-oidc"),
    ),
    (
        "azure_workspace_resource_id",
        &["DATABRICKS_AZURE_RESOURCE_ID"],
        Some("azure"),
    ),
    ("azure_use_msi", &["ARM_USE_MSI"], Some("azure")),
    ("azure_client_secret", &["ARM_CLIENT_SECRET"], Some("azure")),
    ("azure_client_id", &["ARM_CLIENT_ID"], Some("azure")),
    ("azure_tenant_id", &["ARM_TENANT_ID"], Some("azure")),
    (
        "google_service_account",
        &["DATABRICKS_GOOGLE_SERVICE_ACCOUNT"],
        Some("google"),
    ),
    (
        "google_credentials",
        &["GOOGLE_CREDENTIALS"],
        Some("google"),
    ),
    (
        "metadata_service_url",
        &["DATABRICKS_METADATA_SERVICE_URL"],
        Some("metadata-service"),
    ),
];

/// Another spelling of an attribute, that of the Go tools.
const ALIASES: [(&str, &str); 1] = [("databricks_id_token_filepath", "oidc_token_filepath")];

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Connection,
    Environment,
    Profile { file: PathBuf, profile: String },
}

struct Attribute {
    value: String,
    place: Place,
}

/// What the three places say together.
pub(super) struct Unified {
    attributes: BTreeMap<&'static str, Attribute>,
    surroundings: Surroundings,
    /// The host that each place states, where it states one.
    hosts: Vec<(Place, String)>,
}

/// Which credential they describe.
#[derive(Debug)]
pub(super) enum Choice {
    Pat {
        token: Kept,
    },
    M2m {
        client_id: String,
        client_secret: Kept,
    },
    Federation {
        subject: Kept,
        client_id: Option<String>,
    },
    Entra {
        tenant_id: Option<String>,
        client_id: String,
        client_secret: Kept,
    },
    ManagedIdentity {
        client_id: Option<String>,
    },
}

impl Unified {
    /// `connection`: attributes that the connection sets itself; `profile` is one of them.
    pub(super) fn gather(
        connection: &[(&'static str, Option<String>)],
        surroundings: &Surroundings,
    ) -> Result<Self, String> {
        let mut all = Self {
            attributes: BTreeMap::new(),
            surroundings: surroundings.clone(),
            hosts: Vec::new(),
        };
        for (name, value) in connection {
            if let Some(value) = value {
                all.offer(name, value, &Place::Connection);
            }
        }
        for (name, variables, _) in ATTRIBUTES {
            if let Some(value) = variables
                .iter()
                .find_map(|variable| surroundings.get(variable))
            {
                all.offer(name, value, &Place::Environment);
            }
        }
        all.read_profile()?;
        all.one_kind()?;
        Ok(all)
    }

    fn offer(&mut self, name: &str, value: &str, place: &Place) {
        let name = ALIASES
            .iter()
            .find(|(alias, _)| *alias == name)
            .map_or(name, |(_, name)| name);
        let Some((name, _, _)) = ATTRIBUTES.iter().find(|(known, _, _)| *known == name) else {
            return;
        };
        if *name == "host" {
            self.hosts.push((place.clone(), value.to_owned()));
        }
        self.attributes.entry(name).or_insert_with(|| Attribute {
            value: value.to_owned(),
            place: place.clone(),
        });
    }

    fn read_profile(&mut self) -> Result<(), String> {
        let asked = self.get("profile").map(str::to_owned);
        let set = |(name, _, kind): &(&str, &[&str], Option<&str>)| {
            (kind.is_some() || *name == "host") && self.attributes.contains_key(name)
        };
        if asked.is_none() && ATTRIBUTES.iter().any(set) {
            return Ok(());
        }
        let file = self
            .surroundings
            .path(self.get("config_file").unwrap_or("~/.databrickscfg"));
        if !file.exists() {
            return match asked {
                Some(name) => Err(format!(
                    "there is no file of profiles; make it by `databricks configure`, or set DATABRICKS_CONFIG_FILE, profile=`{name}` file=`{}`",
                    file.display()
                )),
                None => Ok(()),
            };
        }
        let profiles = profile::read(&file)?;
        let chosen = profile::choose(&profiles, asked.as_deref())
            .map_err(|error| format!("{error} file=`{}`", file.display()))?;
        let Some(name) = chosen else { return Ok(()) };
        let place = Place::Profile {
            file,
            profile: name.clone(),
        };
        for (key, value) in profiles.get(&name).into_iter().flatten() {
            self.offer(key, value, &place);
        }
        Ok(())
    }

    fn one_kind(&self) -> Result<(), String> {
        let of = |(name, _, kind): &(&'static str, &[&str], Option<&'static str>)| {
            kind.filter(|_| self.attributes.contains_key(name))
        };
        let kinds: BTreeSet<&str> = ATTRIBUTES.iter().filter_map(of).collect();
        if kinds.len() > 1 && self.get("auth_type").is_none() {
            let kinds = kinds.into_iter().collect::<Vec<_>>().join(" and ");
            return Err(format!(
                "more than one kind of credential is set; take one away, or choose by DATABRICKS_AUTH_TYPE or auth_type of the profile, kinds=`{kinds}`"
            ));
        }
        Ok(())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.attributes
            .get(name)
            .map(|attribute| attribute.value.as_str())
    }

    fn owned(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    /// A credential's place must not state another host than `host`; one that is no host is another.
    fn judge(&self, place: &Place, host: &str) -> Result<(), String> {
        let stated = self.hosts.iter().find(|(of, _)| of == place);
        if let Some((_, stated)) = stated
            && !is_host(stated, host)
        {
            let place = match place {
                Place::Profile { profile, .. } => format!("the profile {profile}"),
                _ => "the environment".to_owned(),
            };
            return Err(format!(
                "{place} has a credential for another host than the connection's, and it is not sent to this one; name the profile of this host, or set `auth`, host=`{host}` of_credential=`{}`",
                crate::databricks::JdbcUrl::masked(stated)
            ));
        }
        Ok(())
    }

    /// A secret attribute by the place it is kept in.
    fn secret(&self, name: &str, host: &str) -> Result<Option<Kept>, String> {
        let Some(attribute) = self.attributes.get(name) else {
            return Ok(None);
        };
        self.judge(&attribute.place, host)?;
        Ok(Some(match &attribute.place {
            Place::Profile { file, profile } => Kept::Profile {
                file: file.clone(),
                profile: profile.clone(),
                key: name.to_owned(),
                host: host.to_owned(),
            },
            _ => Kept::Live(LiveSecret::new(&attribute.value)),
        }))
    }

    /// `all-apis` where none are set.
    pub(super) fn scopes(&self) -> Vec<String> {
        let text = self.get("scopes").unwrap_or("all-apis");
        let scopes: BTreeSet<&str> = text
            .split([',', ' '])
            .filter(|scope| !scope.is_empty())
            .collect();
        scopes.into_iter().map(str::to_owned).collect()
    }

    /// The credential: of the kind that `auth_type` names, else the first that is complete, in the SDKs' order.
    /// `host`: that of the connection, as it is shown.
    pub(super) fn choose(&self, host: &str) -> Result<Choice, String> {
        let wanted = self.get("auth_type");
        let known = [
            "pat",
            "oauth-m2m",
            "env-oidc",
            "file-oidc",
            "azure-client-secret",
            "azure-msi",
        ];
        if let Some(wanted) = wanted.filter(|wanted| !known.contains(wanted)) {
            return Err(format!(
                "this kind of credential is for people or for Databricks' own machines; use one of {}, auth_type=`{wanted}`",
                known.join(", ")
            ));
        }
        for kind in known {
            if wanted.is_some_and(|wanted| wanted != kind) {
                continue;
            }
            if let Some(choice) = self.complete(kind, host)? {
                return Ok(choice);
            }
        }
        Err(match wanted {
            Some(kind) => format!("the attributes of the credential are not complete, auth_type=`{kind}` needed=`{}`", needed(kind)),
            None if self.get("username").is_some() => {
                "Databricks no longer takes user names and passwords; use OAuth or a personal access token".into()
            }
            None => "no credential is found: set `auth` of the connection, or a profile, or DATABRICKS_CLIENT_ID and \
                     DATABRICKS_CLIENT_SECRET, or DATABRICKS_TOKEN"
                .into(),
        })
    }

    fn complete(&self, kind: &str, host: &str) -> Result<Option<Choice>, String> {
        Ok(match kind {
            "pat" => self
                .secret("token", host)?
                .map(|token| Choice::Pat { token }),
            "oauth-m2m" => match (self.owned("client_id"), self.secret("client_secret", host)?) {
                (Some(client_id), Some(client_secret)) => Some(Choice::M2m {
                    client_id,
                    client_secret,
                }),
                _ => None,
            },
            "env-oidc" => {
                let variable = self
                    .get("oidc_token_env")
                    .unwrap_or("DATABRICKS_OIDC_TOKEN");
                let Some(token) = self.surroundings.get(variable) else {
                    return Ok(None);
                };
                let named = self.attributes.get("oidc_token_env");
                self.judge(
                    named.map_or(&Place::Environment, |named| &named.place),
                    host,
                )?;
                Some(Choice::Federation {
                    subject: Kept::Live(LiveSecret::new(token)),
                    client_id: self.owned("client_id"),
                })
            }
            "file-oidc" => {
                let Some(named) = self.attributes.get("oidc_token_filepath") else {
                    return Ok(None);
                };
                self.judge(&named.place, host)?;
                let file = self.surroundings.path(&named.value);
                Some(Choice::Federation {
                    subject: Kept::Live(LiveSecret::new(&format!("file:{}", file.display()))),
                    client_id: self.owned("client_id"),
                })
            }
            "azure-client-secret" => match (
                self.owned("azure_client_id"),
                self.secret("azure_client_secret", host)?,
            ) {
                (Some(client_id), Some(client_secret)) => Some(Choice::Entra {
                    tenant_id: self.owned("azure_tenant_id"),
                    client_id,
                    client_secret,
                }),
                _ => None,
            },
            _ => {
                let on = self.get("azure_use_msi").is_some_and(|on| {
                    ["1", "true", "t", "yes"].contains(&on.to_ascii_lowercase().as_str())
                });
                on.then(|| Choice::ManagedIdentity {
                    client_id: self.owned("azure_client_id"),
                })
            }
        })
    }
}

fn needed(kind: &str) -> &'static str {
    match kind {
        "pat" => "token (DATABRICKS_TOKEN)",
        "oauth-m2m" => {
            "client_id and client_secret (DATABRICKS_CLIENT_ID, DATABRICKS_CLIENT_SECRET)"
        }
        "env-oidc" => "the variable DATABRICKS_OIDC_TOKEN, or the one that oidc_token_env names",
        "file-oidc" => "oidc_token_filepath (DATABRICKS_OIDC_TOKEN_FILEPATH)",
        "azure-client-secret" => {
            "azure_client_id and azure_client_secret (ARM_CLIENT_ID, ARM_CLIENT_SECRET)"
        }
        _ => "azure_use_msi (ARM_USE_MSI)",
    }
}
