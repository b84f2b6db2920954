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
    let man = Man::new(attar.clone());
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    man.render_extra_section(&mut page)?;
    let page = String::from_utf8_lossy(&page).into_owned() + &sections(&attar)?;
    Ok(page.replace("EXTRA\nExamples:", "EXAMPLES"))
}

/// A section for each command below `command`: usage, purpose, its own flags, examples.
fn sections(command: &clap::Command) -> std::io::Result<String> {
    let mut page = String::new();
    for command in command.get_subcommands().filter(|command| command.get_name() != "help") {
        let name = command.get_bin_name().unwrap_or(command.get_name()).to_uppercase();
        let usage = command.clone().render_usage().to_string().replace('-', "\\-");
        let own = command.clone().mut_args(|flag| {
            let common = flag.is_global_set() || flag.get_id() == "help";
            flag.hide(common)
        });
        let man = Man::new(own);
        let mut body = Vec::new();
        man.render_description_section(&mut body)?;
        man.render_options_section(&mut body)?;
        man.render_extra_section(&mut body)?;
        let body = String::from_utf8_lossy(&body).replace(".SH DESCRIPTION", ".PP").replace(".SH ", ".SS ");
        page += &format!(".SH \"{name}\"\n{usage}\n{body}{}", sections(command)?);
    }
    Ok(page)
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
