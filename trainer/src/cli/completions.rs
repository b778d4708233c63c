//! `trainer completions`.

use anyhow::Result;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, output};

/// Print a script that makes your shell complete commands, options and values.
///
/// Examples:
///   trainer completions bash > \
///       ~/.local/share/bash-completion/completions/trainer
///   trainer completions zsh > ~/.zfunc/_trainer
///   trainer completions fish > ~/.config/fish/completions/trainer.fish
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub fn carry_out(args: &Completions) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "trainer", &mut script);
    output::write(script)
}
