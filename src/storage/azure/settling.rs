//! The first seconds of a signature.
//!
//! "When you establish a stored access policy on a container, it may take up to 30 seconds to take effect. During this
//! interval, a shared access signature that is associated with the stored access policy fails with status code 403"
//! (<https://learn.microsoft.com/rest/api/storageservices/define-stored-access-policy>). So a refusal of a signature that
//! came just now says nothing yet: such a request is sent again until the time is up, or the signature has been accepted
//! once; from then on a refusal means that it has ended.

use super::sas::Signature;
use async_trait::async_trait;
use object_store::{
    ClientOptions,
    client::{HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService},
};
use parking_lot::Mutex;
use reqwest::StatusCode;
use std::{fmt, sync::Arc, time::Duration};
use tokio::time::Instant;

/// So long a refusal of a new signature says nothing.
pub(in crate::storage) const TAKES_EFFECT_WITHIN: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// The signature that came last and was not accepted yet, and when it came. Whoever fetches signatures says so here.
#[derive(Default)]
pub(in crate::storage) struct Settling(Mutex<Option<(String, Instant)>>);

impl Settling {
    pub(in crate::storage) fn came(&self, signature: &Signature) {
        *self.0.lock() = signature
            .get("sig")
            .map(|sig| (sig.to_owned(), Instant::now()));
    }

    /// Learns from the answer to a request with this query. If it was refused, although its signature may be good: for
    /// how long that may go on.
    fn answered(&self, query: &str, status: StatusCode) -> Option<Duration> {
        let (_, sig) =
            url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "sig")?;
        let mut held = self.0.lock();
        let (_, came) = held.as_ref().filter(|(last, _)| *last == sig)?;
        let left = TAKES_EFFECT_WITHIN.saturating_sub(came.elapsed());
        match status.as_u16() {
            403 => (!left.is_zero()).then_some(left),
            429 | 500.. => None,
            _ => {
                *held = None;
                None
            }
        }
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
            let query = request.uri().query().unwrap_or_default();
            let Some(left) = self.settling.answered(query, response.status()) else {
                return Ok(response);
            };
            tokio::time::sleep(pause.min(left)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::client::{HttpRequestBody, HttpResponseBody};

    const OLD: &str = "zVQfmuElZJzOKkUk8z5lChrJ3YQUE2h6EShDZOsVeMc=";
    const NEW: &str = "++/8z5lChrJ3YQUE2h6EShDZOsVeMczVQfmuElZJzOI=";

    /// A container that takes a signature only from some moment on; counts its refusals.
    #[derive(Debug)]
    struct Container {
        from: Instant,
        refused: Arc<Mutex<u32>>,
    }

    #[async_trait]
    impl HttpService for Container {
        async fn call(&self, _: HttpRequest) -> Result<HttpResponse, HttpError> {
            let taken = Instant::now() >= self.from;
            *self.refused.lock() += u32::from(!taken);
            let mut response = HttpResponse::new(HttpResponseBody::from(String::new()));
            *response.status_mut() = if taken { 200 } else { 403 }.try_into().unwrap();
            Ok(response)
        }
    }

    fn signature(sig: &str) -> Signature {
        Signature::parse(&format!("sv=1&sr=c&sig={sig}")).unwrap().0
    }

    /// The status of a request with a signature, the refusals it met, and how long it took.
    async fn ask(settling: &Arc<Settling>, takes_effect: u64, sig: &str) -> (u16, u32, Duration) {
        let began = Instant::now();
        let refused = Arc::new(Mutex::new(0));
        let container = Container {
            from: began + Duration::from_secs(takes_effect),
            refused: Arc::clone(&refused),
        };
        let client = PatientClient {
            inner: HttpClient::new(container),
            settling: Arc::clone(settling),
        };
        let mut url = url::Url::parse("https://h/c/b?comp=block").unwrap();
        url.query_pairs_mut().append_pair("sig", sig);
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.uri_mut() = url.as_str().parse().unwrap();
        let status = client.call(request).await.unwrap().status().as_u16();
        let refused = *refused.lock();
        (status, refused, began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_signature_is_given_thirty_seconds_and_no_other_is() {
        let settling = Arc::new(Settling::default());
        let none = Duration::ZERO;
        assert_eq!(
            ask(&settling, 60, OLD).await,
            (403, 1, none),
            "of the configuration"
        );
        settling.came(&signature(NEW));
        assert_eq!(
            ask(&settling, 60, OLD).await,
            (403, 1, none),
            "the old one is asked for at once"
        );
        let (status, refused, took) = ask(&settling, 20, NEW).await;
        assert_eq!(status, 200);
        assert!(
            refused < 12 && took < Duration::from_secs(25),
            "{refused} in {took:?}"
        );
        assert_eq!(
            ask(&settling, 60, NEW).await,
            (403, 1, none),
            "it was accepted before"
        );

        settling.came(&signature(OLD));
        let (status, _, took) = ask(&settling, 60, OLD).await;
        assert_eq!((status, took), (403, TAKES_EFFECT_WITHIN));
        assert_eq!(
            ask(&settling, 60, OLD).await,
            (403, 1, none),
            "and it is judged bad"
        );
    }
}
