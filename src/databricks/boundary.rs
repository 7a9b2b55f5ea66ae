//! This room's errors in the words of the other rooms; the one file that knows them.

use super::{Error, Kind};
use crate::error;

impl From<Error> for error::Error {
    fn from(error: Error) -> Self {
        let kind = match error.kind() {
            Kind::Unauthenticated | Kind::PermissionDenied => error::Kind::Unauthorized,
            Kind::RateLimited
            | Kind::Unavailable
            | Kind::Timeout
            | Kind::Network
            | Kind::Quota
            | Kind::Canceled
            | Kind::Unexpected => error::Kind::Unavailable,
            Kind::AlreadyExists => error::Kind::Conflict,
            Kind::NotFound | Kind::Options => error::Kind::Config,
            Kind::InvalidParameter | Kind::StatementFailed | Kind::CommandFailed => {
                error::Kind::InvalidData
            }
            Kind::Unsupported => error::Kind::Unsupported,
        };
        error::Error::new(kind, error.to_string())
    }
}
