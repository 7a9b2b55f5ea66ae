//! From a statement to its end.

use super::{
    Error, Manifest, PATH, Result, Statement, StatementState, Statements,
    answer::{Answer, ResultData, Status},
    redacted,
};
use crate::databricks::{
    Call, StatementFailure, StatementId, segment,
    wait::{Look, Waiting},
};
use serde_json::Value;
use std::time::Duration;

/// The first request may take so much longer than the service holds its answer back.
const ON_TOP: Duration = Duration::from_secs(60);
/// A statement that was canceled is looked at for so long.
const TO_BE_CANCELED: Duration = Duration::from_secs(10 * 60);

/// A statement that has succeeded.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub statement: StatementId,
    /// What the result is made of; `None` of a service that tells nothing.
    pub manifest: Option<Manifest>,
    /// Whether the results can no longer be read (`CLOSED`).
    pub closed: bool,
    pub(super) first: ResultData,
}

/// A statement as it is now.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub statement: StatementId,
    pub state: StatementState,
    /// Why it failed.
    pub failure: Option<StatementFailure>,
    /// Its result, if it has succeeded.
    pub outcome: Option<Outcome>,
}

impl From<Answer> for Snapshot {
    fn from(answer: Answer) -> Self {
        let Answer {
            statement_id,
            status:
                Status {
                    state,
                    error,
                    sql_state,
                },
            manifest,
            result,
        } = answer;
        let closed = state == StatementState::Closed;
        let outcome = (closed || state == StatementState::Succeeded).then(|| Outcome {
            statement: statement_id.clone(),
            manifest,
            closed,
            first: result.unwrap_or_default(),
        });
        let error = error.unwrap_or_default();
        let failure = (state == StatementState::Failed).then(|| StatementFailure {
            statement: statement_id.clone(),
            message: match error.message.as_deref() {
                Some(message) => redacted(message),
                None => "the service does not say why".into(),
            },
            error_code: error.error_code,
            sql_state,
        });
        Self {
            statement: statement_id,
            state,
            failure,
            outcome,
        }
    }
}

impl Snapshot {
    /// The outcome of a statement that has ended.
    ///
    /// Errors: `StatementFailed`; `Canceled`; `Unexpected` if it has not ended.
    pub fn into_outcome(self) -> Result<Outcome> {
        if let Some(outcome) = self.outcome {
            return Ok(outcome);
        }
        if let Some(failure) = self.failure {
            return Err(Error::Statement(Box::new(failure)));
        }
        if self.state == StatementState::Canceled {
            let what = format!("by whoever may stop it, statement=`{}`", self.statement);
            return Err(Error::Canceled { what });
        }
        Err(Error::unexpected(format!(
            "the statement has not ended, statement=`{}` state=`{}`",
            self.statement, self.state
        )))
    }
}

impl Statements {
    /// Runs a statement to its end, within a day.
    ///
    /// Errors: `InvalidParameter` before anything is sent; `StatementFailed`; `Canceled`. If the future is dropped, the
    /// statement goes on.
    pub async fn execute(&self, statement: &Statement) -> Result<Outcome> {
        self.execute_with(statement, &while_it_runs()).await
    }

    /// The same with limits and progress of the caller's. A statement that is waited for in vain, or whose wait is stopped,
    /// is canceled; should it end well all the same, its outcome is the answer.
    pub async fn execute_with(&self, statement: &Statement, waiting: &Waiting) -> Result<Outcome> {
        let snapshot = self.submit(statement).await?;
        if snapshot.state.is_final() {
            return snapshot.into_outcome();
        }
        let id = snapshot.statement;
        match self.ended(&id, waiting).await {
            // Only the wait itself tells so; what the service tells is another error. Failures of looks that may pass are
            // no end of the wait.
            Err(gave_up @ Error::Told { .. }) => {
                self.cancel(&id).await?;
                let ended = self
                    .ended(&id, &while_it_runs().limit(TO_BE_CANCELED))
                    .await?;
                match ended.state {
                    StatementState::Canceled => Err(gave_up),
                    _ => ended.into_outcome(),
                }
            }
            ended => ended?.into_outcome(),
        }
    }

    /// Hands a statement over, and tells how it is when the service answers: at once, or after its `wait_seconds`.
    pub async fn submit(&self, statement: &Statement) -> Result<Snapshot> {
        statement.check()?;
        let held = Duration::from_secs(statement.wait_seconds.into());
        let call = Call::post(PATH)
            .json(statement.body())
            .timeout(held + ON_TOP);
        let call = match statement.repeatable {
            true => call,
            false => call.once(),
        };
        let answer: Answer = self.workspace.send(call).await.map_err(unquoted)?;
        tracing::debug!(
            connection = self.workspace.name(),
            statement = %answer.statement_id,
            state = %answer.status.state,
            "statement submitted"
        );
        Ok(answer.into())
    }

    /// How a statement is now. Errors: `NotFound` some twelve hours after its end.
    pub async fn get(&self, id: &StatementId) -> Result<Snapshot> {
        let answer: Answer = self.workspace.send(Call::get(at(id, ""))).await?;
        Ok(answer.into())
    }

    /// Waits for a statement's end; one that is waited for in vain goes on.
    ///
    /// Errors: `StatementFailed`, `Canceled` by whomever, those of [`Waiting`].
    pub async fn wait(&self, id: &StatementId, waiting: &Waiting) -> Result<Outcome> {
        self.ended(id, waiting).await?.into_outcome()
    }

    async fn ended(&self, id: &StatementId, waiting: &Waiting) -> Result<Snapshot> {
        waiting
            .until("statement", id, async || {
                let snapshot = self.get(id).await?;
                Ok(match snapshot.state.is_final() {
                    true => Look::Done(snapshot),
                    false => Look::Again {
                        state: snapshot.state.to_string(),
                        message: String::new(),
                    },
                })
            })
            .await
    }

    /// Asks for a statement's end. It may end otherwise first: only [`Statements::get`] tells.
    pub async fn cancel(&self, id: &StatementId) -> Result<()> {
        let call = Call::post(at(id, "/cancel"));
        self.workspace.send::<Value>(call).await.map(drop)
    }
}

/// Pauses that suit statements: half a second, a second, … five seconds.
fn while_it_runs() -> Waiting {
    Waiting::default()
        .pauses(Duration::from_millis(500), Duration::from_secs(5))
        .limit(Duration::from_secs(24 * 60 * 60))
}

/// A refusal whose words quote no credential.
fn unquoted(error: Error) -> Error {
    match error {
        Error::Api(mut told) => {
            told.message = redacted(&told.message);
            Error::Api(told)
        }
        error => error,
    }
}

pub(super) fn at(id: &StatementId, rest: &str) -> String {
    format!("{PATH}/{}{rest}", segment(id))
}
