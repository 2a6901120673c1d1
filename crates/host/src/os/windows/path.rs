//! Names as callers give them, and as NT wants them.

use std::ffi::CStr;
use std::os::windows::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use backup_core::wtf8;

use super::io::Errno;

/// What may name a file: bytes below a folder (WTF-8, `/` between the components), or a whole path of this machine.
pub(crate) trait Arg {
    /// The name as NT wants it.
    fn wide(&self) -> Result<Vec<u16>, Errno>;
}

const SEPARATOR: u16 = b'\\' as u16;

/// What no name of a component may hold: it would lead elsewhere (`\`, a stream's `:`) or be taken for a pattern.
const REFUSED: &[u8] = b"\\:*?\"<>|";

/// A name below a folder. NT follows no `..`, but a backslash in a component would be a second one.
fn below(bytes: &[u8]) -> Result<Vec<u16>, Errno> {
    // The folder itself is its empty name.
    if bytes == b"." {
        return Ok(Vec::new());
    }
    if bytes.iter().any(|byte| *byte < b' ' || REFUSED.contains(byte)) {
        return Err(Errno::INVAL);
    }
    if bytes.split(|byte| *byte == b'/').any(|component| matches!(component, b"." | b"..")) {
        return Err(Errno::INVAL);
    }
    let wide = wtf8::to_wide(bytes).ok_or(Errno::INVAL)?;
    Ok(wide.into_iter().map(|unit| if unit == u16::from(b'/') { SEPARATOR } else { unit }).collect())
}

/// A whole path: `C:\x`, `\\server\share\x`, or either behind `\\?\`. NT takes it as it is, without a limit of length.
fn whole(path: &Path) -> Result<Vec<u16>, Errno> {
    let wide: Vec<u16> = path.as_os_str().encode_wide().collect();
    let starts = |start: &str| {
        let start: Vec<u16> = start.encode_utf16().collect();
        wide.starts_with(&start).then_some(start.len())
    };
    let (prefix, skipped) = match (starts(r"\\?\"), starts(r"\\")) {
        (Some(count), _) => (r"\??\", count),
        (None, Some(count)) => (r"\??\UNC\", count),
        (None, None) if path.is_absolute() => (r"\??\", 0),
        (None, None) => return Err(Errno::INVAL),
    };
    let rest = wide[skipped..].iter().map(|unit| if *unit == u16::from(b'/') { SEPARATOR } else { *unit });
    Ok(prefix.encode_utf16().chain(rest).collect())
}

impl Arg for [u8] {
    fn wide(&self) -> Result<Vec<u16>, Errno> {
        below(self)
    }
}

impl Arg for str {
    fn wide(&self) -> Result<Vec<u16>, Errno> {
        below(self.as_bytes())
    }
}

impl Arg for String {
    fn wide(&self) -> Result<Vec<u16>, Errno> {
        below(self.as_bytes())
    }
}

impl Arg for Vec<u8> {
    fn wide(&self) -> Result<Vec<u16>, Errno> {
        below(self)
    }
}

impl Arg for CStr {
    fn wide(&self) -> Result<Vec<u16>, Errno> {
        below(self.to_bytes())
    }
}

impl Arg for Path {
    fn wide(&self) -> Result<Vec<u16>, Errno> {
        whole(self)
    }
}

impl Arg for PathBuf {
    fn wide(&self) -> Result<Vec<u16>, Errno> {
        whole(self)
    }
}

impl<T: Arg + ?Sized> Arg for &T {
    fn wide(&self) -> Result<Vec<u16>, Errno> {
        (**self).wide()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &(impl Arg + ?Sized), expect: Option<&str>) {
        let wide = name.wide().ok().map(|wide| String::from_utf16_lossy(&wide));
        assert_eq!(wide.as_deref(), expect);
    }

    #[test]
    fn a_name_leads_nowhere_but_below_its_folder() {
        check("a/b.c", Some(r"a\b.c"));
        check(".", Some(""));
        for name in ["..", "a/../b", r"a\b", r"..\x", "a:stream", "C:", "a?", "a\u{1}b"] {
            check(name, None);
        }
        check(b"\xff".as_slice(), None);
    }

    #[test]
    fn a_whole_path_is_nts() {
        check(Path::new(r"C:\a\b"), Some(r"\??\C:\a\b"));
        check(Path::new(r"\\?\C:\a"), Some(r"\??\C:\a"));
        check(Path::new(r"\\server\share\a"), Some(r"\??\UNC\server\share\a"));
        check(Path::new(r"\\?\UNC\server\share\a"), Some(r"\??\UNC\server\share\a"));
        let on_image = r"GLOBALROOT\Device\HarddiskVolumeShadowCopy7\a";
        check(Path::new(&format!(r"\\?\{on_image}")), Some(&format!(r"\??\{on_image}")));
        check(Path::new(r"a\b"), None);
    }
}
