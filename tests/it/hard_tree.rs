//! A folder with all that is hard to bring back: names, links, holes, times, modes, owners, attributes, and a database file.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, XattrFlags, utimensat};
use tests::noise;

pub(crate) const PAGE: usize = 8 << 10;

/// All of an entry that a restore has to bring back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
    pub(crate) modified: (i64, i64),
    pub(crate) content: String,
    pub(crate) attribute: Option<Vec<u8>>,
    /// The first path of the same file.
    pub(crate) first: PathBuf,
}

/// All entries below a folder, and the folder itself.
pub(crate) fn facts(root: &Path) -> BTreeMap<PathBuf, Facts> {
    let mut paths = vec![root.to_owned()];
    let mut n = 0;
    while let Some(path) = paths.get(n).cloned() {
        n += 1;
        if path.symlink_metadata().expect("it is there").is_dir() {
            paths.extend(fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("an entry").path()));
        }
    }
    paths.sort();
    let mut firsts = HashMap::new();
    let mut all = BTreeMap::new();
    for path in paths {
        let relative = path.strip_prefix(root).expect("below it").to_owned();
        let metadata = path.symlink_metadata().expect("it is there");
        let content = match metadata.file_type() {
            kind if kind.is_symlink() => format!("to {:?}", fs::read_link(&path).expect("a link")),
            kind if kind.is_dir() => "folder".to_owned(),
            _ => format!("{} {}", metadata.len(), blake3::hash(&fs::read(&path).expect("a file"))),
        };
        let mut value = [0; 64];
        let attribute = rustix::fs::lgetxattr(&path, "user.test", &mut value).ok().map(|len| value[..len].to_vec());
        let first = firsts.entry(metadata.ino()).or_insert_with(|| relative.clone()).clone();
        let (owner, modified) = ((metadata.uid(), metadata.gid()), (metadata.mtime(), metadata.mtime_nsec()));
        all.insert(relative, Facts { mode: metadata.mode(), owner, modified, content, attribute, first });
    }
    all
}

/// A page of a data file of SQL Server: a header with its number, then noise, or what compresses well.
pub(crate) fn page(number: u32, day: u64) -> Vec<u8> {
    let mut page = if number < 1_024 { noise(day << 32 | u64::from(number), PAGE) } else { vec![number as u8; PAGE] };
    page[..96].fill(0);
    page[0] = 1;
    page[32..36].copy_from_slice(&number.to_le_bytes());
    page[36..38].copy_from_slice(&1_u16.to_le_bytes());
    page
}

fn set_modified(path: &Path, seconds: i64, nanoseconds: i64) {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).expect("a time");
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("a mode");
}

/// A file of `len` bytes with 5,000 bytes of noise at each of `places`, and holes between them.
fn write_sparse(path: &Path, len: u64, places: &[u64]) {
    let file = File::create(path).expect("a file");
    file.set_len(len).expect("a length");
    for place in places {
        file.write_all_at(&noise(*place, 5_000), *place).expect("written");
    }
}

/// Fills an empty folder; its database file has so many pages.
pub(crate) fn build(folder: &Path, pages: u32) {
    let long = "n".repeat(255);
    let names = ["Gr\u{f6}\u{df}e-\u{6e2c}\u{8bd5}-\u{1f600}", "caf\u{e9}", "cafe\u{301}", "two\nlines", " ", "-rf"];
    let more = ["\"quoted\\", "{\"hex\":\"00\"}", "dot.", "a", "a.b", "a b", &long];
    for name in names.iter().chain(&more) {
        fs::write(folder.join(name), name).expect("written");
    }
    fs::write(folder.join(OsStr::from_bytes(b"no-\xff\xfe-text")), "bytes").expect("written");
    let below = folder.join(OsStr::from_bytes(b"folder-\xfd"));
    fs::create_dir_all(below.join("a/b/c")).expect("folders");
    fs::write(below.join("a/b/c/deep"), noise(1, 300_000)).expect("written");
    fs::write(folder.join("empty"), "").expect("written");
    fs::write(folder.join("noise"), noise(2, 3_000_001)).expect("written");
    write_sparse(&folder.join("sparse"), 9_000_000, &[0, 4_000_000]);
    write_sparse(&folder.join("hole"), 1 << 20, &[]);
    write_sparse(&folder.join("many-holes"), 64 << 20, &Vec::from_iter((0..60).map(|n| n << 20)));
    for (name, target) in [("to-a", &b"a"[..]), ("to-nothing", b"/no/such/\xff"), ("to-folder", b"folder-\xfd/a")] {
        symlink(OsStr::from_bytes(target), folder.join(name)).expect("a link");
    }
    fs::hard_link(folder.join("noise"), below.join("a/noise")).expect("a further name");
    fs::hard_link(folder.join("noise"), folder.join("a-name-before")).expect("a further name");
    let pages: Vec<u8> = (0..pages).flat_map(|number| page(number, 1)).collect();
    fs::write(folder.join("database.mdf"), pages).expect("written");
    // Root alone gives files away, and not every file system keeps an attribute: else they are as before on both sides.
    chown(folder.join("caf\u{e9}"), Some(1234), Some(2345)).ok();
    rustix::fs::setxattr(folder.join("a"), "user.test", b"value\0\xff", XattrFlags::empty()).ok();
    for (name, mode) in [("a", 0o400), ("caf\u{e9}", 0o4711), ("empty", 0o666), ("noise", 0o640)] {
        set_mode(&folder.join(name), mode);
    }
    for (name, mode) in [("locked", 0o555), ("shared", 0o1777)] {
        fs::create_dir(folder.join(name)).expect("a folder");
        set_mode(&folder.join(name), mode);
    }
    for (name, seconds, nanoseconds) in
        [("a", -1, 999_999_999), ("empty", 0, 1), ("noise", 4_102_444_800, 5), ("to-a", 1_000_000_000, 123_456_789)]
    {
        set_modified(&folder.join(name), seconds, nanoseconds);
    }
    set_modified(&below.join("a/b"), 1_111_111_111, 111_111_111);
    set_modified(folder, 1_222_222_222, 222_222_222);
}
