//! `peft-operator compare`: several searches side by side.

use std::path::Path;
use std::process::ExitCode;

use autopeft_search::compare::{self, Given};
use autopeft_search::report;

use super::CompareArgs;
use super::output::print;
use super::searches;
use crate::local::files;

/// Prints a summary, and writes the page and the CSV.
pub(super) fn compare(arguments: &CompareArgs) -> Result<ExitCode, String> {
    let CompareArgs {
        workdirs,
        kube,
        namespace,
        budget,
        out,
        csv,
    } = arguments;
    let mut given = Vec::with_capacity(workdirs.len() + kube.len());
    for workdir in workdirs {
        if !workdir.is_dir() {
            return Err(format!(
                "{}: no such directory; give work directories of `peft-operator run`, and names of PeftSearches after --kube",
                workdir.display()
            ));
        }
        given.push(Given {
            origin: workdir.display().to_string(),
            search: searches::of_workdir(workdir)?,
        });
    }
    for name in kube {
        let search = searches::of_cluster(name, namespace.as_deref())
            .map_err(|error| format!("{name}: it was not found in the cluster: {error}"))?;
        given.push(Given {
            origin: name.clone(),
            search,
        });
    }
    let comparison = compare::compare(&given, budget.get()).map_err(|error| error.to_string())?;
    let page = report::comparison_html(&comparison).map_err(|error| error.to_string())?;
    write(out, &page)?;
    let mut text = report::comparison_text(&comparison);
    if let Some(csv) = csv {
        let rows =
            report::comparison_csv(&given, &comparison).map_err(|error| error.to_string())?;
        write(csv, &rows)?;
        text.push_str(&format!("\ntrials: {}", csv.display()));
    }
    print(format!("{text}\npage: {}", out.display()))?;
    Ok(ExitCode::SUCCESS)
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    files::replace(path, text.as_bytes()).map_err(|error| {
        format!(
            "{}: {}; name a file that can be written",
            path.display(),
            error.source
        )
    })
}
