//! Events over HTTP.

mod options;

pub use options::{HttpAck, HttpKey, HttpOptions, TlsOptions};
