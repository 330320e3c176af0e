//! Counts, numbering, uniform sampling and neighbours against brute force.

use std::collections::{BTreeSet, HashSet};

use autopeft_crds::space::LayerChoice;
use autopeft_crds::{LayerMask, Module, PeftConfiguration, SearchSpace, SearchSpaceSpec};
use autopeft_engine::maximise::neighbours::neighbours;
use autopeft_engine::problem::canonical_set::CanonicalSet;
use autopeft_engine::problem::encoding::{Coordinate, encode};
use proptest::prelude::*;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use crate::searches::base;

/// Small spaces, with fixed layers, fixed modules, lists without 0 and without the empty model.
fn spaces() -> impl Strategy<Value = SearchSpace> {
    let layer = prop_oneof![
        3 => Just(LayerChoice::Free),
        1 => Just(LayerChoice::On),
        1 => Just(LayerChoice::Off),
    ];
    let sizes = || {
        prop::collection::btree_set(prop_oneof![2 => Just(0_u32), 3 => 1_u32..9], 1..4)
            .prop_map(|sizes| sizes.into_iter().collect::<Vec<_>>())
    };
    (
        prop::collection::vec(layer, 1..5),
        sizes(),
        sizes(),
        sizes(),
        any::<bool>(),
    )
        .prop_map(|(layers, serial, parallel, prefix, exclude_empty)| {
            let sizes: [(Module, &[u32]); 3] = [
                (Module::SerialAdapter, &serial),
                (Module::ParallelAdapter, &parallel),
                (Module::Prefix, &prefix),
            ];
            let mut space = SearchSpace::new(layers, &sizes, 4);
            space.exclude_empty = exclude_empty;
            space
        })
}

/// Every raw configuration of a space.
fn raw(space: &SearchSpace) -> Vec<PeftConfiguration> {
    let layers = space.layers.len();
    let mut all = Vec::new();
    for mask in 0..1_u32 << layers {
        let bits: Vec<bool> = (0..layers).map(|layer| mask >> layer & 1 == 1).collect();
        let fits = bits
            .iter()
            .zip(&space.layers)
            .all(|(bit, choice)| match choice {
                LayerChoice::Free => true,
                LayerChoice::On => *bit,
                LayerChoice::Off => !*bit,
            });
        if !fits {
            continue;
        }
        let mask = LayerMask::from_bits(bits.clone()).expect("a mask");
        let mut combinations = vec![PeftConfiguration::new(mask, &[])];
        for module in Module::ALL {
            combinations = combinations
                .iter()
                .flat_map(|smaller| {
                    let sizes = space.sizes(module).iter();
                    sizes.map(|size| smaller.clone().with_size(module, *size))
                })
                .collect();
        }
        all.extend(combinations);
    }
    all
}

/// Every canonical configuration of a space within a budget.
fn canonical(space: &SearchSpace, most: Option<u64>) -> BTreeSet<PeftConfiguration> {
    raw(space)
        .into_iter()
        .map(PeftConfiguration::canonical)
        .filter(|c| !(space.exclude_empty && c.is_empty_model()))
        .filter(|c| most.is_none_or(|most| c.parameters(space.shape) <= most))
        .collect()
}

/// In how many raw dimensions two configurations differ.
fn distance(a: &PeftConfiguration, b: &PeftConfiguration) -> usize {
    let bits = a.layers.bits().iter().zip(b.layers.bits());
    let sizes = Module::ALL.into_iter();
    bits.filter(|(a, b)| a != b).count() + sizes.filter(|n| a.size(*n) != b.size(*n)).count()
}

#[test]
fn the_papers_space_has_the_papers_counts() {
    let space = base();
    assert_eq!(space.raw_count(), 5_451_776);
    assert_eq!(space.canonical_count(), 5_446_351);
    let set = CanonicalSet::new(&space, None);
    assert_eq!(set.count(), 5_446_351);
    let last = set.nth(5_446_350).expect("the last");
    assert_eq!(
        last.to_string(),
        "layers 111111111111, SA 768, PA 768, prefix 768"
    );
    assert_eq!(set.nth(5_446_351), None);
    let large = SearchSpace::resolve(&SearchSpaceSpec::default(), 24, 1024).expect("large");
    assert_eq!(large.raw_count(), (1 << 24) * 12 * 12 * 12);
    assert_eq!(
        CanonicalSet::new(&large, None).count(),
        large.canonical_count()
    );
}

