//! The flags of the PEFT modules: one per module.

use autopeft_crds::Module;
use autopeft_crds::modules::{MODULES, ModuleFacts};
use clap::error::Error;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, value_parser};

/// The size of each module; 0 omits it.
#[derive(Debug)]
pub(super) struct Sizes(pub(super) Vec<(Module, u32)>);

impl Args for Sizes {
    fn augment_args(command: Command) -> Command {
        command.args(MODULES.iter().map(flag))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Sizes {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let size = |facts: &ModuleFacts| matches.get_one(facts.name).copied().unwrap_or(0);
        let sizes = MODULES.iter().map(|facts| (facts.module, size(facts)));
        Ok(Self(sizes.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn flag(facts: &ModuleFacts) -> Arg {
    Arg::new(facts.name)
        .long(dashed(facts.name))
        .value_name("N")
        .value_parser(value_parser!(u32))
        .default_value("0")
        .conflicts_with_all(["full_fine_tuning", "baseline"])
        .help(sentence(facts.size))
}

/// The flag of a module's size.
pub(super) fn flag_of(module: Module) -> String {
    format!("--{}", dashed(module.name()))
}

/// `serialAdapter` as a flag: `serial-adapter`.
fn dashed(name: &str) -> String {
    let mut dashed = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            dashed.push('-');
        }
        dashed.push(letter.to_ascii_lowercase());
    }
    dashed
}

fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}
