//! `peft-operator best`: the configuration to take, with its commands.

use std::path::Path;
use std::process::ExitCode;

use autopeft_crds::limits::PARAMETERS_PERCENT;
use autopeft_crds::trial::TrialRequest;
use autopeft_crds::{Decimal, PeftSearch};
use autopeft_search::report::{self, Files};

use super::BestArgs;
use super::output::print;
use super::searches;
use crate::local::trainer;

/// Prints the recommendations of a work directory or of an object in a cluster.
pub(super) fn best(arguments: &BestArgs) -> Result<ExitCode, String> {
    let BestArgs {
        search,
        budget,
        namespace,
    } = arguments;
    let workdir = Path::new(search);
    let text = if workdir.is_dir() {
        let (object, files) = on_this_machine(workdir)?;
        let how = "run the same command again";
        report::best(&object, Some(&files), *budget, how)
    } else {
        let object = in_cluster(search, namespace.as_deref())?;
        let found = object.status.clone().unwrap_or_default();
        let files = Files::of_cluster(&object.spec, &found);
        report::best(&object, files.as_ref(), *budget, "apply it again")
    };
    print(text.map_err(|error| format!("{search}: {error}"))?)?;
    Ok(ExitCode::SUCCESS)
}

/// The object of a work directory, and where its files are.
fn on_this_machine(workdir: &Path) -> Result<(PeftSearch, Files), String> {
    let object = searches::of_workdir(workdir)?;
    let mut files = Files::of_workdir(&workdir.to_string_lossy(), &object.spec);
    // The directories that the last run resolved the manifest's sources to.
    let probe = std::fs::read(workdir.join(trainer::PROBE)).ok();
    if let Some(probe) = probe.and_then(|probe| serde_json::from_slice::<TrialRequest>(&probe).ok())
    {
        (files.model, files.data) = (probe.model, probe.data);
    }
    Ok((object, files))
}

fn in_cluster(name: &str, namespace: Option<&str>) -> Result<PeftSearch, String> {
    if name.contains('/') || name.starts_with('.') {
        return Err(format!(
            "{name}: no such directory; give a work directory of `peft-operator run`, or the name of a PeftSearch"
        ));
    }
    searches::of_cluster(name, namespace).map_err(|error| {
        format!("{name}: it is no directory, and it was not found in the cluster: {error}")
    })
}

/// A budget in percent of the backbone's parameters: `1%` or `1`.
pub(super) fn budget(text: &str) -> Result<Decimal, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim();
    let parsed = number.parse::<Decimal>().ok();
    parsed
        .filter(|budget| PARAMETERS_PERCENT.contains(budget.get()))
        .ok_or_else(|| {
            format!("write a share of the backbone's parameters, {PARAMETERS_PERCENT}, such as 1%")
        })
}
