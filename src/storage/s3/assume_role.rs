//! A role assumed with other credentials.

use super::{
    sdk,
    sts::{self, Sts},
};
use crate::storage::{
    AssumeRoleOptions, Result,
    credentials::{Ask, Lease, Source},
};
use async_trait::async_trait;
use object_store::aws::AwsCredential;

/// STS AssumeRole. Each fetch asks the source below anew, so that a chain starts from credentials that are fresh.
#[derive(Debug)]
pub(super) struct AssumeRole {
    pub(super) options: AssumeRoleOptions,
    pub(super) source: Box<dyn Source<Credential = AwsCredential>>,
    pub(super) sts: Sts,
}

const CALL: &str = "AssumeRole";

#[async_trait]
impl Source for AssumeRole {
    type Credential = AwsCredential;

    async fn fetch(&self, _: Ask) -> Result<Lease<AwsCredential>> {
        // It is the session that was refused, if any was, not what it was obtained with.
        let by = self.source.fetch(Ask::Ahead).await?;
        let options = &self.options;
        let client = self
            .sts
            .client(Some(sdk::credentials(&by.credential)))
            .await;
        let answer = client
            .assume_role()
            .role_arn(&options.role_arn)
            .role_session_name(&options.session_name)
            .duration_seconds(options.duration_seconds.cast_signed())
            .set_external_id(options.external_id.clone())
            .send()
            .await
            .map_err(|error| {
                let by = self.source.describe();
                self.sts.refused(CALL, &options.role_arn, &by, &error)
            })?;
        sts::lease(CALL, &options.role_arn, answer.credentials)
    }

    fn describe(&self) -> String {
        let external = match &self.options.external_id {
            Some(_) => " and an external id",
            None => "",
        };
        format!(
            "role {} as session {}, assumed with {}{external}",
            self.options.role_arn,
            self.options.session_name,
            self.source.describe()
        )
    }
}
