//! The one decorator that injects faults into storage: at the n-th call an error, a kill, or a disk that is full from then on.

use std::io;
use std::sync::Mutex;

use super::{Storage, StorageError, Stored};

/// What happens at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// The call fails and has had no effect.
    ErrorBefore,
    /// The call has had its effect and fails.
    ErrorAfter,
    /// The process dies: this call and all later ones fail, and none of them has had an effect.
    KillBefore,
    /// The process dies: this call has had its effect and fails; all later ones fail without one.
    KillAfter,
    /// From here on there is no room: whatever is put fails and has had no effect. All other calls go well.
    Full,
}

/// A fault at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Which call, counted from 0.
    pub at: usize,
    /// What happens.
    pub kind: FaultKind,
}

/// A call as it was counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// `list`, `len`, `get`, `put`, `delete` or `sweep`.
    pub action: &'static str,
    /// The object, or the folder of objects.
    pub name: String,
}

/// Storage that fails where it is told to, and counts its calls. [`Storage::get`] is two calls, as on any storage.
#[derive(Debug)]
pub struct FaultyStorage<S> {
    inner: S,
    fault: Option<Fault>,
    calls: Mutex<Vec<Call>>,
}

impl<S: Storage> FaultyStorage<S> {
    /// Strikes `inner`'s caller once, or only counts.
    pub fn new(inner: S, fault: Option<Fault>) -> Self {
        Self { inner, fault, calls: Mutex::default() }
    }

    /// The calls so far, those of a dead process left out.
    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().expect("nothing panics while it is held").clone()
    }

    fn call<T>(
        &self,
        action: &'static str,
        name: &str,
        call: impl FnOnce(&S) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let error = || StorageError::failed(action, name, io::Error::other("injected fault"));
        let mut calls = self.calls.lock().expect("nothing panics while it is held");
        let now = calls.len();
        let dies = |fault: Fault| matches!(fault.kind, FaultKind::KillBefore | FaultKind::KillAfter);
        if self.fault.is_some_and(|fault| dies(fault) && now > fault.at) {
            return Err(error());
        }
        calls.push(Call { action, name: name.to_owned() });
        drop(calls);
        let kind = self.fault.filter(|fault| fault.at == now || fault.kind == FaultKind::Full && fault.at < now);
        match kind.map(|fault| fault.kind) {
            None => call(&self.inner),
            Some(FaultKind::ErrorBefore | FaultKind::KillBefore) => Err(error()),
            Some(FaultKind::ErrorAfter | FaultKind::KillAfter) => call(&self.inner).and(Err(error())),
            Some(FaultKind::Full) if action == "put" => Err(StorageError::Full(name.to_owned())),
            Some(FaultKind::Full) => call(&self.inner),
        }
    }
}

impl<S: Storage> Storage for FaultyStorage<S> {
    fn list(&self, folder: &str) -> Result<Vec<Stored>, StorageError> {
        self.call("list", folder, |inner| inner.list(folder))
    }

    fn len(&self, name: &str) -> Result<u64, StorageError> {
        self.call("len", name, |inner| inner.len(name))
    }

    fn get_range(&self, name: &str, offset: u64, len: usize) -> Result<Vec<u8>, StorageError> {
        self.call("get", name, |inner| inner.get_range(name, offset, len))
    }

    fn put_new(&self, name: &str, content: &[u8]) -> Result<(), StorageError> {
        self.call("put", name, |inner| inner.put_new(name, content))
    }

    fn delete(&self, name: &str) -> Result<(), StorageError> {
        self.call("delete", name, |inner| inner.delete(name))
    }

    fn sweep(&self) -> Result<usize, StorageError> {
        self.call("sweep", "", S::sweep)
    }
}
