//! The repository that the command line means: where it is, what opens it, and how its errors are told.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use archive::keys::identity::Identity;
use archive::keys::{self, KeyError, Opened};
use archive::storage::append_only::AppendOnly;
use archive::storage::local::LocalStorage;
use archive::storage::{Storage, StorageError};
use archive::{ArchiveError, Listed, Listing, Repository};
use backup_core::config::{ArchiveConfig, ArchiveKey};
use backup_core::path::SitePath;
use backup_core::ports::Source;
use backup_core::ports::archive::SnapshotArchiveError;
use backup_core::report::Finding;
use host::machine::process_facts;
use jiff::Timestamp;
use zeroize::Zeroizing;

use super::chosen::doubts;
use crate::args::AccessArgs;
use crate::commands::Session;
use crate::error::{Because, CommandError};
use crate::exit::Exit;
use crate::site::{Site, find, local, site_path};

const REPOSITORY_VARIABLE: &str = "SITEBACKUP_REPOSITORY";
const FILE_VARIABLE: &str = "SITEBACKUP_PASSPHRASE_FILE";
const PASSPHRASE_VARIABLE: &str = "SITEBACKUP_PASSPHRASE";

/// No honest passphrase or identity is longer.
const MOST_SECRET: u64 = 64 << 10;
/// Digits of an id that a person is shown.
const SHORT: usize = 12;

/// A place that may be a repository.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) path: SitePath,
    pub(super) storage: Arc<dyn Storage>,
}

/// A repository that was opened.
#[derive(Debug)]
pub(super) struct OpenRepository {
    pub(super) place: Place,
    pub(super) repository: Repository,
    /// The key file that opened it.
    pub(super) opened: Opened,
}

/// What opens a key.
pub(super) enum Secret {
    Passphrase(Zeroizing<String>),
    Identity(Identity),
}

/// This process, for whoever meets its lease.
pub(crate) fn holder() -> String {
    let facts = process_facts();
    format!("process {} on {}, since {}", facts.pid, facts.machine, Timestamp::now())
}

/// The same with what site.toml says, where neither an option nor the environment names a repository, or what opens it. Who `has_keys` asks for none.
pub(super) fn with_site(session: &Session, access: &AccessArgs, has_keys: bool) -> Result<AccessArgs, CommandError> {
    if has_place(access) && (has_keys || has_key(access)) || find(&session.global).is_none() {
        return Ok(access.clone());
    }
    Ok(completed(access, Site::load(&session.global)?.config.archive.as_ref()))
}

/// The same with what the configuration says, where nothing else does.
pub(in crate::commands) fn completed(access: &AccessArgs, archive: Option<&ArchiveConfig>) -> AccessArgs {
    let mut access = access.clone();
    if let Some(configured) = archive.map(of_config) {
        if !has_place(&access) {
            access.repository = configured.repository;
        }
        if !has_key(&access) {
            (access.passphrase_file, access.identity_file) = (configured.passphrase_file, configured.identity_file);
        }
    }
    access
}

fn has_place(access: &AccessArgs) -> bool {
    access.repository.is_some() || is_set(REPOSITORY_VARIABLE)
}

fn has_key(access: &AccessArgs) -> bool {
    let is_given = access.passphrase_file.is_some() || access.identity_file.is_some();
    is_given || is_set(FILE_VARIABLE) || is_set(PASSPHRASE_VARIABLE)
}

fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}

fn of_config(archive: &ArchiveConfig) -> AccessArgs {
    let key = local(archive.key.path());
    let (passphrase_file, identity_file) = match archive.key {
        ArchiveKey::PassphraseFile(_) => (Some(key), None),
        ArchiveKey::IdentityFile(_) => (None, Some(key)),
    };
    AccessArgs { repository: Some(local(&archive.repository)), passphrase_file, identity_file, append_only: false }
}

