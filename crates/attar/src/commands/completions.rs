//! `attar completions` and `attar man`: both from the definition of the command line.

use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::cli::Cli;
use crate::error::CliError;
use crate::output::print;

/// Prints the completions of a shell.
pub(crate) fn completions(shell: Shell) -> Result<(), CliError> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "attar", &mut text);
    print(&String::from_utf8_lossy(&text))
}

/// Prints one manual page: the command, then each command below it.
pub(crate) fn man() -> Result<(), CliError> {
    print(&manual().map_err(CliError::output)?)
}

fn manual() -> std::io::Result<String> {
    let mut attar = Cli::command();
    attar.build();
    let mut page = Vec::new();
    Man::new(attar.clone()).render(&mut page)?;
    sections(&attar, &mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

/// A section for each command below `command`: its usage, its purpose, its flags and examples as subsections.
fn sections(command: &clap::Command, page: &mut Vec<u8>) -> std::io::Result<()> {
    for command in command.get_subcommands().filter(|command| command.get_name() != "help") {
        let name = command.get_bin_name().unwrap_or(command.get_name()).to_uppercase();
        let man = Man::new(command.clone());
        let mut section = Vec::new();
        man.render_synopsis_section(&mut section)?;
        man.render_description_section(&mut section)?;
        man.render_options_section(&mut section)?;
        man.render_extra_section(&mut section)?;
        let section = String::from_utf8_lossy(&section).replace(".SH ", ".SS ");
        page.extend(format!(".SH \"{name}\"\n{section}").bytes());
        sections(command, page)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every flag of every command, `--like-this`.
    fn flags(command: &clap::Command) -> Vec<String> {
        let own = command.get_arguments().filter_map(|argument| argument.get_long());
        let own = own.map(|long| format!("--{long}"));
        own.chain(command.get_subcommands().flat_map(flags)).collect()
    }

    fn all_flags() -> Vec<String> {
        let mut attar = Cli::command();
        attar.build();
        let flags = flags(&attar);
        assert!(flags.len() > 60 && flags.contains(&"--label-budget".to_owned()), "{flags:?}");
        flags
    }

    #[test]
    fn the_manual_has_every_command_and_every_flag() {
        let manual = manual().unwrap().replace("\\-", "-");
        for flag in all_flags() {
            assert!(manual.contains(&flag), "{flag}");
        }
        for section in [".SH \"ATTAR TRAIN\"", ".SH \"ATTAR DATA FETCH\"", ".SH \"ATTAR LAB AUTOENCODERS\""] {
            assert!(manual.contains(section), "{section}");
        }
        assert!(!manual.contains("ATTAR HELP"));
    }

    #[test]
    fn completions_have_every_flag() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::PowerShell, Shell::Elvish] {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "attar", &mut text);
            let text = String::from_utf8(text).unwrap();
            for flag in all_flags() {
                // Fish and others leave the dashes to an option of their own: `-l label-budget`.
                assert!(text.contains(flag.trim_start_matches('-')), "{shell}: {flag}");
            }
        }
    }
}
