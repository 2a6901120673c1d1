//! A file with keys, of whichever kind it turns out to be: for those who want to look into one.

use std::fs;
use std::path::Path;

use crate::diff::{Change, diff};
use crate::hive_file::HiveFormat;
use crate::name::{KeyPath, Name};
use crate::reg_text::{self, Section};
use crate::regf::{self, Losses};
use crate::store::{Format, StoreError};
use crate::tree::{Detail, Key};
use crate::wine::{self, WineFormat};

/// What kind of file holds the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A hive, whose root says nothing of the key that it is.
    Hive,
    /// `.reg` text, with full paths.
    RegText,
    /// A registry file of a Wine prefix.
    Wine,
}

impl FileKind {
    /// What it has a place for.
    pub fn detail(self) -> Detail {
        match self {
            Self::Hive => Detail::Descriptors,
            Self::RegText => Detail::Values,
            Self::Wine => Detail::Classes,
        }
    }
}

/// The keys of a file.
#[derive(Clone, Debug)]
pub struct KeyFile {
    /// What it is.
    pub kind: FileKind,
    /// All keys by their full paths; those of a hive by the paths below its root, as long as nobody says which key that is.
    pub root: Key,
    /// The key below which all others lie: of `.reg` text the deepest such, of a hive its root.
    pub top: KeyPath,
    /// The name of a hive's root: our exports have there the last name of their key; others, anything.
    pub root_name: Option<Name>,
    /// Whether a hive that was not closed was read through the logs beside it.
    pub logs_applied: bool,
    /// What could not be read.
    pub losses: Losses,
}

/// Reads the file at `path`, whatever kind it is; `mount` is the key that a hive's root is.
///
/// With `salvage`, of a damaged hive what can be read is taken, and its losses are listed; without, the first fault is the error. Changes
/// nothing, and leaves a hive's logs alone.
///
/// # Errors
/// [`StoreError::Read`] and [`StoreError::Damaged`].
pub fn read_key_file(path: &Path, mount: &KeyPath, salvage: bool) -> Result<KeyFile, StoreError> {
    let bytes = fs::read(path).map_err(|source| StoreError::Read { path: path.to_owned(), source })?;
    let damaged = |source| StoreError::Damaged { path: path.to_owned(), source };
    if regf::is_hive(&bytes) {
        return read_hive(bytes, path, mount, salvage).map_err(damaged);
    }
    if let Some(mount) = wine::mount_of(&bytes) {
        let (key, _) = WineFormat::new(mount.clone()).read(bytes, path).map_err(damaged)?;
        return Ok(KeyFile::new(FileKind::Wine, key, mount));
    }
    let text = reg_text::read(&bytes).map_err(|fault| damaged(fault.into()))?;
    let top = common(text.sections.iter().map(Section::path));
    Ok(KeyFile { top, ..KeyFile::new(FileKind::RegText, text.into_tree(), KeyPath::default()) })
}

impl KeyFile {
    /// What turns these keys into those of `after`, as far as both files have a place for it.
    pub fn changes(&self, after: &Self) -> Vec<Change> {
        let detail = self.kind.detail().min(after.kind.detail());
        let reduced = |file: &Self| {
            let mut root = file.root.clone();
            root.reduce(detail);
            root
        };
        diff(&reduced(self), &reduced(after))
    }

    fn new(kind: FileKind, key: Key, mount: KeyPath) -> Self {
        let mut root = Key::default();
        root.replace(&mount, key);
        Self { kind, root, top: mount, root_name: None, logs_applied: false, losses: Losses::default() }
    }
}

fn read_hive(
    bytes: Vec<u8>,
    path: &Path,
    mount: &KeyPath,
    salvage: bool,
) -> Result<KeyFile, backup_core::ports::Source> {
    let mended = match HiveFormat::mended(&bytes, path) {
        // Without the logs that would mend it, the hive is as good as it is.
        Err(_) if salvage => None,
        mended => mended?,
    };
    let logs_applied = mended.is_some();
    let bytes = mended.unwrap_or(bytes);
    let (hive, losses) = match salvage {
        true => regf::salvage(&bytes)?,
        false => (regf::read(&bytes)?, Losses::default()),
    };
    let root_name = Some(hive.header.root_name);
    Ok(KeyFile { root_name, logs_applied, losses, ..KeyFile::new(FileKind::Hive, hive.root, mount.clone()) })
}

