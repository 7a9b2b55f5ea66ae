//! The security token service: which one is asked, and what its refusals mean.

use super::sdk::Sdk;
use crate::{
    error::Kind,
    storage::{Error, Result, credentials::Lease, explain},
};
use aws_credential_types::Credentials;
use aws_sdk_sts::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
};
use object_store::aws::AwsCredential;
use std::time::SystemTime;

/// An STS: of a region, or at an address.
#[derive(Clone, Debug)]
pub(super) struct Sts {
    pub(super) sdk: Sdk,
    pub(super) endpoint: Option<String>,
}

impl Sts {
    /// A client that signs with `credentials`, or not at all.
    pub(super) async fn client(&self, credentials: Option<Credentials>) -> Client {
        let mut config = self.sdk.config();
        config = match credentials {
            Some(credentials) => config.credentials_provider(credentials),
            None => config.no_credentials(),
        };
        if let Some(endpoint) = &self.endpoint {
            config = config.endpoint_url(endpoint);
        }
        Client::new(&config.load().await)
    }

    fn place(&self) -> String {
        match &self.endpoint {
            Some(endpoint) => format!("sts=`{endpoint}`"),
            None => format!("sts_region=`{}`", self.sdk.region()),
        }
    }

    /// `call`: `AssumeRole` or `AssumeRoleWithWebIdentity`; `by`: with what it was asked.
    pub(super) fn refused<E>(
        &self,
        call: &str,
        role_arn: &str,
        by: &str,
        error: &SdkError<E>,
    ) -> Error
    where
        E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let place = self.place();
        let SdkError::ServiceError(answer) = error else {
            return Error::credentials(
                Kind::Unavailable,
                format!(
                    "STS cannot be reached; check the network, `sts_endpoint` and `sts_region`: {}, call=`{call}` role=`{role_arn}` {place}",
                    explain::chain(error)
                ),
            );
        };
        let (status, body) = (answer.raw().status().as_u16(), answer.raw().body().bytes());
        let body = String::from_utf8_lossy(body.unwrap_or_default());
        // Stores that have an STS of their own wrap their errors in other elements than AWS.
        let meta = answer.err().meta();
        let from = |known: Option<&str>, name| match known {
            Some(known) => Some(known.to_owned()),
            None => explain::element(&body, name),
        };
        let code = from(meta.code(), "Code").unwrap_or_else(|| status.to_string());
        let said = from(meta.message(), "Message").unwrap_or_default();
        let (kind, remedy) = remedy(&code);
        Error::credentials(
            kind,
            format!(
                "STS refuses {call}: {remedy}, role=`{role_arn}` by=`{by}` {place} code=`{code}` said=`{said}`"
            ),
        )
    }
}

/// What STS's codes ask of the operator. Those it has none for may pass by themselves.
fn remedy(code: &str) -> (Kind, &'static str) {
    match code {
        "AccessDenied" | "AccessDeniedException" | "401" | "403" => (
            Kind::Unauthorized,
            "allow sts:AssumeRole on the role to the one who asks, name it as principal in the role's trust policy, and compare `external_id` with that policy's sts:ExternalId",
        ),
        "InvalidClientTokenId" | "UnrecognizedClientException" | "InvalidAccessKeyId" => (
            Kind::Unauthorized,
            "the access key it was asked with is unknown; renew the credentials of `source`",
        ),
        "SignatureDoesNotMatch" => (
            Kind::Unauthorized,
            "the secret key it was asked with does not belong to its access key, or the clock is wrong",
        ),
        "ExpiredToken" | "ExpiredTokenException" => (
            Kind::Unauthorized,
            "what it was asked with has expired; renew the token file or the credentials of `source`",
        ),
        "InvalidIdentityToken" | "IDPRejectedClaim" => (
            Kind::Unauthorized,
            "the OIDC token is not one the role trusts; check its audience and subject against the role's trust policy",
        ),
        "RegionDisabledException" => (
            Kind::Unauthorized,
            "STS is switched off in this region; set `sts_region` to one where it is active",
        ),
        "ValidationError" => (
            Kind::Unauthorized,
            "it does not accept a value; check `role_arn`, `session_name`, and `duration_seconds` against the role's longest session",
        ),
        _ => (Kind::Unavailable, "it is asked again"),
    }
}

/// The lease in STS's answer.
pub(super) fn lease(
    call: &str,
    role_arn: &str,
    credentials: Option<aws_sdk_sts::types::Credentials>,
) -> Result<Lease<AwsCredential>> {
    let credentials = credentials.and_then(|credentials| {
        let expires = SystemTime::try_from(credentials.expiration).ok()?;
        let credential = AwsCredential {
            key_id: credentials.access_key_id,
            secret_key: credentials.secret_access_key,
            token: Some(credentials.session_token),
        };
        Some(Lease::new(credential, Some(expires)))
    });
    credentials.ok_or_else(|| {
        Error::credentials(
            Kind::Unavailable,
            format!("STS answered without credentials or with an end that is no time, call=`{call}` role=`{role_arn}`"),
        )
    })
}
