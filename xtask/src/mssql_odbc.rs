//! Microsoft's ODBC driver for SQL Server: fetched for the tests, never committed, never shipped.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::packages::asked;
use crate::shell::run;

/// What pip calls it; Microsoft's own licence applies to it.
const WHEEL: &str = "mssql-python-odbc";

/// Unpacks the driver into the target folder unless it is there, after asking unless `yes`.
pub(crate) fn ensure(target: &Path, yes: bool) -> Result<(), String> {
    let folder = target.join("mssql-odbc");
    if folder.join("mssql_python_odbc").is_dir() {
        return Ok(());
    }
    let place = folder.display().to_string();
    println!("The suites use Microsoft's ODBC driver 18 (pip package {WHEEL}, about 7 MB, under Microsoft's licence).");
    let by_hand =
        format!("pip download --no-deps -d {place} {WHEEL} (Debian package python3-pip), then unpack the wheel there");
    if !yes && !asked(&by_hand)? {
        return Err(format!("install it first: {by_hand}"));
    }
    let failed = |error: String| format!("{error}; by hand: {by_hand}");
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--dest", &place, WHEEL]);
    run(&mut pip).map_err(failed)?;
    let entries = fs::read_dir(&folder).map_err(|error| failed(error.to_string()))?;
    let is_wheel = |path: &Path| path.extension().is_some_and(|extension| extension == "whl");
    let wheel = entries.flatten().map(|entry| entry.path()).find(|path| is_wheel(path));
    let wheel = wheel.ok_or_else(|| failed("pip left no wheel".to_owned()))?;
    run(Command::new("python3").args(["-m", "zipfile", "-e"]).args([&wheel, &folder])).map_err(failed)
}
