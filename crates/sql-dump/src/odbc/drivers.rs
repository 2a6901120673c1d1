//! The drivers that are installed, and where their libraries are.

use std::fs;
use std::path::{Path, PathBuf};

use odbc_api::handles::{SqlChar, slice_to_cow_utf8};
use odbc_api::sys::FetchOrientation;

use super::connection_string::ConnectionString;
use super::wide::{new_environment, success};

/// Folders below which each machine type has a folder: `/usr/lib/x86_64-linux-gnu/odbc` on Debian.
const ROOTS: [&str; 4] = ["/usr/lib", "/usr/lib64", "/usr/local/lib", "/opt/homebrew/lib"];

/// A driver that the manager knows.
struct Driver {
    name: String,
    /// Its library, as it is registered.
    library: Option<String>,
}

/// The names of the installed drivers.
pub(super) fn installed() -> Vec<String> {
    let mut names: Vec<String> = known().into_iter().map(|driver| driver.name).collect();
    names.sort();
    names.dedup();
    names
}

/// Characters of a name, and of all that is registered of a driver.
const ROOM: (usize, usize) = (512, 8192);

/// A list that cannot be read registers nothing; connecting says then that the driver is not there.
#[expect(
    unsafe_code,
    reason = "odbc-api's own list has no room for the last zero of unixODBC, which then lies in somebody else's memory"
)]
fn known() -> Vec<Driver> {
    let (mut drivers, mut direction) = (Vec::new(), FetchOrientation::First);
    let Some(environment) = new_environment() else { return drivers };
    loop {
        let (mut name, mut attributes): (Vec<SqlChar>, Vec<SqlChar>) = (vec![0; ROOM.0], vec![0; ROOM.1]);
        // SAFETY: the environment is this call's own. The manager writes a zero behind as many characters as it is told of.
        let filled = unsafe {
            environment.drivers_buffer_fill(direction, &mut name[..ROOM.0 - 1], &mut attributes[..ROOM.1 - 1])
        };
        if success(filled).is_none() {
            return drivers;
        }
        let text = |characters: &[SqlChar]| slice_to_cow_utf8(characters).into_owned();
        let name = text(name.split(|c| *c == 0).next().unwrap_or_default());
        let library = attributes.split(|c| *c == 0).map(text).find_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            (key == "Driver").then(|| value.to_owned())
        });
        drivers.push(Driver { name, library });
        direction = FetchOrientation::Next;
    }
}

/// The string with the path of the driver's library in place of its name, where the name is registered with a library without a path.
///
/// Distributions build their driver manager with a folder of its own for drivers, and register drivers relative to it. The one in this program
/// does not know that folder. Windows registers whole paths.
pub(super) fn located(string: &ConnectionString) -> ConnectionString {
    let found = string.get("driver").filter(|name| cfg!(unix) && !name.contains('/')).and_then(|name| {
        let driver = known().into_iter().find(|driver| driver.name.eq_ignore_ascii_case(name))?;
        find(&driver.library?, &folders(&ROOTS.map(Path::new)))
    });
    match found.as_deref().and_then(Path::to_str) {
        Some(path) => string.clone().with("Driver", path),
        None => string.clone(),
    }
}

/// Where drivers may lie: folders of the machine's own kind, of no kind, then of any other.
fn folders(roots: &[&Path]) -> Vec<PathBuf> {
    let kinds = |root: &&Path| fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    let own = |folder: &PathBuf| {
        folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with(std::env::consts::ARCH))
    };
    let (mut ours, others): (Vec<_>, Vec<_>) = roots
        .iter()
        .flat_map(kinds)
        .map(|kind| kind.join("odbc"))
        .partition(|odbc| odbc.parent().map(Path::to_owned).as_ref().is_some_and(own));
    ours.extend(roots.iter().flat_map(|root| [root.join("odbc"), root.to_path_buf()]));
    ours.extend(others);
    ours
}

/// Only a bare name is looked for.
fn find(library: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    let is_bare = !library.is_empty() && !library.contains(['/', '\\']);
    let in_folder = |folder: &PathBuf| Some(folder.join(library)).filter(|path| path.is_file());
    if is_bare { folders.iter().find_map(in_folder) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_found_in_any_machines_folder() {
        let scratch = tempfile::tempdir().expect("a scratch folder");
        let root = scratch.path();
        let own = format!("{}-linux-gnu", std::env::consts::ARCH);
        for file in [
            "zz64-linux-gnu/odbc/liba.so",
            &format!("{own}/odbc/liba.so"),
            "zz64-linux-gnu/odbc/libb.so",
            "odbc/libc.so",
            "libd.so",
        ] {
            let path = root.join(file);
            fs::create_dir_all(path.parent().expect("a folder")).expect("it is made");
            fs::write(path, "").expect("it is written");
        }
        let folders = folders(&[&root.join("none"), root]);
        let check = |library: &str, expect: Option<&str>| {
            assert_eq!(find(library, &folders), expect.map(|path| root.join(path)), "{library}");
        };
        check("liba.so", Some(&format!("{own}/odbc/liba.so")));
        check("libb.so", Some("zz64-linux-gnu/odbc/libb.so"));
        check("libc.so", Some("odbc/libc.so"));
        check("libd.so", Some("libd.so"));
        check("libe.so", None);
        check("odbc/libc.so", None);
        check("", None);
    }
}
