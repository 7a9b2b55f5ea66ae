//! The region of a bucket, as far as the configuration knows it.

use super::profile;
use crate::storage::{CredentialOptions, ProfileOptions, StoreOptions};
use aws_config::meta::region::ProvideRegion;
use futures::FutureExt;

/// That of the options, else of `AWS_REGION` or `AWS_DEFAULT_REGION`, else of the profile, else `us-east-1`. Reads
/// files, asks no service.
pub(super) fn of(options: &StoreOptions) -> String {
    let variable = |name| {
        std::env::var(name)
            .ok()
            .filter(|value: &String| !value.is_empty())
    };
    options
        .region
        .clone()
        .or_else(|| variable("AWS_REGION"))
        .or_else(|| variable("AWS_DEFAULT_REGION"))
        .or_else(|| of_profile(&profile_of(&options.credentials)))
        .unwrap_or_else(|| "us-east-1".into())
}

/// The profile at the root of a chain of roles; the default one where there is none.
fn profile_of(credentials: &CredentialOptions) -> ProfileOptions {
    match credentials {
        CredentialOptions::Profile(options) => options.clone(),
        CredentialOptions::AssumeRole(role) => profile_of(&role.source),
        _ => ProfileOptions::default(),
    }
}

pub(super) fn of_profile(options: &ProfileOptions) -> Option<String> {
    // Its futures never wait: the SDK reads files as it is polled.
    let region = profile::region_of(options).region().now_or_never()??;
    Some(region.as_ref().to_owned())
}
