//! The bearer token that a landing zone is asked with.

use super::oauth;
use crate::{
    error::Kind,
    secret::{LiveSecret, Secret},
    storage::{Error, LandingZoneOptions, Result, azure::unreadable},
};
use std::time::Duration;
use tokio::{sync::Mutex, time::Instant};

/// How long a token of unknown life is used.
const UNKNOWN_LIFE: Duration = Duration::from_secs(300);
/// How long before its end a token is replaced, at most a tenth of its life.
const MARGIN: Duration = Duration::from_secs(60);

/// Where the token comes from.
pub(super) enum Bearer {
    /// The configured headers say all.
    None,
    /// A value, or a file that somebody keeps fresh.
    Given(LiveSecret),
    Client(Box<ClientCredentials>),
}

/// A token by client credentials, kept until shortly before its end.
pub(super) struct ClientCredentials {
    http: oauth::Http,
    url: url::Url,
    client_id: String,
    client_secret: LiveSecret,
    scope: String,
    held: Mutex<Option<Held>>,
}

struct Held {
    token: Secret,
    until: Instant,
}

impl Bearer {
    /// `token_url`: that of the options, judged.
    pub(super) fn new(
        http: &oauth::Http,
        options: &LandingZoneOptions,
        token_url: Option<url::Url>,
    ) -> Result<Self> {
        let wrong = |text: &str| {
            Err(Error::credentials(
                Kind::Config,
                format!("landing zone: {text}"),
            ))
        };
        match (
            &options.access_token,
            token_url,
            &options.client_id,
            &options.client_secret,
        ) {
            (None, None, None, None) => Ok(Self::None),
            (Some(token), None, None, None) => Ok(Self::Given(token.clone())),
            (None, Some(url), Some(id), Some(secret)) => {
                Ok(Self::Client(Box::new(ClientCredentials {
                    http: http.clone(),
                    url,
                    client_id: id.clone(),
                    client_secret: secret.clone(),
                    scope: options.scopes.join(" "),
                    held: Mutex::new(None),
                })))
            }
            (Some(_), ..) => wrong("give `access_token` or `token_url`, not both"),
            _ => wrong(
                "`token_url`, `client_id` and `client_secret` belong together, one is missing",
            ),
        }
    }

    /// The token to send.
    pub(super) async fn token(&self) -> Result<Option<Secret>> {
        match self {
            Self::None => Ok(None),
            Self::Given(token) => token.read().map(Some).map_err(|e| unreadable(&e)),
            Self::Client(client) => client.token(None).await.map(Some),
        }
    }

    /// Another token than the one that was refused, if there is one.
    pub(super) async fn instead_of(&self, refused: &Secret) -> Result<Option<Secret>> {
        let token = match self {
            Self::Client(client) => Some(client.token(Some(refused)).await?),
            _ => self.token().await?,
        };
        Ok(token.filter(|token| token != refused))
    }
}

impl ClientCredentials {
    /// The held token, or a new one where it ends soon or is the refused one. Who comes while one is fetched waits for it.
    async fn token(&self, refused: Option<&Secret>) -> Result<Secret> {
        let mut held = self.held.lock().await;
        if let Some(held) = held.as_ref()
            && Instant::now() < held.until
            && Some(&held.token) != refused
        {
            return Ok(held.token.clone());
        }
        *held = None;
        let secret = self.client_secret.read().map_err(|e| unreadable(&e))?;
        let mut form = vec![
            ("grant_type", "client_credentials"),
            ("client_id", self.client_id.as_str()),
            ("client_secret", secret.expose()),
        ];
        if !self.scope.is_empty() {
            form.push(("scope", self.scope.as_str()));
        }
        let asked = Instant::now();
        let who = "the landing zone's token issuer";
        let token = oauth::post(&self.http, who, &self.url, &form, &[secret.expose()]).await?;
        let life = token.expires_in.map_or(UNKNOWN_LIFE, Duration::from_secs);
        let life = life.min(Duration::from_secs(7 * 86_400));
        *held = Some(Held {
            token: token.access_token.clone(),
            until: asked + life.saturating_sub(MARGIN.min(life / 10)),
        });
        Ok(token.access_token)
    }
}
