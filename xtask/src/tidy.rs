//! The rules of the repository that a machine can check: layers, owners of outside systems, the map, file sizes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::Chore;
use crate::shell;

const ADAPTERS: &[&str] = &["archive", "ctl-parser", "host", "registry", "sql-dump", "vss"];

/// Outside systems and the one crate that may know each; the tests know all.
const OWNERS: &[(&str, &str)] = &[
    ("rusqlite", "sql-dump"),
    ("odbc-api", "sql-dump"),
    ("postgres-protocol", "sql-dump"),
    ("quick-xml", "vss"),
    ("notify", "cli"),
    ("clap", "cli"),
    ("indicatif", "cli"),
    ("toml", "host"),
    ("rustix", "host"),
    ("chacha20poly1305", "archive"),
    ("crypto_box", "archive"),
    ("argon2", "archive"),
];

/// Outside systems that several crates know, each in modules of its own: Windows' calls on files and processes, on the registry, and on
/// shadow copies.
const SHARED: &[(&str, &[&str])] = &[("windows-sys", &["host", "registry", "vss"]), ("winapi-util", &["sql-dump"])];

/// Crates that see more than one outside system, because they test or run all of them.
const ABOVE_ALL: &[&str] = &["tds-server", "tests", "xtask"];

/// What core must never depend on, besides the owned crates.
const NOT_IN_CORE: &[&str] = &["tokio", "windows", "windows-sys", "odbc-api", "quick-xml", "notify"];

/// The longest that a Rust file is without giving a reason.
const LONGEST: usize = 500;

/// How a long file says why, somewhere in it.
const REASON: &str = "Over 500 lines because";

type Graph = BTreeMap<String, BTreeSet<String>>;

pub(crate) fn run() -> Chore {
    let graph = graph()?;
    let mut faults = layers(&graph);
    faults.extend(map(&graph)?);
    faults.extend(files()?);
    if faults.is_empty() {
        println!("tidy: {} crates, no faults", graph.len());
        return Ok(());
    }
    Err(format!("{} faults\n{}", faults.len(), faults.join("\n")).into())
}

/// Each workspace crate with what it depends on, dev-dependencies left out.
fn graph() -> Result<Graph, String> {
    let output = shell::output(&mut shell::cargo(&["metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata: Value = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
    let packages = metadata["packages"].as_array().ok_or("cargo metadata names no packages")?;
    let name = |value: &Value| value["name"].as_str().unwrap_or_default().to_owned();
    let of = |package: &Value| {
        let all = package["dependencies"].as_array().cloned().unwrap_or_default();
        all.iter().filter(|dependency| dependency["kind"] != "dev").map(name).collect()
    };
    Ok(packages.iter().map(|package| (name(package), of(package))).collect())
}

fn layers(graph: &Graph) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, dependencies) in graph {
        let own = |other: &&String| graph.contains_key(*other);
        for other in dependencies.iter().filter(own) {
            let allowed = match name.as_str() {
                "backup-core" => false,
                "cli" => !ABOVE_ALL.contains(&other.as_str()),
                name if ADAPTERS.contains(&name) => other == "backup-core",
                name => ABOVE_ALL.contains(&name),
            };
            if !allowed {
                faults.push(format!("{name} must not depend on {other}"));
            }
        }
        for (system, owner) in OWNERS {
            if dependencies.contains(*system) && name != owner && !ABOVE_ALL.contains(&name.as_str()) {
                faults.push(format!("{name} must not depend on {system}: it belongs to {owner}"));
            }
        }
        for (system, owners) in SHARED {
            if dependencies.contains(*system) && !owners.contains(&name.as_str()) && !ABOVE_ALL.contains(&name.as_str())
            {
                faults.push(format!("{name} must not depend on {system}: it belongs to {}", owners.join(" and ")));
            }
        }
        let forbidden = NOT_IN_CORE.iter().filter(|_| name == "backup-core");
        for other in forbidden.filter(|other| dependencies.contains(**other)) {
            faults.push(format!("backup-core must not depend on {other}"));
        }
    }
    faults
}

/// ARCHITECTURE.md names every crate that exists and none that does not.
fn map(graph: &Graph) -> Result<Vec<String>, String> {
    let page = fs::read_to_string(shell::root().join("ARCHITECTURE.md")).map_err(|error| error.to_string())?;
    let named: BTreeSet<&str> = page
        .split('`')
        .skip(1)
        .step_by(2)
        .filter_map(|word| word.strip_prefix("crates/"))
        .filter(|name| !name.is_empty() && !name.contains('/'))
        .collect();
    let exist: BTreeSet<&str> = graph.keys().map(String::as_str).filter(|name| !ABOVE_ALL.contains(name)).collect();
    let missing = exist.difference(&named).map(|name| format!("ARCHITECTURE.md does not name `crates/{name}`"));
    let gone =
        named.difference(&exist).map(|name| format!("ARCHITECTURE.md names `crates/{name}`, which is not there"));
    Ok(missing.chain(gone).collect())
}

fn files() -> Result<Vec<String>, String> {
    let output = shell::output(std::process::Command::new("git").arg("ls-files").current_dir(shell::root()))?;
    let list = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut faults = Vec::new();
    for file in list.lines().filter(|file| Path::new(file).extension().is_some_and(|extension| extension == "rs")) {
        let Ok(text) = fs::read_to_string(shell::root().join(file)) else { continue };
        let lines = text.lines().count();
        if lines > LONGEST && !text.contains(REASON) {
            faults.push(format!("{file} has {lines} lines and gives no reason (`{REASON} …`)"));
        }
        let is_root = file.ends_with("src/lib.rs");
        if is_root && file.starts_with("crates/") && !file.contains("/cli/") && !text.contains("//! ```") {
            faults.push(format!("{file} has no example"));
        }
        let is_test = file.contains("/tests/") || file.ends_with("tests.rs");
        if !text.starts_with("//!") && !is_test {
            faults.push(format!("{file} does not say what it is for (`//!`)"));
        }
    }
    Ok(faults)
}