/// Opens the repository of site.toml for a run.
pub(crate) fn open_configured(archive: &ArchiveConfig) -> Result<Repository, SnapshotArchiveError> {
    let opened = open_repository(&of_config(archive)).map_err(|error| {
        let cause: Source = error.messages().join(": ").into();
        match error.kind {
            Exit::KEY => SnapshotArchiveError::Key(cause),
            Exit::ARCHIVE_DAMAGED => SnapshotArchiveError::Damaged(cause),
            _ => SnapshotArchiveError::Failed(cause),
        }
    })?;
    Ok(opened.repository)
}

/// The first digits of an id.
pub(crate) fn short(id: &str) -> &str {
    id.get(..SHORT).unwrap_or(id)
}

/// Where the command line or the environment says that the repository is, or will be.
pub(super) fn place_of(access: &AccessArgs) -> Result<SitePath, CommandError> {
    let named = || std::env::var_os(REPOSITORY_VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
    let Some(folder) = access.repository.clone().or_else(named) else {
        let message = format!(
            "neither --repository nor {REPOSITORY_VARIABLE} nor `[archive]` in site.toml names the archive repository"
        );
        return Err(CommandError::usage(message).hint("`sitebackup archive init REPOSITORY` makes one"));
    };
    site_path(&folder)
}

impl Place {
    /// Opens the storage there.
    pub(super) fn find(access: &AccessArgs) -> Result<Self, CommandError> {
        let path = place_of(access)?;
        match LocalStorage::open(local(&path)) {
            Ok(storage) if access.append_only => Ok(Self { path, storage: Arc::new(AppendOnly(storage)) }),
            Ok(storage) => Ok(Self { path, storage: Arc::new(storage) }),
            Err(StorageError::Missing(_)) => {
                Err(no_repository(&path, "the folder does not exist, or its disk or share is not mounted"))
            }
            Err(error) => Err(failed(&path, error.into())),
        }
    }

    /// An error of the repository, told with its place and its remedy.
    pub(super) fn failed(&self, error: ArchiveError) -> CommandError {
        failed(&self.path, error)
    }

    /// An error of its keys.
    pub(super) fn key_failed(&self, error: KeyError) -> CommandError {
        let error = match error {
            KeyError::Storage(error) => return self.failed(error.into()),
            error => error,
        };
        let hint = match &error {
            KeyError::WrongPassphrase { .. } => {
                "is it the passphrase of this repository? `sitebackup archive keys list` tells what opens it"
            }
            KeyError::NotGiven { .. } => "`sitebackup archive keys list` tells to whom its keys were given",
            KeyError::TooMany => "remove from its folder `keys` what nobody knows: whoever may write there has put it",
            KeyError::MayBeLast(_) => "open the repository with another key that reads, and remove this one then",
            KeyError::EmptyPassphrase | KeyError::Label => {
                return CommandError::usage(error);
            }
            _ => "`sitebackup archive keys list` tells what is wrong with each of its keys",
        };
        let message = format!("the keys of the archive repository `{}` could not be used", self.path);
        CommandError::new(Exit::KEY, Because { message, source: error.into() }).hint(hint)
    }
}

/// Opens the repository: the one place where a key is asked for.
pub(super) fn open_repository(access: &AccessArgs) -> Result<OpenRepository, CommandError> {
    let place = Place::find(access)?;
    let id = Repository::id_of(&*place.storage).map_err(|error| place.failed(error))?;
    let opened = match secret(access)? {
        Secret::Passphrase(passphrase) => keys::open_with_passphrase(&*place.storage, &passphrase, Some(&id)),
        Secret::Identity(identity) => keys::open_with_identity(&*place.storage, &identity, Some(&id)),
    };
    let opened = opened.map_err(|error| place.key_failed(error))?;
    let repository = Repository::open(Arc::clone(&place.storage), opened.key.clone());
    let repository = repository.map_err(|error| place.failed(error))?;
    Ok(OpenRepository { place, repository, opened })
}

impl OpenRepository {
    /// Has the screen show how far its long calls are.
    pub(super) fn heard_by(mut self, session: &Session) -> Self {
        self.repository = self.repository.with_events(session.screen.clone());
        self
    }

    pub(super) fn failed(&self, error: ArchiveError) -> CommandError {
        self.place.failed(error)
    }

    /// The snapshot that the command line names, with what speaks against the one that `latest` is.
    pub(super) fn find(&self, id: &str) -> Result<(Listed, Vec<Finding>), CommandError> {
        let id = id.to_ascii_lowercase();
        if id != "latest" {
            return Ok((self.repository.find(&id).map_err(|error| self.failed(error))?, Vec::new()));
        }
        let Listing { mut snapshots, damaged } = self.repository.snapshots().map_err(|error| self.failed(error))?;
        let newest = snapshots.pop().ok_or_else(|| self.failed(ArchiveError::Empty))?;
        let findings = doubts(&newest, &snapshots, &damaged);
        Ok((newest, findings))
    }
}

/// What the command line or the environment gives to open a key with.
pub(super) fn secret(access: &AccessArgs) -> Result<Secret, CommandError> {
    if let Some(file) = &access.identity_file {
        let text = first_line(file)?;
        let not_one = |error| {
            let message = format!("`{}` holds no identity", file.display());
            let hint = "`sitebackup archive keys identity FILE` makes one";
            CommandError::usage(Because { message, source: Box::new(error) }).hint(hint)
        };
        return Ok(Secret::Identity(text.parse().map_err(not_one)?));
    }
    match passphrase(access)? {
        Some(passphrase) => Ok(Secret::Passphrase(passphrase)),
        None => Err(CommandError::new(Exit::KEY, "nothing was given to open the archive repository with").hint(
            format!(
                "give --passphrase-file or --identity-file, set {FILE_VARIABLE} or {PASSPHRASE_VARIABLE}, or name a file under `[archive]` in site.toml"
            ),
        )),
    }
}

/// The passphrase, where one is given.
pub(super) fn passphrase(access: &AccessArgs) -> Result<Option<Zeroizing<String>>, CommandError> {
    let named = || std::env::var_os(FILE_VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(file) = access.passphrase_file.clone().or_else(named) {
        return first_line(&file).map(Some);
    }
    Ok(std::env::var(PASSPHRASE_VARIABLE).ok().filter(|text| !text.is_empty()).map(Zeroizing::new))
}

/// The first line of a file that holds a secret.
pub(super) fn first_line(file: &Path) -> Result<Zeroizing<String>, CommandError> {
    let failed = |error| {
        let hint = "it must be there, and be a text in UTF-8; other programs' UTF-16 is not read";
        CommandError::io(Exit::KEY, "read the secret in", file, error).hint(hint)
    };
    let no_secret = |why: &str| {
        CommandError::new(Exit::KEY, format!("`{}` {why}", file.display())).hint(
            "name the file whose first line is the passphrase, or the identity that `archive keys identity` wrote",
        )
    };
    if std::fs::metadata(file).map_err(failed)?.len() > MOST_SECRET {
        return Err(no_secret("is too long to hold a secret"));
    }
    let text = Zeroizing::new(std::fs::read_to_string(file).map_err(failed)?);
    let line = text.trim_start_matches('\u{feff}').lines().next().unwrap_or_default();
    match line.is_empty() {
        true => Err(no_secret("holds no secret: its first line is empty")),
        false => Ok(Zeroizing::new(line.to_owned())),
    }
}

/// What to do where all else of a repository is there.
const CONFIG_ANEW: &str =
    "if `config` was lost, write it anew: docs/format.md (Layout) has its fields, and the recovery sheet the id";

/// Whether no snapshot needs an object: leases and marks are between those who store and those who prune.
pub(super) fn is_of_nobody(name: &str) -> bool {
    ["leases/", "marks/", "confirmed/"].iter().any(|folder| name.starts_with(folder))
}

/// What to do about such an object when it is damaged.
pub(super) const OF_NOBODY: &str =
    "no snapshot needs it: when nobody stores or prunes, remove this file from the repository, and repeat the call";

pub(super) fn no_repository(path: &SitePath, why: &str) -> CommandError {
    CommandError::new(Exit::ARCHIVE, format!("there is no archive repository at `{path}`: {why}"))
        .hint("name another one with --repository, or make one with `sitebackup archive init REPOSITORY`")
}

/// An error of the repository at `path`, told with its remedy.
pub(super) fn failed(path: &SitePath, error: ArchiveError) -> CommandError {
    let (kind, hint) = match &error {
        ArchiveError::NoRepository => return no_repository(path, "`config` is missing").hint(CONFIG_ANEW),
        ArchiveError::Empty => (
            Exit::SNAPSHOT,
            "`sitebackup archive FOLDER` makes one; those that are damaged are listed by `sitebackup archive snapshots`",
        ),
        ArchiveError::NoSnapshot(_) | ArchiveError::Ambiguous { .. } => {
            (Exit::SNAPSHOT, "`sitebackup archive snapshots` lists them: give as much of the id as tells it apart")
        }
        ArchiveError::Pinned(_) => (Exit::USAGE, "`sitebackup archive unpin ID` lets it be forgotten"),
        ArchiveError::Read(_) => (Exit::FILES, "nothing was archived: see to the folder, and repeat the call"),
        ArchiveError::Unsealed { .. } => {
            let hint = "nothing was archived; `sitebackup verify --read-data` says what is wrong with the snapshot";
            (Exit::SNAPSHOT, hint)
        }
        ArchiveError::Cancelled => (Exit::INTERRUPTED, "repeat the call: it goes on where it stopped"),
        ArchiveError::WriteOnly => {
            (Exit::KEY, "open it with a passphrase or an identity that was given a key that reads")
        }
        ArchiveError::Busy(_) => {
            let hint = "wait until it has ended; if it was killed, `sitebackup archive unlock` removes its lease";
            (Exit::BUSY, hint)
        }
        ArchiveError::Damaged { name, .. } if name == "config" => (Exit::ARCHIVE_DAMAGED, CONFIG_ANEW),
        ArchiveError::Damaged { name, .. } if is_of_nobody(name) => (Exit::ARCHIVE_DAMAGED, OF_NOBODY),
        ArchiveError::Damaged { .. } | ArchiveError::Lost { .. } => {
            let hint = "`sitebackup archive verify --read-data` tells all that is damaged, and what to do; what it does not touch still restores";
            (Exit::ARCHIVE_DAMAGED, hint)
        }
        ArchiveError::Storage(StorageError::Exists(_)) => {
            (Exit::ARCHIVE, "choose a folder that is empty, or not there")
        }
        ArchiveError::OtherKey(_) => (Exit::KEY, "open it with a passphrase or an identity of its own"),
        ArchiveError::Newer { .. } => (Exit::ARCHIVE, "use the program that made it, or a later one"),
        ArchiveError::Storage(StorageError::Full(_)) => {
            (Exit::FULL, "make room, and repeat the call: what was stored is as it was")
        }
        ArchiveError::Storage(_) => (Exit::ARCHIVE, "see to the folder: what was stored is as it was"),
    };
    let bare = matches!(
        &error,
        ArchiveError::Empty
            | ArchiveError::NoSnapshot(_)
            | ArchiveError::Ambiguous { .. }
            | ArchiveError::Pinned(_)
            | ArchiveError::Read(_)
            | ArchiveError::Unsealed { .. }
            | ArchiveError::Cancelled
    );
    let source = match bare {
        true => CommandError::new(kind, error),
        false => {
            let message = format!("the archive repository `{path}` could not be used");
            CommandError::new(kind, Because { message, source: error.into() })
        }
    };
    source.hint(hint)
}
