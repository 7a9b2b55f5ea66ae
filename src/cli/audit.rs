//! `alluvium audit`.

use super::{args::ConfigArgs, output};
use crate::{
    check,
    error::{Error, Kind, Result},
};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  alluvium audit --config alluvium.toml --source clicks

From the tables alone: that ranges join, that no offset stands twice, that counts add up. With the
source, read again where tables have gaps: that nothing is missing. It says what a log that was
cleaned can no longer prove. Exit code 5 when there is a fault.")]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,

    /// The source whose tables are audited together
    #[arg(long, value_name = "NAME")]
    source: String,
}

pub(super) async fn run(args: Args) -> Result<()> {
    let config = args.config.load(None)?;
    if !config.sources.contains_key(&args.source) {
        let known: Vec<&str> = config.sources.keys().map(String::as_str).collect();
        return Err(Error::new(
            Kind::Config,
            format!(
                "--source: the configuration has no such source, source=`{}` sources=`{}`",
                args.source,
                known.join(", ")
            ),
        ));
    }
    output::report(check::audit_source(&config, &args.source).await?)
}
