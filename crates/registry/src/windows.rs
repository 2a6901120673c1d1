//! The live registry of this Windows machine.
//!
//! Windows has no call that replaces a key in one step where programs have it open. What is not reached by restoring a hive is written
//! value by value; and because a call that returns success may have done nothing, everything is read back and compared.

mod api;
mod security;
#[cfg(test)]
mod tests;

use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use backup_core::ports::registry::{ImportMode, Registry, RegistryError, RegistryKey};

use crate::adapter::{run, verify_export};
use crate::diff::{Change, diff};
use crate::name::{KeyPath, MAX_DEPTH, Name};
use crate::regf;
use crate::store::{Data, StoreError, write_export};
use crate::tree::Key;
use crate::value::{Value, ValueType};
use api::{OpenKey, Root};
use security::parts;

/// So often a key is read again that changes while it is read.
const ROUNDS: usize = 16;

/// The keys of this machine's registry, in the 64-bit view.
///
/// An import is not atomic: a crash in the middle leaves a key that is neither the old nor the new one, and repeating the import puts it
/// right. Imports through one value wait for each other; other programs are held off by nobody.
///
/// An exact import of a hive gives each key the class name and the access rules of the hive, also none and the default ones, and what
/// stands afterwards is compared with that, by whichever [`Means`] it came there. Of a key that is new and of which the data say nothing,
/// the access rules are those that Windows gives it. Last-write times become the time of the import where no hive is restored. Audit rules
/// are neither exported nor compared: those of a hive from elsewhere come along only when it is restored as a whole.
#[derive(Debug, Default)]
pub struct LiveKeys {
    importing: Mutex<()>,
}

/// How an import was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Means {
    /// Nothing had to be done.
    Nothing,
    /// Windows took the hive as a whole: an exact import by a process with the privileges of a backup.
    Hive,
    /// Key by key, value by value.
    Tree,
}

impl LiveKeys {
    /// This machine's; touches nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The key at `key` with all below it.
    ///
    /// # Errors
    /// [`StoreError`]: also where a key or a value cannot be read, for leaving it out would be silent.
    pub fn read(&self, key: &KeyPath) -> Result<Key, StoreError> {
        self.read_if_there(key)?.ok_or_else(|| StoreError::KeyNotFound(key.clone()))
    }

    /// The key at `key` with all below it, as a hive whose root it is. An unchanged key gives the same bytes.
    ///
    /// # Errors
    /// Those of [`read`](Self::read).
    pub fn export(&self, key: &KeyPath) -> Result<Vec<u8>, StoreError> {
        write_export(key, &self.read(key)?)
    }

    /// Puts a hive or `.reg` text into the registry at `key`, reads it back, and tells what changed and how. Idempotent.
    ///
    /// # Errors
    /// [`StoreError`]; after [`StoreError::Live`] and [`StoreError::NotKept`] the key may be half changed, and the import can be repeated.
    pub fn import(&self, key: &KeyPath, data: &[u8], mode: ImportMode) -> Result<(Vec<Change>, Means), StoreError> {
        // The lock guards nothing that a panic could leave half done.
        let _importing = self.importing.lock().unwrap_or_else(PoisonError::into_inner);
        let (before, after) = self.plan(key, data, mode)?;
        let changes = changes(key, before.as_ref(), after.as_ref());
        if changes.is_empty() {
            return Ok((changes, Means::Nothing));
        }
        if mode == ImportMode::Exact && regf::is_hive(data) && self.restore_hive(key, data, after.as_ref())? {
            return Ok((changes, Means::Hive));
        }
        // The hive may have had part of its effect.
        let stands = self.read_if_there(key)?;
        put(key, stands.as_ref(), after.as_ref())?;
        self.compare(key, after.as_ref())?;
        Ok((changes, Means::Tree))
    }

    /// Tells what [`import`](Self::import) would change, and changes nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn preview(&self, key: &KeyPath, data: &[u8], mode: ImportMode) -> Result<Vec<Change>, StoreError> {
        let (before, after) = self.plan(key, data, mode)?;
        Ok(changes(key, before.as_ref(), after.as_ref()))
    }

    /// The key as it is and as it is to be.
    fn plan(&self, key: &KeyPath, data: &[u8], mode: ImportMode) -> Result<(Option<Key>, Option<Key>), StoreError> {
        let data = Data::read(key, data)?;
        let before = self.read_if_there(key)?;
        let mut root = Key::default();
        if let Some(before) = before.clone() {
            root.replace(key, before);
        }
        let says_all = mode == ImportMode::Exact && matches!(data, Data::Tree(_));
        data.put(key, &mut root, mode)?;
        let mut after = root.remove(key);
        if let Some(after) = after.as_mut().filter(|_| says_all) {
            spell_out(after, &regf::default_security())?;
        }
        Ok((before, after))
    }

    fn read_if_there(&self, key: &KeyPath) -> Result<Option<Key>, StoreError> {
        let (root, path) = place(key)?;
        let opened = api::open(&root, &path, api::READ).map_err(failed("open", key))?;
        opened.map(|opened| read_key(&opened, key, key.names().len())).transpose()
    }

    /// Whether the key is as wanted after Windows was told to restore the hive; nobody is told otherwise why not.
    fn restore_hive(&self, key: &KeyPath, hive: &[u8], wanted: Option<&Key>) -> Result<bool, StoreError> {
        let (root, path) = place(key)?;
        let file = match hive_file(hive) {
            Ok(file) => file,
            // The other way needs no file.
            Err(_) => return Ok(false),
        };
        let opened = api::create(&root, &path, &[], false).map_err(failed("open", key))?;
        if opened.restore(&file).is_err() {
            return Ok(false);
        }
        drop(opened);
        Ok(self.compare(key, wanted).is_ok())
    }

    fn compare(&self, key: &KeyPath, wanted: Option<&Key>) -> Result<(), StoreError> {
        let stands = self.read_if_there(key)?;
        let differences = changes(key, wanted, stands.as_ref());
        match differences.first() {
            None => Ok(()),
            Some(first) => {
                Err(StoreError::NotKept { key: key.clone(), count: differences.len(), first: first.to_string() })
            }
        }
    }
}

