//! Files that only their owner may read, for what holds a secret: written, and looked at.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;

use backup_core::archive_key::KeyFile;

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

/// The longest first line that is looked at, in bytes.
const LONGEST_LINE: u64 = 64 << 10;

/// Looks at a file whose first line is a secret, of which nothing is kept. On Windows who else may read it is not known.
///
/// # Errors
/// The system's, when it cannot be read.
pub fn inspect(path: &Path) -> io::Result<KeyFile> {
    let file = File::open(path)?;
    #[cfg(unix)]
    let is_open = Some(std::os::unix::fs::MetadataExt::mode(&file.metadata()?) & 0o077 != 0);
    #[cfg(windows)]
    let is_open = None;
    let mut line = Vec::new();
    BufReader::new(file.take(LONGEST_LINE)).read_until(b'\n', &mut line)?;
    Ok(KeyFile { is_empty: line.trim_ascii().is_empty(), is_open })
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

    #[test]
    fn a_key_is_looked_at() {
        let scratch = tempfile::tempdir().expect("a scratch folder");
        let file = scratch.path().join("passphrase");
        assert_eq!(inspect(&file).expect_err("it is not there").kind(), io::ErrorKind::NotFound);
        write_new(&file, b"correct horse\n").expect("written");
        let closed = cfg!(unix).then_some(false);
        assert_eq!(inspect(&file).expect("read"), KeyFile { is_empty: false, is_open: closed });
        let empty = scratch.path().join("empty");
        write_new(&empty, b" \r\nsecond line").expect("written");
        assert_eq!(inspect(&empty).expect("read"), KeyFile { is_empty: true, is_open: closed });
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("changed");
            assert_eq!(inspect(&file).expect("read").is_open, Some(true));
        }
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
