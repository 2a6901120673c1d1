//! The drivers that are installed, and where their libraries are.

use std::path::{Path, PathBuf};

use odbc_api::{DriverInfo, Environment, environment};

use super::connection_string::ConnectionString;

/// The names of the installed drivers.
pub(super) fn installed() -> Vec<String> {
    let mut names: Vec<String> = known().into_iter().map(|driver| driver.description).collect();
    names.sort();
    names.dedup();
    names
}

fn known() -> Vec<DriverInfo> {
    environment().and_then(Environment::drivers).unwrap_or_default()
}

/// The string with the path of the driver's library in place of its name, where the name is registered with a library without a path.
///
/// Distributions build their driver manager with a folder of its own for drivers, and register drivers relative to it. The one in this program
/// does not know that folder.
pub(super) fn located(string: &ConnectionString) -> ConnectionString {
    let found = string.get("driver").filter(|name| !name.contains('/')).and_then(|name| {
        let driver = known().into_iter().find(|driver| driver.description.eq_ignore_ascii_case(name))?;
        let library = driver.attributes.get("Driver").filter(|library| !library.contains('/'))?;
        folders().into_iter().map(|folder| folder.join(library)).find(|path| path.is_file())
    });
    match found.as_deref().and_then(Path::to_str) {
        Some(path) if cfg!(unix) => string.clone().with("Driver", path),
        _ => string.clone(),
    }
}

/// Folders for drivers, those of the machine's own kind first: `/usr/lib/x86_64-linux-gnu/odbc` on Debian.
fn folders() -> Vec<PathBuf> {
    let own = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    let roots = [own.as_str(), "/usr/lib64", "/usr/lib", "/usr/local/lib", "/opt/homebrew/lib"];
    roots.iter().flat_map(|root| [Path::new(root).join("odbc"), PathBuf::from(root)]).collect()
}
