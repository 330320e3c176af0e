//! Seeds: one random stream per use, derived from the recipe's seed and the configuration.
//!
//! Streams are independent: how many numbers one use draws (a configuration with more parameters draws more) does not
//! affect the others. The seeds of initialisation, order and dropout differ between configurations. That of the sample
//! does not: every trial of a search trains and validates on the same examples.

use std::collections::BTreeMap;

use autopeft_crds::PeftConfiguration;
use autopeft_crds::configuration::hex_prefix;
use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::SliceRandom;

/// The seeds of the streams of one trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seeds {
    /// Initialisation of the modules and the head.
    pub init: u64,
    /// The order of the training examples.
    pub order: u64,
    /// Dropout.
    pub dropout: u64,
    /// The samples of examples.
    pub sample: u64,
}

impl Seeds {
    /// The seeds of a configuration under a recipe's seed.
    pub fn new(seed: u64, configuration: &PeftConfiguration) -> Self {
        let hash = configuration.hash();
        let of = |stream: &str, hash: &str| derive(&format!("{stream}/{seed}/{hash}"));
        Self {
            init: of("init", &hash),
            order: of("order", &hash),
            dropout: of("dropout", &hash),
            sample: of("sample", ""),
        }
    }

    /// By name, as a result document has them.
    pub fn named(&self) -> BTreeMap<String, u64> {
        [
            ("init", self.init),
            ("order", self.order),
            ("dropout", self.dropout),
            ("sample", self.sample),
        ]
        .map(|(name, seed)| (name.to_owned(), seed))
        .into()
    }
}

/// 53 bits of a hash: JSON readers hold whole numbers up to there exactly.
fn derive(text: &str) -> u64 {
    u64::from_str_radix(&hex_prefix(text.as_bytes()), 16).unwrap_or_default() >> 11
}

/// A generator that gives the same numbers in every version of `rand`.
pub fn generator(seed: u64) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(seed)
}

/// The indices of a sample of `wanted` out of `all` examples, ascending; all if there are fewer. `part` distinguishes
/// the samples that are drawn with one seed.
pub fn sample(all: usize, wanted: Option<u32>, seed: u64, part: u64) -> Vec<usize> {
    let mut places: Vec<usize> = (0..all).collect();
    let wanted = wanted.map_or(all, |wanted| wanted as usize);
    if wanted >= all {
        return places;
    }
    let (taken, _) = places.partial_shuffle(&mut generator(seed ^ part), wanted);
    let mut taken = taken.to_vec();
    taken.sort_unstable();
    taken
}

#[cfg(test)]
mod tests {
    use autopeft_crds::Module;

    use super::*;

    fn configuration(prefix: u32) -> PeftConfiguration {
        PeftConfiguration::new("0110".parse().expect("a mask"), &[(Module::Prefix, prefix)])
    }

    #[test]
    fn streams_differ_and_the_sample_is_the_same_for_every_configuration() {
        let one = Seeds::new(42, &configuration(1));
        let two = Seeds::new(42, &configuration(2));
        assert_ne!(one.init, two.init);
        assert_ne!(one.init, one.order);
        assert_ne!(one.order, one.dropout);
        assert_eq!(one.sample, two.sample);
        assert_ne!(one.sample, Seeds::new(43, &configuration(1)).sample);
        assert!(one.named().values().all(|seed| *seed < 1 << 53));
    }

    #[test]
    fn a_sample_is_distinct_ascending_and_repeatable() {
        let taken = sample(1000, Some(100), 7, 0);
        assert_eq!(taken.len(), 100);
        assert!(taken.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(taken, sample(1000, Some(100), 7, 0));
        assert_ne!(taken, sample(1000, Some(100), 7, 1));
        assert_eq!(sample(3, Some(100), 7, 0), vec![0, 1, 2]);
    }
}
