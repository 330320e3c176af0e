//! The distinct canonical configurations within a budget of parameters, and uniform draws from them.
//!
//! Notation: N configurations, numbered 0 to N − 1. The empty model, where the space has it, comes
//! first. The others are ordered by their sizes, then by |l|, the number of active layers, then by
//! the mask. The cost is proportional to |l|, so that a budget leaves for each combination of sizes
//! the masks with at most some number of active layers, and a configuration is found by its number
//! without a list of all. Choosing a number at random is therefore exactly uniform, however tight
//! the budget.

use std::collections::HashSet;

use autopeft_crds::space::LayerChoice;
use autopeft_crds::{LayerMask, Module, PeftConfiguration, SearchSpace};
use rand::{Rng, RngExt};

/// The distinct canonical configurations of a space within a budget.
#[derive(Clone, Debug)]
pub struct CanonicalSet {
    space: SearchSpace,
    /// The empty model, if it belongs to the space.
    empty: Option<PeftConfiguration>,
    /// The combinations of sizes that some mask can afford.
    groups: Vec<Group>,
    /// Indices of the free layers.
    free: Vec<usize>,
    /// How many layers are always active.
    always_on: usize,
}

/// The configurations that share their sizes.
#[derive(Clone, Debug)]
struct Group {
    sizes: [u32; Module::COUNT],
    /// The number of the last one, plus 1; the empty model is not counted.
    end: u128,
}

impl CanonicalSet {
    /// The configurations of `space` with at most `max_parameters`.
    pub fn new(space: &SearchSpace, max_parameters: Option<u64>) -> Self {
        let of_kind =
            |kind| (0..space.layers.len()).filter(move |layer| space.layers[*layer] == kind);
        let free: Vec<usize> = of_kind(LayerChoice::Free).collect();
        let always_on = of_kind(LayerChoice::On).count();
        let empty = PeftConfiguration::empty(space.layers.len())
            .ok()
            .filter(|empty| space.contains(empty));
        let mut set = Self {
            space: space.clone(),
            empty,
            groups: Vec::new(),
            free,
            always_on,
        };
        // masks[k]: how many masks have 1 to k active layers.
        let mut masks = vec![0_u128];
        for active in 1..=space.layers.len() {
            masks.push(masks[active - 1] + set.masks_with(active));
        }
        let mut one_layer = vec![false; space.layers.len()];
        if let Some(first) = one_layer.first_mut() {
            *first = true;
        }
        let mut end = 0;
        for sizes in combinations(space) {
            let cost_of_a_layer = with_sizes(&one_layer, sizes)
                .map_or(0, |configuration| configuration.parameters(space.shape));
            if cost_of_a_layer == 0 {
                continue;
            }
            let affordable = max_parameters.map_or(u64::MAX, |most| most / cost_of_a_layer);
            let active = usize::try_from(affordable)
                .map_or(masks.len() - 1, |most| most.min(masks.len() - 1));
            if masks[active] > 0 {
                end += masks[active];
                set.groups.push(Group { sizes, end });
            }
        }
        set
    }

    /// N, the number of configurations.
    pub fn count(&self) -> u128 {
        u128::from(self.empty.is_some()) + self.groups.last().map_or(0, |group| group.end)
    }

    /// Whether a canonical configuration is in the set.
    pub fn contains(&self, configuration: &PeftConfiguration) -> bool {
        if configuration.is_empty_model() {
            return self.empty.as_ref() == Some(configuration);
        }
        let sizes = Module::ALL.map(|module| configuration.size(module));
        // The groups are in lexicographic order of their sizes, and a group holds the masks with
        // the fewest active layers.
        let Ok(found) = self
            .groups
            .binary_search_by(|group| group.sizes.cmp(&sizes))
        else {
            return false;
        };
        let start = found
            .checked_sub(1)
            .map_or(0, |before| self.groups[before].end);
        let cheaper: u128 = (1..configuration.layers.active())
            .map(|active| self.masks_with(active))
            .sum();
        self.space.contains(configuration) && cheaper < self.groups[found].end - start
    }

