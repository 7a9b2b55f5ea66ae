//! One table's turn: from what is wanted to what its log shows.

use super::{
    changes::{merge, outstanding},
    error::{ControlError, Result},
    sql::{CreateTable, Principal, Statement, alterations},
    warehouse::{SqlRunner, Target},
};
use crate::{error::Kind, schema::SchemaChange};

/// How often what is left is tried again at once when somebody else was quicker.
const RACES: usize = 5;

/// What a table wants of its catalog.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Wants {
    /// Whether the catalog is known to have the table.
    pub(super) registered: bool,
    pub(super) changes: Vec<SchemaChange>,
    /// Changes that were refused: they are struck once they stand, and not run.
    pub(super) aside: Vec<SchemaChange>,
    /// The log's schema is another than the catalog's, which is to take it over.
    pub(super) sync: bool,
    /// In what the catalog differed when it last took the log over. Where it differs so again, that has not helped, and
    /// is not tried for ever.
    pub(super) synced: Vec<String>,
}

impl Wants {
    pub(super) fn is_done(&self) -> bool {
        self.is_run() && self.aside.is_empty()
    }

    /// Whether nothing is left to be run.
    fn is_run(&self) -> bool {
        self.registered && self.changes.is_empty() && !self.sync
    }

    /// Those that stand aside too.
    pub(super) fn all_changes(&self) -> Vec<SchemaChange> {
        let mut all = self.aside.clone();
        merge(&mut all, &self.changes);
        all
    }
}

/// What failed, and what a person would run to mend it.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) error: ControlError,
    /// The statement that failed, or that could not be run.
    pub(super) statement: Option<Statement>,
    /// It concerns all tables of the warehouse.
    pub(super) is_common: bool,
}

impl From<ControlError> for Failure {
    fn from(error: ControlError) -> Self {
        Failure {
            is_common: error.is_common(),
            error,
            statement: None,
        }
    }
}

impl Failure {
    pub(super) fn common(error: &ControlError) -> Self {
        Failure {
            error: error.clone(),
            statement: None,
            is_common: true,
        }
    }

    /// Whether a statement was refused for what no repetition mends.
    pub(super) fn is_refusal(&self) -> bool {
        let is_lasting = matches!(
            self.error.kind(),
            Kind::Unauthorized | Kind::InvalidData | Kind::Config | Kind::Unsupported
        );
        self.statement.is_some() && is_lasting && !self.is_common && !self.error.is_race()
    }
}

/// What is to be run now, from what the catalog and the log say; nothing of it needs the warehouse. What is done
/// already is struck from `wants`.
pub(super) async fn statements(
    runner: &dyn SqlRunner,
    target: &Target,
    wants: &mut Wants,
) -> Result<Vec<Statement>> {
    let mut statements = Vec::new();
    // A catalog takes the schema from the log, so there must be one.
    let Some(schema) = target.log.schema().await? else {
        return Ok(statements);
    };
    wants.aside = outstanding(&schema, &wants.aside);
    let left = outstanding(&schema, &wants.changes);
    if left != wants.changes {
        wants.changes = left;
        target.log.changed();
    }
    if !wants.registered {
        match runner.find_table(&target.name).await? {
            Some(found) => match found.misfit(&target.location) {
                Some(problem) => {
                    return Err(ControlError::Misfit {
                        problem,
                        table: target.name.to_string(),
                    });
                }
                None => {
                    wants.registered = true;
                    let differences = found.differences(&schema);
                    if !differences.is_empty() && differences != wants.synced {
                        tracing::info!(
                            table = %target.name,
                            differences = differences.join(", "),
                            "the catalog is not what the table's log shows: it is to take it over"
                        );
                        wants.sync = true;
                        wants.synced = differences;
                    }
                }
            },
            None => {
                statements.push(Statement::CreateSchema {
                    schema: target.name.schema().clone(),
                    comment: None,
                });
                let create = CreateTable::register(
                    target.name.clone(),
                    target.location.clone(),
                    target.comment.clone(),
                );
                statements.push(Statement::CreateTable(create));
            }
        }
    }
    statements.extend(alterations(&target.name, &wants.changes)?);
    if wants.sync {
        // A table that is registered only now takes the schema as it is.
        match wants.registered {
            true => statements.push(Statement::SyncMetadata {
                table: target.name.clone(),
            }),
            false => wants.sync = false,
        }
    }
    Ok(statements)
}

/// What a table wants, read once for a command that a person runs: the catalog is asked, no warehouse is started.
struct Command {
    wants: Wants,
    statements: Vec<Statement>,
    texts: Vec<String>,
}

impl Command {
    async fn read(
        runner: &dyn SqlRunner,
        target: &Target,
        changes: Vec<SchemaChange>,
        sync: bool,
    ) -> Result<Self> {
        let mut wants = Wants {
            changes,
            sync,
            ..Wants::default()
        };
        let statements = statements(runner, target, &mut wants).await?;
        let texts: Result<Vec<String>> = statements.iter().map(Statement::sql).collect();
        Ok(Self {
            wants,
            texts: texts?,
            statements,
        })
    }
}

/// The statements that would do what a table wants, as text. The catalog is asked; no warehouse is started.
///
/// # Errors
/// Those of the catalog and of the log; a table of the catalog that is not ours.
pub async fn plan(
    runner: &dyn SqlRunner,
    target: &Target,
    changes: Vec<SchemaChange>,
    sync: bool,
) -> Result<Vec<String>> {
    let command = Command::read(runner, target, changes, sync).await?;
    Ok(command.texts)
}

