//! The flags that say how modules are built.

use autopeft_crds::options::{Ia3Options, Ia3Site, LoraOptions, Matrices, Matrix, PrefixOptions};
use autopeft_crds::{Module, ModuleOptions, PeftConfiguration};
use clap::Args;

use super::failure::Failure;
use super::flags::{by_name, named};
use super::sizes;

/// How modules are built, with the defaults of a manifest.
#[derive(Debug, Args)]
pub(super) struct OptionArguments {
    /// The matrices that LoRA updates (query,value by default).
    #[arg(long, value_name = "A,B,…", value_delimiter = ',', value_parser = by_name::<Matrix>())]
    lora_matrices: Option<Vec<Matrix>>,
    /// LoRA's alpha: its update is scaled by alpha/r (8 by default).
    #[arg(long, value_name = "N")]
    lora_alpha: Option<u32>,
    /// Scale LoRA's update by alpha/√r.
    #[arg(long)]
    lora_rank_stabilized: bool,
    /// Where (IA)³ scales the feed-forward block.
    #[arg(long, value_parser = named::<Ia3Site>(&["AfterActivation", "BeforeActivation"]))]
    ia3_feed_forward: Option<Ia3Site>,
    /// The width of the network behind the prefix while it is trained; 0 for none (800 by default).
    #[arg(long, value_name = "N")]
    prefix_width: Option<u32>,
    /// Give serial adapter, prefix and LoRA a gate each (UniPELT).
    #[arg(long)]
    gated: bool,
}

impl OptionArguments {
    /// Rejects options of modules that the configuration does not have.
    pub(super) fn check(&self, configuration: &PeftConfiguration) -> Result<(), Failure> {
        let gated = [Module::SerialAdapter, Module::Prefix, Module::Lora];
        let given: [(&str, bool, &[Module]); 6] = [
            (
                "--lora-matrices",
                self.lora_matrices.is_some(),
                &[Module::Lora],
            ),
            ("--lora-alpha", self.lora_alpha.is_some(), &[Module::Lora]),
            (
                "--lora-rank-stabilized",
                self.lora_rank_stabilized,
                &[Module::Lora],
            ),
            (
                "--ia3-feed-forward",
                self.ia3_feed_forward.is_some(),
                &[Module::Ia3],
            ),
            (
                "--prefix-width",
                self.prefix_width.is_some(),
                &[Module::Prefix],
            ),
            ("--gated", self.gated, &gated),
        ];
        let has = |module: &Module| configuration.size(*module) > 0;
        let idle = given
            .into_iter()
            .find(|(_, is_given, modules)| *is_given && !modules.iter().any(has));
        idle.map_or(Ok(()), |(flag, _, modules)| {
            let flags: Vec<String> = modules
                .iter()
                .map(|module| sizes::flag_of(*module))
                .collect();
            Err(Failure::BadInput(format!(
                "{flag} changes nothing without {}",
                flags.join(" or ")
            )))
        })
    }

    pub(super) fn options(self) -> ModuleOptions {
        let usual = LoraOptions::default();
        ModuleOptions {
            lora: LoraOptions {
                matrices: self.lora_matrices.map_or(usual.matrices, |matrices| {
                    Matrices(matrices.into_iter().collect())
                }),
                alpha: self.lora_alpha.unwrap_or(usual.alpha),
                rank_stabilized: self.lora_rank_stabilized,
            },
            ia3: Ia3Options {
                feed_forward: self.ia3_feed_forward.unwrap_or_default(),
            },
            prefix: self
                .prefix_width
                .map_or_else(PrefixOptions::default, |width| PrefixOptions { width }),
            gated: self.gated,
        }
    }
}
