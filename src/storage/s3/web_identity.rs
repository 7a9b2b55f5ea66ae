//! A role assumed by an OIDC token in a file (IRSA).

use super::sts::{self, Sts};
use crate::{
    error::Kind,
    secret::LiveSecret,
    storage::{
        Error, Result,
        credentials::{Ask, Lease, Source},
    },
};
use async_trait::async_trait;
use object_store::aws::AwsCredential;

/// STS AssumeRoleWithWebIdentity, which is not signed. The token is read at every fetch: its file is rewritten.
#[derive(Debug)]
pub(super) struct WebIdentity {
    pub(super) role_arn: String,
    pub(super) session_name: String,
    pub(super) token: LiveSecret,
    pub(super) sts: Sts,
}

const CALL: &str = "AssumeRoleWithWebIdentity";

#[async_trait]
impl Source for WebIdentity {
    type Credential = AwsCredential;

    async fn fetch(&self, _: Ask) -> Result<Lease<AwsCredential>> {
        let token = self.token.read().map_err(|error| {
            Error::credentials(
                Kind::Unauthorized,
                format!(
                    "no OIDC token to assume a role with; check the pod's service account and `token_file`: {error}, role=`{}`",
                    self.role_arn
                ),
            )
        })?;
        let client = self.sts.client(None).await;
        let answer = client
            .assume_role_with_web_identity()
            .role_arn(&self.role_arn)
            .role_session_name(&self.session_name)
            .web_identity_token(token.expose())
            .send()
            .await
            .map_err(|error| {
                self.sts
                    .refused(CALL, &self.role_arn, &format!("{:?}", self.token), &error)
            })?;
        sts::lease(CALL, &self.role_arn, answer.credentials)
    }

    fn describe(&self) -> String {
        format!(
            "role {} as session {}, assumed with the OIDC token in {:?}",
            self.role_arn, self.session_name, self.token
        )
    }
}