/// What a table wants, done now: for a command that a person runs. Returned is what was run, as text; nothing where
/// catalog and log show it all. The warehouse is started where there is something to run.
///
/// # Errors
/// What failed, with the statement and the grants that would mend it.
pub async fn apply(
    runner: &dyn SqlRunner,
    target: &Target,
    changes: Vec<SchemaChange>,
    sync: bool,
) -> Result<Vec<String>> {
    let mut command = Command::read(runner, target, changes, sync).await?;
    if !command.statements.is_empty() {
        runner.ensure_running().await?;
        if let Err(failure) = run(runner, target, &mut command.wants, command.statements).await {
            return Err(ControlError::Service {
                kind: failure.error.kind(),
                message: failure.told(runner).await,
            });
        }
    }
    Ok(command.texts)
}

/// Runs statements on a warehouse that is awake, until the log shows what was wanted.
///
/// A failure of one statement is none where the log shows what it was to do: somebody else has done it.
pub(super) async fn run(
    runner: &dyn SqlRunner,
    target: &Target,
    wants: &mut Wants,
    mut statements: Vec<Statement>,
) -> Result<(), Failure> {
    for attempt in 0.. {
        let before = (wants.changes.clone(), wants.registered);
        if !wants.registered {
            // Whose table the name is must be known before it is changed: `IF NOT EXISTS` may have found a stranger's.
            statements.retain(|statement| {
                matches!(
                    statement,
                    Statement::CreateSchema { .. } | Statement::CreateTable(_)
                )
            });
        }
        let failure = run_all(runner, wants, &statements).await.err();
        // A statement that reached the log may not have reached the catalog, and another may have dropped the table.
        wants.registered &= failure.is_none();
        let left = self::statements(runner, target, wants).await?;
        if wants.is_run() {
            return Ok(());
        }
        let progressed = (&wants.changes, wants.registered) != (&before.0, before.1);
        match failure {
            None if progressed && attempt < RACES => {}
            None => {
                return Err(Failure {
                    error: ControlError::Unseen {
                        url: target.location.url().to_owned(),
                    },
                    statement: left.into_iter().next(),
                    is_common: false,
                });
            }
            Some(failure) if attempt < RACES && (progressed || failure.error.is_race()) => {}
            Some(failure) => return Err(failure),
        }
        statements = left;
    }
    Ok(())
}

/// Runs them one after the other. The first failure is returned; what does not depend on it is run all the same.
async fn run_all(
    runner: &dyn SqlRunner,
    wants: &mut Wants,
    statements: &[Statement],
) -> Result<(), Failure> {
    let mut first: Option<Failure> = None;
    let mut todo: Vec<Statement> = statements.iter().rev().cloned().collect();
    while let Some(statement) = todo.pop() {
        let Err(error) = run_one(runner, &statement).await else {
            if matches!(statement, Statement::SyncMetadata { .. }) {
                wants.sync = false;
            }
            continue;
        };
        let is_refused =
            matches!(&error, ControlError::Statement { kind, .. } if *kind == Kind::InvalidData);
        let is_race = error.is_race();
        let failure = Failure {
            statement: Some(statement.clone()),
            ..Failure::from(error)
        };
        match statement {
            // One column that is refused does not keep the others from the table.
            Statement::AddColumns { table, mut columns }
                if is_refused && !is_race && columns.len() > 1 =>
            {
                let rest = columns.split_off(columns.len() / 2);
                for columns in [rest, columns] {
                    let table = table.clone();
                    todo.push(Statement::AddColumns { table, columns });
                }
            }
            // A schema that may not be made may be there; other columns have nothing to do with this one.
            Statement::CreateSchema { .. } | Statement::AlterType { .. } => {
                first.get_or_insert(failure);
            }
            Statement::AddColumns { .. } if is_refused => {
                first.get_or_insert(failure);
            }
            // A schema that is there is not to be made: then what the table lacks is to be told.
            Statement::CreateTable(_) if !failure.error.lacks_schema() => return Err(failure),
            _ => return Err(first.unwrap_or(failure)),
        }
    }
    first.map_or(Ok(()), Err)
}

async fn run_one(runner: &dyn SqlRunner, statement: &Statement) -> Result<()> {
    let sql = statement.sql()?;
    tracing::info!(sql, "a statement for the warehouse");
    let ran = runner.run(&sql).await;
    let outcome = match &ran {
        Ok(()) => "succeeded",
        Err(ControlError::Statement { .. }) => "failed",
        Err(_) => "unknown",
    };
    metrics::counter!("alluvium_control_statements_total", "outcome" => outcome).increment(1);
    ran
}

impl Failure {
    /// For the log: what failed, the statement to run, and the grants where rights are missing: no table's mend what
    /// keeps all of them waiting.
    pub(super) async fn told(&self, runner: &dyn SqlRunner) -> String {
        let mut text = self.error.to_string();
        let Some(statement) = &self.statement else {
            return text;
        };
        if self.error.kind() == Kind::Unauthorized && !self.is_common {
            let principal = match runner.principal().await {
                Ok(principal) => principal,
                Err(_) => Principal("<the connection's principal>".into()),
            };
            text += &format!("; grant: {}", statement.grants(&principal).join("; "));
        }
        if let Ok(sql) = statement.sql() {
            text += &format!("; or run it yourself: {sql}");
        }
        text
    }
}
