//! Runs other programs and finds the repository.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the repository").to_owned()
}

/// Cargo in the repository's root.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(root());
    command
}

/// Runs a command to its end; an error when it fails.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let shown = format!("{command:?}");
    let status = command.status().map_err(|error| format!("{shown} could not be started: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{shown} failed: {status}")) }
}

/// Runs a command and takes what it prints; an error when it could not be started.
pub(crate) fn output(command: &mut Command) -> Result<Output, String> {
    let shown = format!("{command:?}");
    command.output().map_err(|error| format!("{shown} could not be started: {error}"))
}

/// Builds the program and the workload; returns the folder that holds both.
pub(crate) fn build(release: bool) -> Result<PathBuf, String> {
    let mut args = vec!["build", "--quiet", "--package", "cli", "--package", "tests", "--bins"];
    if release {
        args.push("--release");
    }
    run(&mut cargo(&args))?;
    Ok(target()?.join(if release { "release" } else { "debug" }))
}

/// Cargo's target folder.
pub(crate) fn target() -> Result<PathBuf, String> {
    let metadata = output(&mut cargo(&["metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).map_err(|error| error.to_string())?;
    Ok(metadata["target_directory"].as_str().ok_or("cargo metadata names no target folder")?.into())
}

/// Whether a program is on the path.
pub(crate) fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
