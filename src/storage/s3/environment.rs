//! The credentials that the AWS SDKs find by themselves.

use super::sdk::{Sdk, lease_of};
use crate::storage::{
    Result,
    credentials::{Ask, Lease, Source},
};
use async_trait::async_trait;
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use object_store::aws::AwsCredential;

/// Variables, the default profile, web identity (IRSA), the metadata of a container (ECS, EKS pod identity), the
/// metadata of a machine (IMDSv2), in this order; the first that has credentials.
#[derive(Debug)]
pub(super) struct Environment(pub(super) Sdk);

#[async_trait]
impl Source for Environment {
    type Credential = AwsCredential;

    async fn fetch(&self, _: Ask) -> Result<Lease<AwsCredential>> {
        let chain = DefaultCredentialsChain::builder()
            .configure(self.0.provider())
            .region(self.0.region())
            .build()
            .await;
        lease_of(
            chain,
            "the environment",
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, give the machine or pod a role, or configure `credentials` of the store",
        )
        .await
    }

    fn describe(&self) -> String {
        "the AWS credentials of the environment".into()
    }
}