/// A file that only Windows reads, gone when dropped.
fn hive_file(hive: &[u8]) -> io::Result<tempfile::TempPath> {
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(hive)?;
    Ok(file.into_temp_path())
}

fn failed(action: &'static str, key: &KeyPath) -> impl FnOnce(io::Error) -> StoreError {
    move |source| StoreError::Live { action, key: key.clone(), source }
}

/// The root that the path begins with, and what is below it.
fn place(key: &KeyPath) -> Result<(Root, Vec<u16>), StoreError> {
    let unknown =
        || failed("find", key)(io::Error::new(io::ErrorKind::NotFound, "no root of the registry has this name"));
    let (first, below) = key.names().split_first().ok_or_else(unknown)?;
    let root = api::root(&first.to_string()).ok_or_else(unknown)?;
    let below: Vec<Vec<u16>> = below.iter().map(|name| name.units().collect()).collect();
    Ok((root, below.join(&u16::from(b'\\'))))
}

fn read_key(open: &OpenKey, path: &KeyPath, depth: usize) -> Result<Key, StoreError> {
    for _ in 0..ROUNDS {
        let before = open.facts().map_err(failed("read", path))?;
        let key = read_once(open, &before, path, depth)?;
        let settled = |after: &api::Facts| after.last_write == before.last_write && after.subkeys == before.subkeys;
        if let Some(key) = key
            && settled(&open.facts().map_err(failed("read", path))?)
        {
            return Ok(key);
        }
    }
    Err(failed("read", path)(io::Error::other("it changes all the time")))
}

/// `None` when a subkey went while it was read.
fn read_once(open: &OpenKey, facts: &api::Facts, path: &KeyPath, depth: usize) -> Result<Option<Key>, StoreError> {
    let mut key = Key::default();
    key.set_class(Some(facts.class.iter().copied().collect()).filter(|class: &Name| !class.is_empty()));
    key.set_last_write(Some(facts.last_write));
    key.set_security(Some(open.security().map_err(failed("read the access rules of", path))?.into()));
    let mut room = vec![0; facts.longest_data as usize];
    for index in 0.. {
        let Some(value) = open.value(index, &mut room).map_err(failed("read a value of", path))? else { break };
        key.set_value(value.name.into_iter().collect::<Name>(), Value::new(ValueType(value.kind), value.data));
    }
    for index in 0.. {
        let Some(units) = open.subkey(index).map_err(failed("list", path))? else { break };
        let name: Name = units.iter().copied().collect();
        let below = child(path, &name)?;
        if depth >= MAX_DEPTH {
            return Err(failed("read", &below)(io::Error::other("it lies too deep")));
        }
        let Some(opened) = api::open(open, &units, api::READ).map_err(failed("open", &below))? else { return Ok(None) };
        let subkey = read_key(&opened, &below, depth + 1)?;
        key.replace(&child(&KeyPath::default(), &name)?, subkey);
    }
    Ok(Some(key))
}

/// Gives each key without a descriptor the default one, as restoring its hive does.
fn spell_out(key: &mut Key, default: &Arc<[u8]>) -> Result<(), StoreError> {
    if key.security().is_none() {
        key.set_security(Some(Arc::clone(default)));
    }
    let names: Vec<Name> = key.subkeys().map(|(name, _)| name.clone()).collect();
    names.iter().try_for_each(|name| spell_out(key.create(&child(&KeyPath::default(), name)?), default))
}

/// What turns one key into the other. Descriptors that say the same in another order are no change, nor is one that nobody asked for.
fn changes(path: &KeyPath, before: Option<&Key>, after: Option<&Key>) -> Vec<Change> {
    let tree = |key: Option<&Key>| {
        let mut root = Key::default();
        // What leads to the key is on neither side or on both.
        root.create(path);
        match key {
            Some(key) => root.replace(path, key.clone()),
            None => drop(root.remove(path)),
        }
        root
    };
    let mut changes = diff(&tree(before), &tree(after));
    changes.retain(|change| match change {
        Change::SecurityChanged(_, Some(one), Some(other)) => parts(one).is_none() || parts(one) != parts(other),
        // A live key has some descriptor always.
        Change::SecurityChanged(..) => false,
        _ => true,
    });
    changes
}

