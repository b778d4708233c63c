//! `trainer man`.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, CommandFactory};
use clap_mangen::Man;

use trainer::files::write_whole;

use super::failure::EXIT_CODES;
use super::{Cli, output};

/// Print the manual page, or write the pages of all commands to a folder.
///
/// Examples:
///   trainer man | man -l -
///   trainer man --out ~/.local/share/man/man1
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct ManPages {
    /// Folder for trainer.1, trainer-run.1 and so on
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub fn carry_out(args: &ManPages) -> Result<()> {
    let Some(folder) = &args.out else {
        return output::write(page(Man::new(Cli::command()))?);
    };
    // `trainer help` has no page of its own, and every page says what an exit status means.
    let command = Cli::command().disable_help_subcommand(true);
    let mut command = command.mut_subcommands(|of_command| of_command.after_long_help(EXIT_CODES));
    command.build();
    let of_commands = command.get_subcommands().cloned();
    for man in of_commands.chain([command.clone()]).map(Man::new) {
        write_whole(&folder.join(man.get_filename()), page(man)?)?;
    }
    Ok(())
}

/// Returns a page. The text at the end of `--help` gets the heading that manual pages use for exit codes.
fn page(man: Man) -> Result<String> {
    let mut page = Vec::new();
    man.render(&mut page)?;
    Ok(String::from_utf8(page)?.replace(".SH EXTRA", ".SH EXIT STATUS"))
}
