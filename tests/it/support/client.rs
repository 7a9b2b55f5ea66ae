//! Posting events.

use serde_json::Value;
use std::time::Duration;

pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) retry_after: Option<String>,
}

impl Client {
    pub(crate) fn of(address: &str) -> Self {
        Self {
            http: reqwest::Client::builder()
                .timeout(Duration::from_secs(20))
                .build()
                .expect("a client"),
            base: format!("http://{address}/v1/events"),
        }
    }

    /// `path`: the table, with a query if any. An error: nothing is known of the request.
    pub(crate) async fn try_post(
        &self,
        path: &str,
        body: impl Into<reqwest::Body>,
        headers: &[(&str, &str)],
    ) -> Result<Answer, reqwest::Error> {
        let mut request = self.http.post(format!("{}/{path}", self.base)).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await?;
        let status = response.status().as_u16();
        let retry_after = response
            .headers()
            .get("retry-after")
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let text = response.text().await?;
        Ok(Answer {
            status,
            body: serde_json::from_str(&text).unwrap_or(Value::String(text)),
            retry_after,
        })
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        self.try_post(path, body, &[]).await.expect("an answer")
    }

    /// Posts and waits for the commit; the version it landed in.
    pub(crate) async fn commit(&self, table: &str, body: impl Into<reqwest::Body>) -> u64 {
        let answer = self.post(&format!("{table}?ack=commit"), body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body["version"].as_u64().expect("a version")
    }
}
