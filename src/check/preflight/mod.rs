//! stub
use super::Report;
use crate::{config::Config, error::Result};
pub(super) async fn preflight(_config: &Config) -> Result<Report> {
    Ok(Report::clean(String::new()))
}
