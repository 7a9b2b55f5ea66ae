//! Service principals by OAuth: client credentials, and tokens of other issuers in exchange.

use super::{
    Kept,
    discovery::Endpoint,
    token::{self, Issuer, Token},
};
use crate::databricks::{
    Result,
    http::{Http, Outgoing},
};
use async_trait::async_trait;
use base64::{Engine, prelude::BASE64_STANDARD};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use std::time::Duration;

/// A service principal with an OAuth secret (RFC 6749 §4.4).
pub(super) struct ClientCredentials {
    pub(super) http: Http,
    pub(super) endpoint: Endpoint,
    pub(super) client_id: String,
    pub(super) client_secret: Kept,
    /// Space between them.
    pub(super) scopes: String,
}

#[async_trait]
impl Issuer for ClientCredentials {
    async fn token(&self) -> Result<Token> {
        let secret = self.client_secret.read("client secret")?;
        let url = self.endpoint.token_url(&self.http).await?;
        let form = [
            ("grant_type", "client_credentials"),
            ("scope", self.scopes.as_str()),
        ];
        let mut request = Outgoing::form(url, form, Duration::ZERO);
        let basic = BASE64_STANDARD.encode(format!("{}:{}", self.client_id, secret.expose()));
        request
            .headers
            .insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Ok(mut value) = HeaderValue::from_str(&format!("Basic {basic}")) {
            value.set_sensitive(true);
            request.headers.insert(AUTHORIZATION, value);
        }
        self.endpoint.judged(
            token::ask(
                &self.http,
                "Databricks' token endpoint",
                &request,
                &[secret.expose(), &basic],
            )
            .await,
        )
    }
}

/// A token of another issuer, exchanged (RFC 8693).
pub(super) struct Federation {
    pub(super) http: Http,
    pub(super) endpoint: Endpoint,
    /// Read at each exchange: such tokens live for minutes, and a file of them is replaced.
    pub(super) subject: Kept,
    /// None for an account-wide policy.
    pub(super) client_id: Option<String>,
    pub(super) scopes: String,
}

#[async_trait]
impl Issuer for Federation {
    async fn token(&self) -> Result<Token> {
        let subject = self.subject.read("token of the other issuer")?;
        let url = self.endpoint.token_url(&self.http).await?;
        let mut form = vec![
            (
                "grant_type",
                "urn:ietf:params:oauth:grant-type:token-exchange",
            ),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
            ("subject_token", subject.expose()),
            ("scope", &self.scopes),
        ];
        if let Some(id) = &self.client_id {
            form.push(("client_id", id));
        }
        let mut request = Outgoing::form(url, form, Duration::ZERO);
        request
            .headers
            .insert(ACCEPT, HeaderValue::from_static("application/json"));
        self.endpoint.judged(
            token::ask(
                &self.http,
                "Databricks' token endpoint",
                &request,
                &[subject.expose()],
            )
            .await,
        )
    }
}