#[test]
fn the_largest_space_is_numbered_too() {
    let spec = SearchSpaceSpec::default();
    let space = SearchSpace::resolve(&spec, 64, 1024).expect("64 layers");
    let set = CanonicalSet::new(&space, None);
    assert_eq!(set.count(), space.canonical_count());
    let mut generator = ChaCha8Rng::seed_from_u64(0);
    for _ in 0..100 {
        let drawn = set
            .nth(generator.random_range(0..set.count()))
            .expect("a number below N");
        assert!(space.contains(&drawn) && set.contains(&drawn));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_numbering_lists_each_canonical_configuration_once(
        space in spaces(),
        most in prop::option::of(0_u64..400),
    ) {
        let expected = canonical(&space, most);
        let set = CanonicalSet::new(&space, most);
        let found: Vec<_> = set.iter().collect();
        prop_assert_eq!(found.len() as u128, set.count());
        prop_assert_eq!(found.len(), expected.len());
        prop_assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected.clone());
        for c in raw(&space) {
            let c = c.canonical();
            prop_assert_eq!(set.contains(&c), expected.contains(&c));
        }
        if most.is_none() {
            prop_assert_eq!(set.count(), space.canonical_count());
        }
    }

    #[test]
    fn draws_exhaust_a_space_exactly(space in spaces(), most in 0_u64..400, seed: u64) {
        let expected = canonical(&space, Some(most));
        let set = CanonicalSet::new(&space, Some(most));
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        let mut used = HashSet::new();
        while let Some(drawn) = set.draw_unused(&used, &mut generator) {
            prop_assert!(expected.contains(&drawn));
            prop_assert!(used.insert(drawn));
        }
        prop_assert_eq!(used.len(), expected.len());
    }

    #[test]
    fn neighbours_are_all_that_differ_in_one_dimension(space in spaces()) {
        let all = raw(&space);
        for c in canonical(&space, None).into_iter().filter(|c| !c.is_empty_model()) {
            let expected: BTreeSet<_> = all
                .iter()
                .filter(|other| distance(&c, other) == 1)
                .map(|other| other.clone().canonical())
                .filter(|other| space.contains(other))
                .collect();
            let found = neighbours(&space, &c);
            prop_assert_eq!(found.len(), expected.len(), "a neighbour is listed twice");
            prop_assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected);
        }
    }

    #[test]
    fn neighbours_of_the_empty_model_are_those_of_its_smallest_raw_configuration(space in spaces()) {
        let empty = PeftConfiguration::empty(space.layers.len()).expect("a mask");
        // The fewest bits and the smallest sizes: the least in every dimension.
        let smallest = raw(&space).into_iter().min_by_key(|c| {
            (c.layers.active(), Module::ALL.map(|module| c.size(module)))
        });
        let smallest = smallest.expect("a configuration");
        prop_assume!(smallest.is_empty_model());
        let expected: BTreeSet<_> = raw(&space)
            .into_iter()
            .filter(|other| distance(&smallest, other) == 1)
            .map(PeftConfiguration::canonical)
            .filter(|other| !other.is_empty_model())
            .collect();
        let found: BTreeSet<_> = neighbours(&space, &empty).into_iter().collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn encoding_is_in_the_unit_cube_and_one_to_one(space in spaces()) {
        let coordinates = Coordinate::of(&space);
        prop_assert_eq!(coordinates.len(), space.dimensions());
        let mut seen = HashSet::new();
        for c in canonical(&space, None).into_iter().filter(|c| !c.is_empty_model()) {
            let point = encode(&space, &coordinates, &c);
            prop_assert!(point.iter().all(|x| (0.0..=1.0).contains(x)));
            prop_assert!(seen.insert(point.iter().map(|x| x.to_bits()).collect::<Vec<_>>()));
        }
    }
}

#[test]
fn no_single_change_leads_out_of_the_empty_model() {
    let empty = PeftConfiguration::empty(12).expect("a mask");
    assert_eq!(neighbours(&base(), &empty), []);
}

#[test]
fn changes_into_the_empty_model_count_once() {
    let space = base();
    // One layer and one module: both the layer's bit and the module's 0 lead there.
    let mut c = PeftConfiguration::empty(12).expect("a mask");
    c.layers = "000000000001".parse().expect("a mask");
    c = c.with_size(Module::SerialAdapter, 12);
    let found = neighbours(&space, &c);
    assert_eq!(found.iter().filter(|n| n.is_empty_model()).count(), 1);
    // 12 bits and 3 × 10 sizes, two of which are the same.
    assert_eq!(found.len(), 41);
}

#[test]
fn draws_are_uniform() {
    let space = SearchSpace::new(
        vec![LayerChoice::Free; 3],
        &[
            (Module::SerialAdapter, &[0, 1, 2]),
            (Module::ParallelAdapter, &[0, 4]),
        ],
        4,
    );
    let set = CanonicalSet::new(&space, Some(40));
    let all: Vec<_> = set.iter().collect();
    let used = HashSet::from([all[3].clone()]);
    let mut generator = ChaCha8Rng::seed_from_u64(1);
    let draws = 20_000;
    let mut counts = vec![0.0; all.len()];
    for _ in 0..draws {
        let drawn = set
            .draw_unused(&used, &mut generator)
            .expect("some are left");
        counts[all.iter().position(|c| *c == drawn).expect("in the set")] += 1.0;
    }
    let expected = f64::from(draws) / (all.len() - 1) as f64;
    let statistic: f64 = counts
        .iter()
        .enumerate()
        .filter(|(index, _)| *index != 3)
        .map(|(_, count): (_, &f64)| (count - expected).powi(2) / expected)
        .sum();
    // Chi-square with k degrees of freedom: mean k, variance 2k; four deviations.
    let k = (all.len() - 2) as f64;
    assert_eq!(counts[3], 0.0);
    assert!(
        (statistic - k).abs() < 4.0 * (2.0 * k).sqrt(),
        "{statistic} for {k} degrees"
    );
}
