//! Which file systems are mounted below a folder.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// The mount points below `folder`; none where the system does not tell.
pub(super) fn below(folder: &Path) -> Vec<PathBuf> {
    let table = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    parse(&table).filter(|point| point.starts_with(folder) && point != folder).collect()
}

fn parse(table: &[u8]) -> impl Iterator<Item = PathBuf> {
    let points = table.split(|byte| *byte == b'\n').filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
    points.map(|point| PathBuf::from(OsString::from_vec(unescape(point))))
}

/// Blanks, tabs, line ends and backslashes stand as `\` and three octal digits.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        rest = match tail {
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..] if *first == b'\\' => {
                plain.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                after
            }
            _ => {
                plain.push(*first);
                tail
            }
        };
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read_with_their_escapes() {
        let table =
            b"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n30 22 0:26 / /srv/a\\040b\\134c rw shared:1 - tmpfs tmpfs rw\n";
        let points: Vec<_> = parse(table).collect();
        assert_eq!(points, [PathBuf::from("/"), PathBuf::from("/srv/a b\\c")]);
    }
}
