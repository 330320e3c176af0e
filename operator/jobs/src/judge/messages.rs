//! A trainer's messages in terms of its search. A trainer knows its files only by their mount paths. No I/O.

use autopeft_crds::PeftSearchSpec;

use crate::build::volumes::{ARTIFACTS, CLAIMS, DATA, IMAGES, MODEL};

/// A trainer's message, with claims and images in place of their mount paths.
pub fn in_words(message: &str, spec: &PeftSearchSpec) -> String {
    let sources = [&spec.model.source, &spec.task.source];
    let read = sources.iter().filter_map(|source| source.claim.as_ref());
    let mut places: Vec<(String, String)> = read
        .map(|claim| {
            let name = &claim.name;
            (format!("{CLAIMS}/{name}"), format!("claim {name}"))
        })
        .collect();
    // Longest first: `data` is a prefix of `data-2`.
    places.sort_by_key(|(place, _)| std::cmp::Reverse(place.len()));
    if let Some(claim) = &spec.trainer.artifacts_claim {
        places.push((ARTIFACTS.into(), format!("claim {}", claim.name)));
    }
    for (volume, field) in [(MODEL, "spec.model"), (DATA, "spec.task")] {
        let words = format!("{field}.source.image");
        places.push((format!("{IMAGES}/{volume}"), words));
    }
    let mut message = message.to_owned();
    for (place, words) in places {
        message = message
            .replace(&format!("{place}/"), &format!("{words}: "))
            .replace(&place, &words);
    }
    message
}
