//! A trainer's messages in terms of its search. A trainer knows its files only by their mount paths. No I/O.

use autopeft_crds::PeftSearchSpec;
use autopeft_search::locations::others;

use crate::build::volumes::{ARTIFACTS, CLAIMS, DATA, IMAGES, MODEL, image_volume};

/// A trainer's message, with claims and images in place of their mount paths.
pub fn in_words(message: &str, spec: &PeftSearchSpec) -> String {
    let sources = [&spec.model.source, &spec.task.source];
    let of_others = others(spec).map(|(task, _)| &task.source);
    let read = sources.into_iter().chain(of_others);
    let read = read.filter_map(|source| source.claim.as_ref());
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
    let of_others = others(spec).map(|(task, owner)| {
        let volume = image_volume(spec, &task.source);
        (volume, owner.field)
    });
    // `data` is a prefix of the volumes of others, and its own name where one has the same image.
    let mut images: Vec<_> = of_others.filter(|(volume, _)| volume != DATA).collect();
    images.push((MODEL.into(), "spec.model".into()));
    images.push((DATA.into(), "spec.task".into()));
    for (volume, field) in images {
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
