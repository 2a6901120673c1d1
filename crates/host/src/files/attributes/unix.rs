//! Extended attributes: access control lists, labels, capabilities and what users keep there.

use std::io;
use std::path::Path;

use backup_core::ports::site_files::Attributes;
use rustix::fs::{lgetxattr, llistxattr};
use rustix::io::Errno;

/// The longest value or list of names that Linux keeps.
const LONGEST: usize = 64 << 10;

/// All attributes of the entry at `path`, sorted by name, a link not followed; none where the file system keeps none.
pub(crate) fn of_path(path: &Path) -> io::Result<Attributes> {
    all(|buffer| llistxattr(path, buffer), |name, buffer| lgetxattr(path, name, buffer))
}

/// Lists with `list` and reads each name with `get`.
pub(crate) fn all(
    list: impl Fn(&mut [u8]) -> Result<usize, Errno>,
    get: impl Fn(&[u8], &mut [u8]) -> Result<usize, Errno>,
) -> io::Result<Attributes> {
    let names = match growing(list) {
        Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
        names => names?,
    };
    let mut attributes = Attributes::new();
    for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        match growing(|buffer| get(name, buffer)) {
            // Removed since it was listed.
            Err(Errno::NODATA) => {}
            value => attributes.push((name.to_vec(), value?)),
        }
    }
    attributes.sort();
    Ok(attributes)
}

// Nearly all files have no attributes or short ones: no memory is taken for them.
fn growing(call: impl Fn(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut small = [0; 256];
    match call(&mut small) {
        Ok(count) => Ok(small[..count].to_vec()),
        Err(Errno::RANGE) => {
            let mut large = vec![0; LONGEST];
            let count = call(&mut large)?;
            large.truncate(count);
            Ok(large)
        }
        Err(error) => Err(error),
    }
}
