//! The search space against the paper's figures and against enumeration.

use std::collections::BTreeSet;

use autopeft_crds::modules::halved;
use autopeft_crds::space::{DimensionName, DimensionSpec, SpaceError};
use autopeft_crds::{LayerMask, Module, PeftConfiguration, SearchSpace, SearchSpaceSpec};
use proptest::prelude::*;

fn dimension(name: DimensionName, sizes: Option<Vec<u32>>, mask: Option<&str>) -> DimensionSpec {
    DimensionSpec {
        name,
        sizes,
        mask: mask.map(str::to_owned),
    }
}

fn spec(dimensions: Vec<DimensionSpec>) -> SearchSpaceSpec {
    SearchSpaceSpec {
        dimensions: Some(dimensions),
        exclude_empty: false,
        options: Default::default(),
    }
}

fn paper(layers: usize, hidden: u32) -> SearchSpace {
    SearchSpace::resolve(&SearchSpaceSpec::default(), layers, hidden).expect("the paper's space")
}

#[test]
fn the_size_lists_are_the_papers() {
    assert_eq!(halved(768), [0, 1, 3, 6, 12, 24, 48, 96, 192, 384, 768]);
    assert_eq!(
        halved(1024),
        [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]
    );
    assert_eq!(halved(384), [0, 1, 3, 6, 12, 24, 48, 96, 192, 384]);
}

#[test]
fn the_counts_are_the_papers() {
    let base = paper(12, 768);
    assert_eq!(base.raw_count(), 5_451_776);
    assert_eq!(base.canonical_count(), 5_446_351);
    assert_eq!(base.dimensions(), 15);
    assert_eq!(paper(24, 1024).raw_count(), (1_u128 << 24) * 12 * 12 * 12);
}

#[test]
fn the_costs_are_the_papers() {
    let backbone = 109_482_240;
    let percent = |layers: &str, sa, pa, prefix| {
        let configuration = PeftConfiguration::new(
            layers.parse().expect("a mask"),
            &[
                (Module::SerialAdapter, sa),
                (Module::ParallelAdapter, pa),
                (Module::Prefix, prefix),
            ],
        );
        (configuration.parameters_percent(768, backbone) * 100.0).round() / 100.0
    };
    let all = "111111111111";
    assert_eq!(percent(all, 48, 0, 0), 0.81);
    assert_eq!(percent(all, 0, 384, 0), 6.46);
    assert_eq!(percent(all, 0, 0, 10), 0.17);
    assert_eq!(percent("001100001110", 12, 96, 1), 0.76);
}

#[test]
fn what_a_model_cannot_take_is_refused_by_name() {
    let refused = |dimensions: Vec<DimensionSpec>, part: &str| {
        let error = SearchSpace::resolve(&spec(dimensions), 6, 384).expect_err(part);
        assert!(
            error.to_string().contains(part),
            "{error} does not say {part:?}"
        );
    };
    use DimensionName::Layers;
    let (prefix, serial) = (
        DimensionName::Size(Module::Prefix),
        DimensionName::Size(Module::SerialAdapter),
    );
    refused(
        vec![dimension(Layers, None, Some("11"))],
        "the model has 6 layers",
    );
    refused(vec![dimension(Layers, Some(vec![1]), None)], "use mask");
    refused(vec![dimension(prefix, None, Some("1"))], "use sizes");
    refused(vec![dimension(prefix, Some(vec![3, 1]), None)], "ascending");
    refused(vec![dimension(prefix, Some(vec![1, 1]), None)], "each once");
    refused(vec![dimension(prefix, Some(vec![]), None)], "empty");
    refused(
        vec![dimension(prefix, Some(vec![9999]), None)],
        "give sizes of at most 1536",
    );
    refused(
        vec![dimension(prefix, Some(vec![10]), None)],
        "every dimension is fixed",
    );
    refused(
        vec![dimension(Layers, None, None)],
        "only the empty model is left",
    );
    refused(
        vec![
            dimension(Layers, None, Some("000000")),
            dimension(serial, None, None),
        ],
        "only the empty model is left",
    );
    let twice = vec![dimension(prefix, None, None), dimension(prefix, None, None)];
    assert_eq!(
        SearchSpace::resolve(&spec(twice), 6, 384),
        Err(SpaceError::Duplicate(prefix))
    );
    assert_eq!(
        SearchSpace::resolve(&SearchSpaceSpec::default(), 0, 384),
        Err(SpaceError::Depth(0))
    );
}

