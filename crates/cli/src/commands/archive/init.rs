//! `archive init`: a new repository and its recovery sheet.

use std::sync::Arc;

use archive::crypto::ReadKey;
use archive::keys::{self, Key, KeyId};
use archive::storage::StorageError;
use archive::storage::local::LocalStorage;
use archive::{FORMAT_VERSION, Repository};
use backup_core::path::SitePath;
use serde_json::{Map, json};

use super::open::{Place, passphrase, place_of, with_site};
use crate::args::{AccessArgs, ArchiveInitArgs};
use crate::commands::Session;
use crate::error::{Because, CommandError};
use crate::exit::Exit;
use crate::output::{Answer, json};
use crate::site::local;

/// Where the new repository will be, and its passphrase. A recipient is a key that was named: then no other one comes from site.toml. An identity
/// there opens what was given to it, and makes nothing.
pub(super) fn access(
    session: &Session,
    access: &AccessArgs,
    args: &ArchiveInitArgs,
) -> Result<AccessArgs, CommandError> {
    if let (Some(place), Some(other)) = (&args.place, &access.repository)
        && place != other
    {
        let message = format!("both `{}` and `{}` are to be the new repository", place.display(), other.display());
        return Err(CommandError::usage(message).hint("leave --repository away: `sitebackup archive init REPOSITORY`"));
    }
    let named = AccessArgs { repository: args.place.clone().or_else(|| access.repository.clone()), ..access.clone() };
    let has_keys = !args.recipient.is_empty();
    let all = with_site(session, &named, has_keys)?;
    Ok(if has_keys { AccessArgs { repository: all.repository, ..named } } else { all })
}

pub(super) fn run(access: &AccessArgs, args: &ArchiveInitArgs) -> Result<Answer, CommandError> {
    let passphrase = passphrase(access)?;
    if passphrase.is_none() && args.recipient.is_empty() {
        let message =
            "a repository needs a key that somebody can open, and neither a passphrase nor a recipient is given";
        return Err(CommandError::usage(message).hint("give --passphrase-file, or --recipient, or both"));
    }
    let path = place_of(access)?;
    let storage = LocalStorage::create(local(&path)).map_err(|error| not_made(&path, error))?;
    let place = Place { path, storage: Arc::new(storage) };
    let read = ReadKey::generate();
    let key = Key::Read(read.clone());
    let mut ids = Vec::new();
    if let Some(passphrase) = &passphrase {
        let id = keys::add_passphrase_key(&*place.storage, &key, passphrase, "");
        ids.push((id.map_err(|error| place.key_failed(error))?, "a passphrase".to_owned()));
    }
    for recipient in &args.recipient {
        let id = keys::add_recipient_key(&*place.storage, &key, recipient, "");
        ids.push((id.map_err(|error| place.key_failed(error))?, recipient.to_string()));
    }
    let repository = Repository::create(Arc::clone(&place.storage), &read).map_err(|error| place.failed(error))?;
    let id = repository.id();
    let mut result = Map::new();
    json::put_path(&mut result, "repository", &place.path);
    result.insert("id".to_owned(), json!(id));
    let list: Vec<_> = ids.iter().map(|(id, of)| json!({ "id": id.to_string(), "opened_by": of })).collect();
    result.insert("keys".to_owned(), json!(list));
    Ok(Answer::new(sheet(&place.path, id, &ids), result.into()))
}

fn not_made(path: &SitePath, error: StorageError) -> CommandError {
    let kind = if matches!(error, StorageError::Full(_)) { Exit::FULL } else { Exit::ARCHIVE };
    let message = format!("the archive repository `{path}` could not be made");
    CommandError::new(kind, Because { message, source: error.into() })
        .hint("choose a folder that is empty, or not there while the one above it is")
}

/// What is printed and kept away from the machine. Nothing on it is secret.
fn sheet(path: &SitePath, id: &str, ids: &[(KeyId, String)]) -> String {
    let keys: String = ids.iter().map(|(id, of)| format!("  {id}  opened by {of}\n")).collect();
    format!(
        "RECOVERY SHEET of a sitebackup archive repository. Print it; keep the passphrase, or the identity, elsewhere.\n\
         \n\
         repository  {path}\n\
         id          {id}\n\
         format      sitebackup-archive, version {FORMAT_VERSION}\n\
         keys\n{keys}\
         \n\
         With the program, on any machine that sees the folder:\n\
         \x20 sitebackup archive snapshots --repository FOLDER --passphrase-file FILE\n\
         \x20 sitebackup recover --from-archive ID --repository FOLDER --passphrase-file FILE\n\
         \x20 sitebackup archive restore ID --to PLACE --repository FOLDER --passphrase-file FILE\n\
         Without it: docs/format.md of the project describes every byte of the repository, and a reader of its own in Python, made\n\
         from that page alone, restores a snapshot (tests/it/archive_reader.py).\n\
         \n\
         Whoever has lost every passphrase and every identity has lost the archive: nobody can open it.\n"
    )
}
