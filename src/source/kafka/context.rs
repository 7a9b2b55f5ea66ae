//! What librdkafka calls back: logs, errors, statistics, tokens, and rebalances, which are only recorded.

use super::{OauthOptions, error::kind_of, metrics, oauth, quiet::Quiet};
use crate::secret::Secret;
use parking_lot::Mutex;
use rdkafka::{
    ClientContext, Statistics,
    client::OAuthToken,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    topic_partition_list::TopicPartitionList,
    types::RDKafkaRespErr,
    util::Timeout,
};
use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// A rebalance that waits for its answer: librdkafka sends no other before the assign or unassign
/// call, and delivers no records meanwhile (`rd_kafka_rebalance_op`, librdkafka 2.12).
#[derive(Clone, Debug)]
pub(crate) enum Rebalance {
    Assign(Vec<(Arc<str>, i32)>),
    /// `lost`: others may own the partitions already.
    Revoke {
        partitions: Vec<(Arc<str>, i32)>,
        lost: bool,
    },
}

/// The callbacks of one client. Called on the thread that polls.
pub(crate) struct KafkaContext {
    source: Arc<str>,
    oauth: Option<OauthOptions>,
    secrets: Vec<Secret>,
    rebalances: Mutex<VecDeque<Rebalance>>,
    /// While the consumer closes, revocations are answered at once.
    closing: AtomicBool,
    /// What librdkafka said last of an error; it names topic and offset where the code does not.
    last_error: Mutex<Option<(RDKafkaErrorCode, String)>>,
    quiet: Mutex<Quiet>,
}

impl KafkaContext {
    pub(crate) fn new(source: Arc<str>, oauth: Option<OauthOptions>, secrets: Vec<Secret>) -> Self {
        Self {
            source,
            oauth,
            secrets,
            rebalances: Mutex::default(),
            closing: AtomicBool::new(false),
            last_error: Mutex::default(),
            quiet: Mutex::default(),
        }
    }

    pub(crate) fn next_rebalance(&self) -> Option<Rebalance> {
        self.rebalances.lock().pop_front()
    }

    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }

    /// The text that came with the last error of this code.
    pub(crate) fn reason(&self, code: RDKafkaErrorCode) -> Option<String> {
        let last = self.last_error.lock();
        last.as_ref()
            .filter(|(c, _)| *c == code)
            .map(|(_, text)| text.clone())
    }

    /// The last error and the text that came with it, secrets taken out.
    pub(crate) fn last_error(&self) -> Option<(RDKafkaErrorCode, String)> {
        self.last_error.lock().clone()
    }

    fn redact(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.secrets {
            if text.contains(secret.expose()) {
                text = text.replace(secret.expose(), "[redacted]");
            }
        }
        text
    }
}

impl ClientContext for KafkaContext {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        let (source, message) = (&*self.source, self.redact(message));
        if matches!(level, RDKafkaLogLevel::Debug) {
            tracing::debug!(target: "librdkafka", source, facility, "{message}");
            return;
        }
        let Some(held_back) = self.quiet.lock().hear(&message, Instant::now()) else {
            tracing::debug!(target: "librdkafka", source, facility, "{message}");
            return;
        };
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error => {
                tracing::error!(target: "librdkafka", source, facility, held_back, "{message}");
            }
            RDKafkaLogLevel::Warning => {
                tracing::warn!(target: "librdkafka", source, facility, held_back, "{message}");
            }
            _ => tracing::info!(target: "librdkafka", source, facility, held_back, "{message}"),
        }
    }

    fn stats(&self, statistics: Statistics) {
        metrics::lag(&self.source, &statistics);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        // A field this version of the binding does not know must not flood the log.
        match serde_json::from_slice(statistics) {
            Ok(statistics) => self.stats(statistics),
            Err(error) => {
                tracing::debug!(source = &*self.source, %error, "statistics do not parse")
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let mut reason = self.redact(reason);
        if let Some(code) = error.rdkafka_error_code() {
            if code == RDKafkaErrorCode::PartitionEOF {
                return;
            }
            metrics::error(kind_of(code));
            let mut last = self.last_error.lock();
            match &*last {
                // That brokers are down says less than why.
                Some((known, why))
                    if code == RDKafkaErrorCode::AllBrokersDown && *known != code =>
                {
                    reason = format!("{reason}: {why}");
                }
                _ => *last = Some((code, reason.clone())),
            }
        }
        match self.quiet.lock().hear(&reason, Instant::now()) {
            Some(held_back) => {
                tracing::warn!(source = &*self.source, error = %error, held_back, "{reason}");
            }
            None => tracing::debug!(source = &*self.source, error = %error, "{reason}"),
        }
    }

    fn generate_oauth_token(
        &self,
        _: Option<&str>,
    ) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        let options = self.oauth.as_ref().ok_or("no oauth option is set")?;
        let token = oauth::fetch(options, chrono::Utc::now().timestamp_millis()).inspect_err(|error| {
            tracing::error!(source = &*self.source, %error, "token refresh failed, librdkafka tries again in ten seconds");
        })?;
        Ok(OAuthToken {
            token: token.value.expose().to_owned(),
            principal_name: token.principal,
            lifetime_ms: token.expires_ms,
        })
    }
}

impl ConsumerContext for KafkaContext {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        event: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let assign = event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.closing.load(Ordering::Acquire) {
            let answer = match consumer.rebalance_protocol() {
                RebalanceProtocol::Cooperative if assign => {
                    consumer.incremental_assign(&TopicPartitionList::new())
                }
                RebalanceProtocol::Cooperative => consumer.incremental_unassign(partitions),
                _ => consumer.unassign(),
            };
            if let Err(error) = answer {
                tracing::debug!(source = &*self.source, %error, "unassigning while closing");
            }
            return;
        }
        let partitions = partitions
            .elements()
            .iter()
            .map(|e| (Arc::from(e.topic()), e.partition()))
            .collect();
        self.rebalances.lock().push_back(if assign {
            Rebalance::Assign(partitions)
        } else {
            Rebalance::Revoke {
                partitions,
                lost: consumer.assignment_lost(),
            }
        });
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        match result {
            Ok(()) => {}
            Err(KafkaError::ConsumerCommit(
                RDKafkaErrorCode::NoOffset
                | RDKafkaErrorCode::RebalanceInProgress
                | RDKafkaErrorCode::IllegalGeneration
                | RDKafkaErrorCode::UnknownMemberId,
            )) => {}
            // Nobody believes them, so a failure harms only lag tools.
            Err(error) => {
                tracing::warn!(source = &*self.source, %error, "group offsets are not stored")
            }
        }
    }

    fn main_queue_min_poll_interval(&self) -> Timeout {
        Timeout::After(Duration::from_millis(100))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_cut_from_what_librdkafka_says() {
        let context = KafkaContext::new("s".into(), None, vec![Secret::new("hunter2")]);
        let error = KafkaError::Global(RDKafkaErrorCode::Authentication);
        context.error(error, "password hunter2 is wrong");
        let said = context.reason(RDKafkaErrorCode::Authentication).unwrap();
        assert_eq!(said, "password [redacted] is wrong");
        assert!(context.reason(RDKafkaErrorCode::Fail).is_none());
    }

    #[test]
    fn a_token_that_is_not_to_be_had_is_an_error() {
        let context = KafkaContext::new("s".into(), None, Vec::new());
        assert!(context.generate_oauth_token(None).is_err());
    }
}