/// A subset of {0, 1, 3, 6} with at least one value.
fn sizes() -> impl Strategy<Value = Vec<u32>> {
    proptest::sample::subsequence(vec![0, 1, 3, 6], 1..=4)
}

proptest! {
    /// The counts, membership and the canonical form agree with an enumeration of small spaces.
    #[test]
    fn counts_agree_with_enumeration(
        mask in "[01*]{1,4}", sa in sizes(), pa in sizes(), prefix in sizes(), exclude_empty: bool,
    ) {
        let written = SearchSpaceSpec {
            dimensions: Some(vec![
                dimension(DimensionName::Layers, None, Some(&mask)),
                dimension(DimensionName::Size(Module::SerialAdapter), Some(sa.clone()), None),
                dimension(DimensionName::Size(Module::ParallelAdapter), Some(pa.clone()), None),
                dimension(DimensionName::Size(Module::Prefix), Some(prefix.clone()), None),
            ]),
            exclude_empty,
            options: Default::default(),
        };
        let Ok(space) = SearchSpace::resolve(&written, mask.len(), 8) else { return Ok(()) };
        let fits = |bits: usize| mask.bytes().enumerate().all(|(layer, choice)| {
            let bit = bits >> layer & 1 == 1;
            match choice { b'*' => true, b'1' => bit, _ => !bit }
        });
        let mut raw = 0_u128;
        let mut canonical = BTreeSet::new();
        for bits in (0..1_usize << mask.len()).filter(|bits| fits(*bits)) {
            for serial_adapter in &sa { for parallel_adapter in &pa { for prefix in &prefix {
                raw += 1;
                let layers = (0..mask.len()).map(|layer| bits >> layer & 1 == 1).collect();
                let configuration = PeftConfiguration::new(LayerMask::from_bits(layers).expect("1 to 4 layers"), &[(Module::SerialAdapter, *serial_adapter), (Module::ParallelAdapter, *parallel_adapter), (Module::Prefix, *prefix)]).canonical();
                let wanted = !(exclude_empty && configuration.is_empty_model());
                prop_assert_eq!(space.contains(&configuration), wanted);
                if wanted { canonical.insert(configuration); }
            }}}
        }
        prop_assert_eq!(space.raw_count(), raw);
        prop_assert_eq!(space.canonical_count(), canonical.len() as u128);
        let hashes: BTreeSet<String> = canonical.iter().map(PeftConfiguration::hash).collect();
        prop_assert_eq!(hashes.len(), canonical.len());
    }
}

/// The smallest cost against that of every configuration.
#[test]
fn the_least_cost_is_that_of_the_smallest_configuration() {
    let sizes = |name, sizes: &[u32]| DimensionSpec {
        name,
        sizes: Some(sizes.to_vec()),
        mask: None,
    };
    let mask = |mask: &str| DimensionSpec {
        name: DimensionName::Layers,
        sizes: None,
        mask: Some(mask.into()),
    };
    let (prefix, serial) = (
        DimensionName::Size(Module::Prefix),
        DimensionName::Size(Module::SerialAdapter),
    );
    for (dimensions, exclude_empty, expected) in [
        (None, false, 0),
        (None, true, 2 * 8),
        (Some(vec![sizes(prefix, &[0, 3, 5])]), true, 2 * 3 * 8 * 3),
        (Some(vec![sizes(prefix, &[3, 5])]), false, 2 * 3 * 8 * 3),
        (
            Some(vec![mask("***"), sizes(prefix, &[3])]),
            true,
            2 * 3 * 8,
        ),
        (Some(vec![mask("***"), sizes(prefix, &[3])]), false, 0),
        (
            Some(vec![
                mask("1*1"),
                sizes(prefix, &[0, 4]),
                sizes(serial, &[2, 6]),
            ]),
            false,
            2 * 2 * 8 * 2,
        ),
    ] {
        let spec = SearchSpaceSpec {
            dimensions,
            exclude_empty,
            options: Default::default(),
        };
        let space = SearchSpace::resolve(&spec, 3, 8).expect("a space");
        assert_eq!(space.least_parameters(), expected, "{space:?}");
    }
}
