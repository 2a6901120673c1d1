//! The registry in files: `.reg` text, a hive, a Wine prefix.

use std::path::Path;
use std::sync::Arc;

use backup_core::ports::registry::{Registry, RegistryKey};
use registry::{
    HiveFile, HiveFileRegistry, ImportMode, Key, KeyPath, RegFile, RegFileRegistry, WineFile, WinePrefixRegistry, regf,
};
use tempfile::TempDir;
use tests::conformance::registry::RegistryBench;

/// Registry files of one kind with a key of every type of value, and another key beside it.
#[derive(Debug)]
pub(super) struct FileRegistry {
    scratch: TempDir,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Reg,
    Hive,
    Wine,
}

const ROOT: &str = r"HKEY_LOCAL_MACHINE\SOFTWARE";
const KEY: &str = r"HKEY_LOCAL_MACHINE\SOFTWARE\Bench";
const NEIGHBOUR: &str = r"HKEY_LOCAL_MACHINE\SOFTWARE\Bench2";

const VALUES: &str = r#"@="the default value"
"string"="Größe \\ \"x\""
"empty"=""
"dword"=dword:0000002a
"qword"=hex(b):2a,00,00,00,00,00,00,00
"binary"=hex:00,ff,80
"none"=hex(0):
"expand"=hex(2):25,00,50,00,25,00,00,00
"multi"=hex(7):61,00,00,00,62,00,00,00,00,00
"unknown type"=hex(ffff0001):01,02,03
"not terminated"=hex(1):61,00
"odd length"=hex(1):61,00,62
"#;

fn path(key: &str) -> KeyPath {
    key.parse().expect("a path of a key")
}

fn hive_file(folder: &Path) -> HiveFile {
    HiveFile::new(folder.join("SOFTWARE"), path(ROOT))
}

impl FileRegistry {
    pub(super) fn reg() -> Self {
        Self::new(Kind::Reg)
    }

    pub(super) fn hive() -> Self {
        Self::new(Kind::Hive)
    }

    pub(super) fn wine() -> Self {
        Self::new(Kind::Wine)
    }

    fn new(kind: Kind) -> Self {
        let registry = Self { scratch: tempfile::tempdir().expect("a scratch folder"), kind };
        registry.write("\"counter\"=dword:00000001\n");
        registry.describe("Sub Key", "first", 40);
        registry
    }

    fn write(&self, more: &str) {
        let text = format!(
            "Windows Registry Editor Version 5.00\n\n[{KEY}]\n{VALUES}\n[{KEY}\\Sub Key]\n{more}\n[{KEY}\\Empty]\n\n\
             [{NEIGHBOUR}]\n\"kept\"=\"yes\"\n"
        );
        let (folder, root, text) = (self.scratch.path(), path(ROOT), text.as_bytes());
        match self.kind {
            Kind::Reg => RegFile::new(folder.join("site.reg")).import(&root, text, ImportMode::Exact),
            Kind::Hive => hive_file(folder).import(&root, text, ImportMode::Exact),
            Kind::Wine => WineFile::of_prefix(folder)[0].import(&root, text, ImportMode::Exact),
        }
        .expect("written");
    }

    /// Gives a subkey a class name and a security descriptor, where the files have a place for them.
    fn describe(&self, name: &str, class: &str, descriptor: usize) {
        let mut key = Key::default();
        key.set_class(Some(class.into()));
        key.set_security(Some(vec![1; descriptor].into()));
        let (folder, at) = (self.scratch.path(), path(&format!(r"{KEY}\{name}")));
        let hive = regf::write(&key, &regf::Header::default()).expect("a hive");
        match self.kind {
            Kind::Reg => RegFile::new(folder.join("site.reg")).import(&at, &hive, ImportMode::Merge),
            Kind::Hive => hive_file(folder).import(&at, &hive, ImportMode::Merge),
            Kind::Wine => WineFile::of_prefix(folder)[0].import(&at, &hive, ImportMode::Merge),
        }
        .expect("written");
    }

    fn adapter(&self, folder: &Path) -> Arc<dyn Registry> {
        match self.kind {
            Kind::Reg => Arc::new(RegFileRegistry::new(RegFile::new(folder.join("site.reg")))),
            Kind::Hive => Arc::new(HiveFileRegistry::new(hive_file(folder))),
            Kind::Wine => Arc::new(WinePrefixRegistry::new(folder)),
        }
    }
}

impl RegistryBench for FileRegistry {
    fn registry(&self) -> Arc<dyn Registry> {
        self.adapter(self.scratch.path())
    }

    fn empty(&self) -> Arc<dyn Registry> {
        let folder = tempfile::tempdir_in(self.scratch.path()).expect("a folder");
        self.adapter(&folder.keep())
    }

    fn key(&self) -> RegistryKey {
        RegistryKey::new(KEY)
    }

    fn count(&self) -> usize {
        3
    }

    fn neighbour(&self) -> RegistryKey {
        RegistryKey::new(NEIGHBOUR)
    }

    fn change(&self) {
        self.write(&format!("\"counter\"=dword:00000002\n\"new\"=\"x\"\n[{KEY}\\New Key]\n\"y\"=\"z\"\n"));
        self.describe("Sub Key", "second", 44);
        self.describe("Empty", "new", 48);
    }

    fn unserved(&self) -> Option<RegistryKey> {
        match self.kind {
            Kind::Reg => None,
            Kind::Hive => Some(RegistryKey::new(r"HKLM\SYSTEM\Bench")),
            Kind::Wine => Some(RegistryKey::new(r"HKCR\Bench")),
        }
    }
}
