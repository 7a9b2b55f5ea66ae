//! The first seconds of a signature.
//!
//! "When you establish a stored access policy on a container, it may take up to 30 seconds to take effect. During this
//! interval, a shared access signature that is associated with the stored access policy fails with status code 403"
//! (<https://learn.microsoft.com/rest/api/storageservices/define-stored-access-policy>). So a refusal of a signature that
//! came just now says nothing yet: such a request is sent again until the time is up.

use super::sas::Signature;
use async_trait::async_trait;
use object_store::{
    ClientOptions,
    client::{HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService},
};
use parking_lot::Mutex;
use std::{fmt, sync::Arc, time::Duration};
use tokio::time::Instant;

const TAKES_EFFECT_WITHIN: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// The signature that came last, and when. Whoever fetches signatures says so here.
#[derive(Default)]
pub(in crate::storage) struct Settling(Mutex<Option<(String, Instant)>>);

impl Settling {
    pub(in crate::storage) fn came(&self, signature: &Signature) {
        *self.0.lock() = signature.get("sig").map(|sig| (sig.to_owned(), Instant::now()));
    }

    /// How long a request with this query may still be refused although its signature is good.
    fn left(&self, query: &str) -> Option<Duration> {
        let (_, sig) = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "sig")?;
        let held = self.0.lock();
        let (last, came) = held.as_ref()?;
        let left = TAKES_EFFECT_WITHIN.saturating_sub(came.elapsed());
        (*last == sig && !left.is_zero()).then_some(left)
    }
}

impl fmt::Debug for Settling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Settling")
    }
}

/// Connects by `inner`; clients wait for new signatures to take effect.
#[derive(Debug)]
pub(super) struct Patient<C> {
    pub(super) inner: C,
    pub(super) settling: Arc<Settling>,
}

impl<C: HttpConnector> HttpConnector for Patient<C> {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(PatientClient {
            inner: self.inner.connect(options)?,
            settling: Arc::clone(&self.settling),
        }))
    }
}

#[derive(Debug)]
struct PatientClient {
    inner: HttpClient,
    settling: Arc<Settling>,
}

#[async_trait]
impl HttpService for PatientClient {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let mut pause = FIRST_PAUSE;
        loop {
            // A body is shared, not copied.
            let response = self.inner.execute(request.clone()).await?;
            if response.status() != 403 {
                return Ok(response);
            }
            let Some(left) = self.settling.left(request.uri().query().unwrap_or_default()) else {
                return Ok(response);
            };
            tokio::time::sleep(pause.min(left)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}
