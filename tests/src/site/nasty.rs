//! Files that a copy easily gets wrong. Each lies where the backup task covers it, under a name kept here.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use super::SampleSite;
use super::fill::write_content;
use crate::prng::Prng;

/// A symbolic link to a folder beside it.
pub const SYMLINK: &str = "inboxes/current.box";
/// A symbolic link to nothing.
pub const DANGLING_SYMLINK: &str = "data/dangling";
/// Two names of one file, in different folders.
pub const HARD_LINKS: [&str; 2] = ["data/linked-a.bin", "inboxes/hman.box/linked-b.bin"];
/// 8 MiB, of which only the first and the last 4 KiB are written.
pub const SPARSE: &str = "data/sparse.bin";
/// A name outside ASCII, and outside the basic plane.
pub const UNICODE: &str = "inboxes/Gr\u{f6}\u{df}e-\u{6e2c}\u{8bd5}-\u{1f600}.txt";
/// Names that look alike: composed and decomposed.
pub const LOOK_ALIKES: [&str; 2] = ["data/caf\u{e9}.txt", "data/cafe\u{301}.txt"];
/// A folder with nothing in it.
pub const EMPTY_FOLDER: &str = "inboxes/empty.box";
/// A file that its owner may not write.
pub const READ_ONLY: &str = "srvacct/read-only.key";
/// A file with the extended attribute [`XATTR_NAME`], where the file system keeps such.
pub const XATTR: &str = "data/attributed.bin";
/// The attribute's name; its value is `sample`.
pub const XATTR_NAME: &str = "user.sitebackup.sample";
/// The bytes of a name in `Logs` that is not UTF-8; there is such a file on Linux only.
pub const NOT_UTF8: &[u8] = b"broken-\xff\xfe.log";

/// Adds them to the install folder.
pub(super) fn build(site: &SampleSite, prng: &Prng) -> io::Result<()> {
    let mut prng = prng.fork("nasty");
    let root = site.install_dir();
    fs::create_dir(root.join(EMPTY_FOLDER))?;
    write_content(&root.join(UNICODE), "Inhalt: \u{e4}\r\n".as_bytes(), &mut prng)?;
    for name in LOOK_ALIKES {
        write_content(&root.join(name), name.as_bytes(), &mut prng)?;
    }
    write_content(&root.join(HARD_LINKS[0]), b"one file, two names", &mut prng)?;
    fs::hard_link(root.join(HARD_LINKS[0]), root.join(HARD_LINKS[1]))?;
    write_content(&root.join(READ_ONLY), b"secret", &mut prng)?;
    let mut permissions = fs::metadata(root.join(READ_ONLY))?.permissions();
    permissions.set_readonly(true);
    fs::set_permissions(root.join(READ_ONLY), permissions)?;
    write_sparse(&root.join(SPARSE), &mut prng)?;
    write_content(&root.join(XATTR), b"has an attribute", &mut prng)?;
    build_unix(&root, &mut prng)
}

fn write_sparse(path: &Path, prng: &mut Prng) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(&prng.bytes(4096))?;
    file.seek(SeekFrom::Start(8 * 1024 * 1024 - 4096))?;
    file.write_all(&prng.bytes(4096))
}

#[cfg(unix)]
fn build_unix(root: &Path, prng: &mut Prng) -> io::Result<()> {
    use std::os::unix::fs::symlink;
    symlink("ccr.box", root.join(SYMLINK))?;
    symlink("nowhere/at/all", root.join(DANGLING_SYMLINK))?;
    build_linux(root, prng)
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "on Unix it can fail")]
fn build_unix(_root: &Path, _prng: &mut Prng) -> io::Result<()> {
    Ok(())
}

#[cfg(target_os = "linux")]
fn build_linux(root: &Path, prng: &mut Prng) -> io::Result<()> {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use rustix::fs::{XattrFlags, setxattr};
    use rustix::io::Errno;

    write_content(&root.join("Logs").join(OsStr::from_bytes(NOT_UTF8)), b"odd name\r\n", prng)?;
    match setxattr(root.join(XATTR), XATTR_NAME, b"sample", XattrFlags::empty()) {
        // tmpfs without user attributes, some network file systems.
        Err(Errno::NOTSUP | Errno::PERM) => Ok(()),
        result => Ok(result?),
    }
}

#[cfg(all(unix, not(target_os = "linux")))]
fn build_linux(_root: &Path, _prng: &mut Prng) -> io::Result<()> {
    Ok(())
}