/// Makes the key at `path` what `after` is, given what stands.
fn put(path: &KeyPath, before: Option<&Key>, after: Option<&Key>) -> Result<(), StoreError> {
    let (root, below) = place(path)?;
    let Some(after) = after else {
        return delete(path);
    };
    let class: Vec<u16> = class_of(after);
    // A class is given to a new key only.
    if before.is_some_and(|before| class_of(before) != class) {
        delete(path)?;
        return put(path, None, Some(after));
    }
    let open = api::create(&root, &below, &class, after.is_link()).map_err(failed("create", path))?;
    fill(&open, path, before.unwrap_or(&Key::default()), after)
}

fn class_of(key: &Key) -> Vec<u16> {
    key.class().map(|class| class.units().collect()).unwrap_or_default()
}

fn delete(path: &KeyPath) -> Result<(), StoreError> {
    let (Some(name), Some(parent)) = (path.names().last(), parent_of(path)) else {
        return Err(failed("delete", path)(io::Error::other("a root of the registry cannot be deleted")));
    };
    let (root, above) = place(&parent)?;
    let Some(open) = api::open(&root, &above, api::WRITE).map_err(failed("open", &parent))? else { return Ok(()) };
    let name: Vec<u16> = name.units().collect();
    api::delete_tree(&open, &name).map_err(failed("delete", path))
}

fn parent_of(path: &KeyPath) -> Option<KeyPath> {
    let (_, above) = path.names().split_last()?;
    let mut parent = KeyPath::default();
    for name in above {
        parent = parent.child(name.clone()).ok()?;
    }
    (!above.is_empty()).then_some(parent)
}

/// Values first, then keys, and access rules last: they may take the right to the rest away.
fn fill(open: &OpenKey, path: &KeyPath, before: &Key, after: &Key) -> Result<(), StoreError> {
    for (name, _) in before.values().filter(|(name, _)| after.value((*name).clone()).is_none()) {
        open.delete_value(&name.units().collect::<Vec<_>>()).map_err(failed("delete a value of", path))?;
    }
    for (name, value) in after.values().filter(|(name, value)| before.value((*name).clone()) != Some(value)) {
        let units: Vec<u16> = name.units().collect();
        open.set_value(&units, value.kind().0, value.data()).map_err(failed("set a value of", path))?;
    }
    for (name, _) in before.subkeys() {
        if after.get(&child(&KeyPath::default(), name)?).is_none() {
            delete(&child(path, name)?)?;
        }
    }
    for (name, key) in after.subkeys() {
        let stands = before.get(&child(&KeyPath::default(), name)?);
        if stands != Some(key) {
            put(&child(path, name)?, stands, Some(key))?;
        }
    }
    match after.security() {
        Some(wanted) if before.security().is_none_or(|stands| parts(stands) != parts(wanted)) => {
            let whole = parts(wanted).is_some();
            let damaged = || io::Error::new(io::ErrorKind::InvalidData, "the descriptor in the backup is damaged");
            let set = if whole { open.set_security(wanted) } else { Err(damaged()) };
            set.map_err(failed("set the access rules of", path))
        }
        _ => Ok(()),
    }
}

fn child(path: &KeyPath, name: &Name) -> Result<KeyPath, StoreError> {
    path.clone().child(name.clone()).map_err(|error| failed("find", path)(io::Error::other(error)))
}

/// The live registry behind the port [`Registry`]. Exports are hives; hives and `.reg` text are imported.
///
/// Weaker than the port asks in one point: see [`LiveKeys`] for what an import is that was interrupted.
#[derive(Debug, Default)]
pub struct LiveRegistry(Arc<LiveKeys>);

impl LiveRegistry {
    /// This machine's registry; touches nothing.
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl Registry for LiveRegistry {
    async fn export(&self, key: &RegistryKey) -> Result<Vec<u8>, RegistryError> {
        let keys = Arc::clone(&self.0);
        run("export", key, move |path| keys.export(path)).await
    }

    async fn import(&self, key: &RegistryKey, export: &[u8], mode: ImportMode) -> Result<(), RegistryError> {
        let (keys, export) = (Arc::clone(&self.0), export.to_vec());
        run("import", key, move |path| keys.import(path, &export, mode).map(drop)).await
    }

    async fn preview(&self, key: &RegistryKey, export: &[u8], mode: ImportMode) -> Result<Vec<String>, RegistryError> {
        let (keys, export) = (Arc::clone(&self.0), export.to_vec());
        let changes = run("preview", key, move |path| keys.preview(path, &export, mode)).await?;
        Ok(changes.iter().map(ToString::to_string).collect())
    }

    async fn verify(&self, key: &RegistryKey, export: &[u8]) -> Result<usize, RegistryError> {
        verify_export(key, export).await
    }
}
