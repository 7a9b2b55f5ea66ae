//! What can be tried of a source without starting it, for `alluvium check`.

use super::{HttpError, HttpOptions, TlsOptions, server};

/// Binds the address of the options and lets it go at once.
///
/// # Errors
/// [`HttpError::Bind`] where it is taken, [`HttpError::Open`] where keys are needed.
pub async fn check_listen(options: &HttpOptions) -> Result<(), HttpError> {
    server::bind(options).await.map(drop)
}

/// Reads certificate and key as a listener would.
///
/// # Errors
/// [`HttpError::Tls`], naming the part.
pub fn check_tls(options: &TlsOptions) -> Result<(), HttpError> {
    server::acceptor(options).map(drop)
}
