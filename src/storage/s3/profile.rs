//! A profile of the AWS configuration files.

use super::sdk::{Sdk, lease_of};
use crate::storage::{
    ProfileOptions, Result,
    credentials::{Ask, Lease, Source},
};
use async_trait::async_trait;
#[expect(
    deprecated,
    reason = "the new name is in a crate we need for nothing else"
)]
use aws_config::profile::profile_file::{ProfileFileKind, ProfileFiles};
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider};
use object_store::aws::AwsCredential;

/// A profile, with the roles it assumes and the processes it runs. Its files are read at every fetch.
#[derive(Debug)]
pub(super) struct Profile {
    pub(super) options: ProfileOptions,
    pub(super) sdk: Sdk,
}

/// The files of a profile: those named instead of, not beside, those of the environment.
#[expect(deprecated, reason = "as above")]
fn files(options: &ProfileOptions) -> ProfileFiles {
    let mut files = ProfileFiles::builder();
    files = match &options.config_file {
        Some(path) => files.with_file(ProfileFileKind::Config, path),
        None => files.include_default_config_file(true),
    };
    match &options.credentials_file {
        Some(path) => files.with_file(ProfileFileKind::Credentials, path),
        None => files.include_default_credentials_file(true),
    }
    .build()
}

/// Finds a profile's region in its files.
pub(super) fn region_of(options: &ProfileOptions) -> ProfileFileRegionProvider {
    let mut provider = ProfileFileRegionProvider::builder().profile_files(files(options));
    if let Some(name) = &options.name {
        provider = provider.profile_name(name);
    }
    provider.build()
}

fn name(options: &ProfileOptions) -> String {
    let variable = || {
        std::env::var("AWS_PROFILE")
            .ok()
            .filter(|name| !name.is_empty())
    };
    let name = options.name.clone().or_else(variable);
    name.unwrap_or_else(|| "default".into())
}

#[async_trait]
impl Source for Profile {
    type Credential = AwsCredential;

    async fn fetch(&self, _: Ask) -> Result<Lease<AwsCredential>> {
        let mut provider = ProfileFileCredentialsProvider::builder()
            .configure(&self.sdk.provider())
            .profile_files(files(&self.options));
        if let Some(name) = &self.options.name {
            provider = provider.profile_name(name);
        }
        let what = format!("AWS profile `{}`", name(&self.options));
        lease_of(
            provider.build(),
            &what,
            "check its sections in the configuration and credentials files, and the role or process it names",
        )
        .await
    }

    fn describe(&self) -> String {
        format!("AWS profile {}", name(&self.options))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::s3::region;

    #[tokio::test]
    async fn files_are_read_at_every_fetch_and_name_the_region() {
        let dir = tempfile::tempdir().unwrap();
        let (config, credentials) = (dir.path().join("config"), dir.path().join("credentials"));
        std::fs::write(&config, "[profile lake]\nregion = eu-west-3\n").unwrap();
        let write = |secret| {
            let text =
                format!("[lake]\naws_access_key_id = AKID\naws_secret_access_key = {secret}\n");
            std::fs::write(&credentials, text).unwrap();
        };
        write("one");
        let options = ProfileOptions {
            name: Some("lake".into()),
            config_file: Some(config),
            credentials_file: Some(credentials.clone()),
        };
        assert_eq!(region::of_profile(&options).as_deref(), Some("eu-west-3"));
        let profile = Profile {
            options: options.clone(),
            sdk: Sdk::new("eu-west-3"),
        };
        for secret in ["one", "two"] {
            write(secret);
            let lease = profile.fetch(Ask::Ahead).await.unwrap();
            assert_eq!(lease.credential.secret_key, secret);
        }
        let absent = Profile {
            options: ProfileOptions {
                name: Some("absent".into()),
                ..options
            },
            sdk: Sdk::new("eu-west-3"),
        };
        let error = absent.fetch(Ask::Ahead).await.unwrap_err().to_string();
        assert!(error.contains("AWS profile `absent`"), "{error}");
    }

    #[tokio::test]
    async fn a_process_of_a_profile_is_run() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("config");
        let answer = dir.path().join("answer.json");
        std::fs::write(
            &answer,
            r#"{"Version":1,"AccessKeyId":"AKID","SecretAccessKey":"s","SessionToken":"t","Expiration":"2099-01-01T00:00:00Z"}"#,
        )
        .unwrap();
        let text = format!(
            "[profile run]\ncredential_process = cat {}\n",
            answer.display()
        );
        std::fs::write(&config, text).unwrap();
        let profile = Profile {
            options: ProfileOptions {
                name: Some("run".into()),
                config_file: Some(config.clone()),
                credentials_file: Some(config),
            },
            sdk: Sdk::new("us-east-1"),
        };
        let lease = profile.fetch(Ask::Ahead).await.unwrap();
        assert_eq!(lease.credential.token.as_deref(), Some("t"));
        assert!(lease.expires.is_some());
    }
}
