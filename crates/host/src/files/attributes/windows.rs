//! What Windows keeps: attribute bits, the time of creation, the security descriptor, named streams, and where a link leads.
//!
//! They stand in the list as extended attributes, under the names and in the form that the NTFS driver of Linux has for them.

use std::io;
use std::path::Path;

use backup_core::ports::site_files::Attributes;

use crate::os::fd::AsFd;
use crate::os::fs::{CWD, Mode, OFlags, basic_of, described, openat, read_stream, reparse_data, streams};
use crate::os::io::Errno;

/// The attribute bits, four bytes.
pub(crate) const BITS: &[u8] = b"system.ntfs_attrib";
/// The time of creation in steps of 100 ns since 1601, eight bytes.
pub(crate) const CREATED: &[u8] = b"system.ntfs_crtime";
/// The security descriptor, self-relative.
pub(crate) const SECURITY: &[u8] = b"system.ntfs_acl";
/// What the name of a stream begins with: the NTFS driver that has streams as extended attributes calls them so.
pub(crate) const STREAM: &[u8] = b"user.";
/// Bytes of a stream that are kept: it stands in the list.
const LONGEST_STREAM: u64 = 1 << 20;
/// What a symbolic link or a junction says, whole.
pub(crate) const REPARSE: &[u8] = b"system.ntfs_reparse_data";

/// All attributes of the entry at `path`, sorted by name, a link not followed.
pub(crate) fn of_path(path: &Path) -> io::Result<Attributes> {
    match openat(CWD, path, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty()) {
        Ok(file) => Ok(of_file(&file)?),
        Err(Errno::LOOP) => {
            let link = openat(CWD, path, OFlags::PATH | OFlags::LINK, Mode::empty())?;
            let mut attributes = of_file(&link)?;
            attributes.push((REPARSE.to_vec(), reparse_data(&link)?));
            Ok(attributes)
        }
        Err(error) => Err(error.into()),
    }
}

/// All but where it leads, of an open file.
pub(crate) fn of_file(file: impl AsFd) -> Result<Attributes, Errno> {
    let basic = basic_of(&file)?;
    let mut attributes = vec![
        (BITS.to_vec(), basic.FileAttributes.to_le_bytes().to_vec()),
        (CREATED.to_vec(), basic.CreationTime.to_le_bytes().to_vec()),
    ];
    match described(&file) {
        Ok(descriptor) => attributes.insert(0, (SECURITY.to_vec(), descriptor)),
        // FAT and many shares keep no access rules.
        Err(Errno::OPNOTSUPP | Errno::NOTTY | Errno::INVAL) => {}
        Err(error) => return Err(error),
    }
    for stream in streams(&file)? {
        if stream.size > LONGEST_STREAM {
            return Err(Errno::FBIG);
        }
        attributes.push(([STREAM, &stream.name].concat(), read_stream(&file, &stream)?));
    }
    attributes.sort();
    Ok(attributes)
}

/// The value of one attribute.
pub(crate) fn value<'a>(attributes: &'a Attributes, name: &[u8]) -> Option<&'a [u8]> {
    attributes.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_slice())
}
