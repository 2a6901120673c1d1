//! Finds the library of an ODBC driver that a system registers by its bare file name, and keeps passwords out of what drivers say.
//!
//! Debian's own driver manager looks for such a file in a folder for drivers, which the one that is linked into this program does not know.

use std::fs;
use std::path::{Path, PathBuf};

use odbc_api::Environment;

/// Folders below which each machine type has a folder `odbc`.
const ROOTS: [&str; 3] = ["/usr/lib", "/usr/lib64", "/usr/local/lib"];

/// A connection string with the driver's library in place of its registered name, where that is needed and can be found.
pub(crate) fn with_library(connection_string: &str, environment: &Environment) -> String {
    let Some(value) = value_of(connection_string, "driver") else { return connection_string.to_owned() };
    let name = value.trim().trim_start_matches('{').trim_end_matches('}');
    // A list that cannot be read registers nothing; connecting says then that the driver is not there.
    let drivers = environment.drivers().unwrap_or_default();
    let registered = drivers.iter().find(|driver| driver.description.eq_ignore_ascii_case(name));
    let library =
        registered.and_then(|driver| driver.attributes.get("Driver")).and_then(|library| find(library, &folders()));
    let Some(library) = library else { return connection_string.to_owned() };
    let start = value.as_ptr().addr() - connection_string.as_ptr().addr();
    let (before, after) = (&connection_string[..start], &connection_string[start + value.len()..]);
    format!("{before}{{{}}}{after}", library.display())
}

/// The names of all drivers that the system registers.
pub(crate) fn registered(environment: &Environment) -> Vec<String> {
    let drivers = environment.drivers().unwrap_or_default();
    drivers.into_iter().map(|driver| driver.description).collect()
}

/// What a driver said about a connection string, without the password in it.
pub(crate) fn without_password(said: &str, connection_string: &str) -> String {
    let passwords = ["pwd", "password"].map(|keyword| value_of(connection_string, keyword));
    passwords.into_iter().flatten().fold(said.to_owned(), |said, password| {
        let whole = password.trim();
        let bare = whole.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(whole).replace("}}", "}");
        [whole, &bare].into_iter().filter(|text| !text.is_empty()).fold(said, |said, text| said.replace(text, "***"))
    })
}

/// The value of a keyword, as it stands in the connection string.
fn value_of<'a>(connection_string: &'a str, wanted: &str) -> Option<&'a str> {
    let mut rest = connection_string;
    while !rest.is_empty() {
        let (keyword, value) = rest.split_once('=')?;
        let length = value_length(value);
        if keyword.trim().eq_ignore_ascii_case(wanted) {
            return Some(&value[..length]);
        }
        rest = value[length..].trim_start_matches(';');
    }
    None
}

/// Up to the semicolon; one in braces does not count, and a closing brace is doubled inside them.
fn value_length(value: &str) -> usize {
    let mut in_braces = value.trim_start().starts_with('{');
    let mut characters = value.char_indices().peekable();
    while let Some((index, character)) = characters.next() {
        match character {
            '}' if in_braces && characters.peek().is_some_and(|(_, next)| *next == '}') => _ = characters.next(),
            '}' => in_braces = false,
            ';' if !in_braces => return index,
            _ => {}
        }
    }
    value.len()
}

/// The folders for drivers that there are.
fn folders() -> Vec<PathBuf> {
    let below = |root: &&str| fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    let nested = ROOTS.iter().flat_map(below).map(|folder| folder.join("odbc"));
    nested.chain(ROOTS.iter().map(|root| Path::new(root).join("odbc"))).filter(|folder| folder.is_dir()).collect()
}

fn find(library: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    let is_bare = !library.is_empty() && !library.contains(['/', '\\']);
    let in_folder = |folder: &PathBuf| Some(folder.join(library)).filter(|path| path.is_file());
    if is_bare { folders.iter().find_map(in_folder) } else { None }
}

#[cfg(test)]
mod tests {
    use super::{find, value_of, without_password};

    #[test]
    fn a_password_is_not_repeated() {
        let check =
            |string: &str, said: &str, expect: &str| assert_eq!(without_password(said, string), expect, "{string}");
        check("UID=sa;PWD=p-w;x=y", "bad p-w for sa", "bad *** for sa");
        check("Password = {a;}}b} ;UID=sa", "near a;}b and {a;}}b}", "near *** and ***");
        check("UID=sa;PWD=;x=y", "as it is", "as it is");
        check("UID=sa", "as it is", "as it is");
    }

    #[test]
    fn the_driver_is_found_in_a_connection_string() {
        let check = |text: &str, expect: Option<&str>| assert_eq!(value_of(text, "driver"), expect, "{text}");
        check("Driver=FreeTDS;Server=x", Some("FreeTDS"));
        check("server=x; DRIVER = {ODBC Driver 18 for SQL Server} ;PWD=p", Some(" {ODBC Driver 18 for SQL Server} "));
        check("PWD={a;Driver=x}};y};driver=z", Some("z"));
        check("PWD={a;Driver=x", None);
        check("DSN=site;UID=Driver", None);
        check("", None);
        check(";;", None);
    }

    #[test]
    fn only_a_bare_name_is_looked_for() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        std::fs::write(folder.path().join("libx.so"), "").expect("it is written");
        let folders = [folder.path().join("none"), folder.path().to_owned()];
        assert_eq!(find("libx.so", &folders), Some(folder.path().join("libx.so")));
        assert_eq!(find("liby.so", &folders), None);
        assert_eq!(find("/lib/libx.so", &folders), None);
        assert_eq!(find("", &folders), None);
    }
}
