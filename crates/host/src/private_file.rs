//! A new file that only its owner may read: for what holds a secret.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use crate::os::fd::OwnedFd;
use crate::os::fs::{AtFlags, Mode, OFlags, fsync, open, openat, unlinkat};

/// Writes a file that must not be there, durably; on Windows the system and the administrators may read it too.
///
/// # Errors
/// The system's: [`AlreadyExists`](io::ErrorKind::AlreadyExists) for a file, or a link, that is there, which is left alone. After any
/// other error there is none. A crash may leave a part of it.
pub fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let path = std::path::absolute(path)?;
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::IsADirectory.into());
    };
    let folder = open(folder, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let name = name.as_encoded_bytes();
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = File::from(openat(&folder, name, flags, Mode::RUSR | Mode::WUSR)?);
    write(file, &folder, content).inspect_err(|_| {
        // Half a file must not be taken for a whole one; what cannot be removed is told by the error all the same.
        let _ = unlinkat(&folder, name, AtFlags::empty());
    })
}

fn write(mut file: File, folder: &OwnedFd, content: &[u8]) -> io::Result<()> {
    file.write_all(content)?;
    file.sync_all()?;
    Ok(fsync(folder)?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_new_file_is_its_owners_and_one_that_is_there_stays() {
        let scratch = tempfile::tempdir().expect("a scratch folder");
        let file = scratch.path().join("setup.ini");
        write_new(&file, b"[Options]\r\n").expect("written");
        assert_eq!(fs::read(&file).expect("read"), b"[Options]\r\n");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
        }
        let again = write_new(&file, b"").expect_err("it is there");
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&file).expect("read"), b"[Options]\r\n");
        let nowhere = write_new(&scratch.path().join("no/such.ini"), b"").expect_err("no folder");
        assert_eq!(nowhere.kind(), io::ErrorKind::NotFound);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_that_is_there_is_not_followed() {
        let scratch = tempfile::tempdir().expect("a scratch folder");
        let (link, target) = (scratch.path().join("link.ini"), scratch.path().join("target"));
        std::os::unix::fs::symlink(&target, &link).expect("linked");
        assert_eq!(write_new(&link, b"x").expect_err("it is there").kind(), io::ErrorKind::AlreadyExists);
        assert!(!target.exists());
    }
}