    /// The configuration with number `index`; `None` from N on.
    pub fn nth(&self, index: u128) -> Option<PeftConfiguration> {
        let index = match (&self.empty, index) {
            (Some(empty), 0) => return Some(empty.clone()),
            (Some(_), index) => index - 1,
            (None, index) => index,
        };
        let position = self.groups.partition_point(|group| group.end <= index);
        let group = self.groups.get(position)?;
        let start = position
            .checked_sub(1)
            .map_or(0, |before| self.groups[before].end);
        let mut rest = index - start;
        let mut active = 1;
        while rest >= self.masks_with(active) {
            rest -= self.masks_with(active);
            active += 1;
        }
        with_sizes(&self.mask(active, rest), group.sizes)
    }

    /// A uniform choice among the configurations that are not in `used`; `None` if there are none.
    /// Every member of `used` is canonical.
    pub fn draw_unused(
        &self,
        used: &HashSet<PeftConfiguration>,
        generator: &mut impl Rng,
    ) -> Option<PeftConfiguration> {
        let in_use = used.iter().filter(|used| self.contains(used)).count() as u128;
        let left = self.count() - in_use;
        if left == 0 {
            return None;
        }
        // At least half are left: two draws are enough on average. Else the set is at most twice
        // as large as `used`, and a list of it is cheap.
        if left >= in_use {
            loop {
                let drawn = self.nth(generator.random_range(0..self.count()))?;
                if !used.contains(&drawn) {
                    return Some(drawn);
                }
            }
        }
        let skipped = usize::try_from(generator.random_range(0..left)).ok()?;
        self.iter()
            .filter(|configuration| !used.contains(configuration))
            .nth(skipped)
    }

    /// All configurations in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = PeftConfiguration> + '_ {
        (0..self.count()).filter_map(|index| self.nth(index))
    }

    /// The number of masks with exactly `active` active layers.
    fn masks_with(&self, active: usize) -> u128 {
        active
            .checked_sub(self.always_on)
            .map_or(0, |chosen| binomial(self.free.len(), chosen))
    }

    /// The mask number `rank` of those with `active` active layers: whether the first free layer is
    /// off or on splits them in two runs, and so on for the next.
    fn mask(&self, active: usize, mut rank: u128) -> Vec<bool> {
        let mut bits: Vec<bool> = self
            .space
            .layers
            .iter()
            .map(|choice| *choice == LayerChoice::On)
            .collect();
        let mut chosen = active - self.always_on;
        for (position, layer) in self.free.iter().enumerate() {
            let without = binomial(self.free.len() - position - 1, chosen);
            if rank >= without {
                rank -= without;
                bits[*layer] = true;
                chosen -= 1;
            }
        }
        bits
    }
}

/// Every combination of sizes, in lexicographic order.
fn combinations(space: &SearchSpace) -> Vec<[u32; Module::COUNT]> {
    let mut all = vec![[0; Module::COUNT]];
    for module in Module::ALL {
        all = all
            .into_iter()
            .flat_map(|sizes| {
                space.sizes(module).iter().map(move |size| {
                    let mut sizes = sizes;
                    sizes[module as usize] = *size;
                    sizes
                })
            })
            .collect();
    }
    all
}

fn with_sizes(bits: &[bool], sizes: [u32; Module::COUNT]) -> Option<PeftConfiguration> {
    let layers = LayerMask::from_bits(bits.to_vec()).ok()?;
    let sizes = Module::ALL.map(|module| (module, sizes[module as usize]));
    Some(PeftConfiguration::new(layers, &sizes))
}

/// The binomial coefficient n over k, 0 for k > n; exact for n up to 64.
fn binomial(n: usize, k: usize) -> u128 {
    if k > n {
        return 0;
    }
    (0..k.min(n - k)).fold(1, |product, i| product * (n - i) as u128 / (i + 1) as u128)
}