/// The deepest key at or above all of these.
fn common<'p>(mut paths: impl Iterator<Item = &'p KeyPath>) -> KeyPath {
    let Some(first) = paths.next() else { return KeyPath::default() };
    let mut names = first.names().to_vec();
    for path in paths {
        let same = names.iter().zip(path.names()).take_while(|(one, other)| one == other).count();
        names.truncate(same);
    }
    names.into_iter().try_fold(KeyPath::default(), KeyPath::child).expect("it is no deeper than the paths")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reg_text::Encoding;
    use crate::value::Value;

    fn path(text: &str) -> KeyPath {
        text.parse().unwrap()
    }

    #[test]
    fn each_kind_is_known_by_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys");
        let sms = path(r"HKEY_LOCAL_MACHINE\SOFTWARE\SMS");
        let mut tree = Key::default();
        tree.create(&path("Setup")).set_value("Type", Value::dword(1));

        let hive = regf::write(&tree, &regf::Header::default()).unwrap();
        fs::write(&file, &hive).unwrap();
        let read = read_key_file(&file, &sms, false).unwrap();
        assert_eq!((read.kind, read.root.get(&sms), &read.top), (FileKind::Hive, Some(&tree), &sms));

        fs::write(&file, reg_text::write(&tree, &sms, Encoding::Utf8).unwrap()).unwrap();
        let read = read_key_file(&file, &KeyPath::default(), false).unwrap();
        assert_eq!((read.kind, read.root.get(&sms), &read.top), (FileKind::RegText, Some(&tree), &sms));

        fs::write(&file, "WINE REGISTRY Version 2\n;; All keys relative to \\\\Machine\n\n[SOFTWARE\\\\SMS\\\\Setup] 1\n\"Type\"=dword:00000001\n").unwrap();
        let read = read_key_file(&file, &KeyPath::default(), false).unwrap();
        assert_eq!(read.kind, FileKind::Wine);
        assert_eq!(read.root.get(&path(r"HKEY_LOCAL_MACHINE\SOFTWARE\SMS\Setup")).unwrap().values().len(), 1);

        fs::write(&file, &hive[..hive.len() - 4096]).unwrap();
        assert!(matches!(read_key_file(&file, &sms, false), Err(StoreError::Damaged { .. })));
        fs::write(&file, "neither").unwrap();
        assert!(matches!(read_key_file(&file, &sms, true), Err(StoreError::Damaged { .. })));
    }

    #[test]
    fn files_differ_in_what_both_have_a_place_for() {
        let folder = tempfile::tempdir().unwrap();
        let sms = path(r"HKEY_LOCAL_MACHINE\SMS");
        let read = |name: &str, content: &[u8]| {
            let file = folder.path().join(name);
            fs::write(&file, content).unwrap();
            read_key_file(&file, &sms, false).unwrap()
        };
        let mut key = Key::default();
        let plain = regf::write(&key, &regf::Header::default()).unwrap();
        let text = reg_text::write(&key, &sms, Encoding::Utf8).unwrap();
        key.set_class(Some("class".into()));
        key.set_security(Some([1][..].into()));
        let known = read("known", &regf::write(&key, &regf::Header::default()).unwrap());
        let wine = b"WINE REGISTRY Version 2\n;; All keys relative to \\\\Machine\n\n[SMS] 1\n".as_slice();
        let changes = |other| known.changes(&other).iter().map(|change| format!("{change}\n")).collect::<String>();
        insta::assert_snapshot!(changes(read("plain", &plain)), @r#"
        - [HKEY_LOCAL_MACHINE\SMS] class "class"
        - [HKEY_LOCAL_MACHINE\SMS] security descriptor, 1 bytes
        "#);
        insta::assert_snapshot!(changes(read("wine", wine)), @r#"- [HKEY_LOCAL_MACHINE\SMS] class "class""#);
        assert_eq!(changes(read("text", &text)), "");
    }

    #[test]
    fn the_top_of_a_text_is_where_all_of_it_lies() {
        let top = |paths: &[&str]| common(paths.iter().map(|text| path(text)).collect::<Vec<_>>().iter()).to_string();
        assert_eq!(top(&[r"HKLM\A\B", r"HKLM\a\b\C", r"HKLM\A\B\D"]), r"HKLM\A\B");
        assert_eq!(top(&[r"HKLM\A\B", r"HKLM\A\C"]), r"HKLM\A");
        assert_eq!(top(&[r"HKLM\A", r"HKCU\A"]), "");
        assert_eq!(top(&[]), "");
    }
}
