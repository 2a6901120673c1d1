//! What is said of files that changed inside the freeze window.

use backup_core::path::SitePath;
use backup_core::ports::site_files::FileProblem;

/// Paths told one by one.
const MAX_TOLD: usize = 100;

/// Why the files are not of one moment, and a problem for each of the first of them.
pub(super) fn unfrozen(mut changed: Vec<SitePath>) -> (String, Vec<FileProblem>) {
    changed.sort();
    let summary = summary(&changed);
    let message = "changed inside the freeze window: whoever writes it was not frozen";
    let problem = |path: SitePath| FileProblem { path, message: message.to_owned() };
    (summary, changed.into_iter().take(MAX_TOLD).map(problem).collect())
}

fn summary(changed: &[SitePath]) -> String {
    let paths: Vec<String> = changed.iter().take(3).map(|path| format!("`{path}`")).collect();
    let rest = if changed.len() > paths.len() { ", …" } else { "" };
    let count = changed.len();
    format!("the files are of different moments: {count} changed inside the freeze window: {}{rest}", paths.join(", "))
}
