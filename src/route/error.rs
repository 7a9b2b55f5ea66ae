//! What can be wrong with a route's configuration.

use crate::error::{Error, Kind};

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// `at`: byte position in the template, from 0.
    #[error("{problem} source=`{origin}` table=`{template}` at=`{at}`")]
    Template {
        origin: String,
        template: String,
        at: usize,
        problem: &'static str,
    },
    #[error(
        "the template's fixed text makes no table name; {problem} source=`{origin}` table=`{template}`"
    )]
    Name {
        origin: String,
        template: String,
        problem: &'static str,
    },
    #[error(
        "a table is bound to the source twice; keep one `[tables.…]` entry source=`{origin}` table=`{table}`"
    )]
    BoundTwice { origin: String, table: String },
}

impl RouteError {
    pub fn kind(&self) -> Kind {
        Kind::Config
    }
}

impl From<RouteError> for Error {
    fn from(error: RouteError) -> Self {
        Error::new(error.kind(), error.to_string())
    }
}
