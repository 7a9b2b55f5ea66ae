//! `alluvium completions`.

use super::{Cli, output};
use crate::error::Result;
use clap::CommandFactory;
use clap_complete::Shell;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  alluvium completions bash > /etc/bash_completion.d/alluvium
  alluvium completions zsh > \"${fpath[1]}/_alluvium\"
  alluvium completions fish > ~/.config/fish/completions/alluvium.fish")]
pub(super) struct Args {
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run(args: Args) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "alluvium", &mut script);
    output::print(&String::from_utf8_lossy(&script))
}
