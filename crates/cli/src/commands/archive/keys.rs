//! `archive keys`: who can open a repository.

use archive::Repository;
use archive::keys::identity::Identity;
use archive::keys::{self, Holds, Key, KeyError, KeyId, ListedKey};
use backup_core::report::{Cause, Finding};
use host::private_file;
use serde_json::{Value, json};

use super::open::{Place, first_line, open_repository};
use crate::args::{AccessArgs, KeysAddArgs, KeysCommand, KeysIdentityArgs, KeysPassphraseArgs, KeysRemoveArgs};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::{Answer, human};

pub(super) fn run(access: &AccessArgs, command: &KeysCommand) -> Result<Answer, CommandError> {
    match command {
        KeysCommand::List => list(access),
        KeysCommand::Add(args) => add(access, args),
        KeysCommand::Passphrase(args) => passphrase(access, args),
        KeysCommand::Remove(args) => remove(access, args),
        KeysCommand::Identity(args) => identity(args),
    }
}

fn holds(holds: Holds) -> &'static str {
    match holds {
        Holds::Read => "reads and stores",
        Holds::Write => "stores only",
    }
}

/// Needs no key: whoever has lost his own is told what would open the repository.
fn list(access: &AccessArgs) -> Result<Answer, CommandError> {
    let place = Place::find(access)?;
    Repository::id_of(&*place.storage).map_err(|error| place.failed(error))?;
    let keys = keys::list_keys(&*place.storage).map_err(|error| place.key_failed(error))?;
    let row = |key: &ListedKey| match &key.facts {
        Ok(facts) => {
            let of = facts.recipient.map_or_else(|| "a passphrase".to_owned(), |recipient| recipient.to_string());
            vec![key.id.to_string(), holds(facts.holds).to_owned(), format!("opened by {of}"), facts.label.clone()]
        }
        Err(_) => vec![key.id.to_string(), "cannot be read".to_owned()],
    };
    let rows: Vec<Vec<String>> = keys.iter().map(row).collect();
    let unread = keys.iter().filter_map(|key| key.facts.as_ref().err()).map(|error| {
        let hint = match error {
            KeyError::Newer { .. } => "the program that made it opens it, and later ones",
            _ => "if no other key opens the repository, only a copy of this file does; else `sitebackup archive keys remove` removes it",
        };
        Finding::error(Cause::Key, error.to_string()).hint(hint)
    });
    let none = keys.is_empty().then(|| {
        let message = format!("the archive repository `{}` has no key: nobody can open it", place.path);
        Finding::error(Cause::Key, message).hint("put its folder `keys` back from a copy of the repository")
    });
    let findings: Vec<Finding> = unread.chain(none).collect();
    let exit = if findings.is_empty() { Exit::DONE } else { Exit::INCOMPLETE };
    let result = json!({ "keys": keys.iter().map(value).collect::<Vec<_>>() });
    Ok(Answer::new(human::table(&rows, &[], ""), result).with(findings).exit(exit))
}

fn value(key: &ListedKey) -> Value {
    match &key.facts {
        Ok(facts) => json!({
            "id": key.id.to_string(),
            "holds": facts.holds,
            "recipient": facts.recipient.map(|recipient| recipient.to_string()),
            "label": facts.label,
        }),
        Err(_) => json!({ "id": key.id.to_string(), "holds": null, "recipient": null, "label": null }),
    }
}

fn add(access: &AccessArgs, args: &KeysAddArgs) -> Result<Answer, CommandError> {
    let opened = open_repository(access)?;
    let key = match (&opened.opened.key, args.write_only) {
        (key, true) => Key::Write(key.write_key().clone()),
        (key, false) => key.clone(),
    };
    let storage = &*opened.place.storage;
    let id = match (&args.recipient, &args.new_passphrase_file) {
        (Some(recipient), _) => keys::add_recipient_key(storage, &key, recipient, &args.label),
        (None, Some(file)) => keys::add_passphrase_key(storage, &key, &first_line(file)?, &args.label),
        (None, None) => return Err(CommandError::usage("neither a passphrase nor a recipient is given")),
    };
    let id = id.map_err(|error| opened.place.key_failed(error))?.to_string();
    let holds = holds(key.holds());
    Ok(Answer::new(format!("Key {id} is added: it {holds}.\n"), json!({ "id": id })))
}

fn passphrase(access: &AccessArgs, args: &KeysPassphraseArgs) -> Result<Answer, CommandError> {
    if let Some(file) = &access.identity_file {
        let message = format!("the identity in `{}` would open nothing any more", file.display());
        let hint = "open the repository with the passphrase that is to change; `keys add` gives a key to one more";
        return Err(CommandError::usage(message).hint(hint));
    }
    let opened = open_repository(access)?;
    let new = first_line(&args.new_passphrase_file)?;
    let changed = keys::change_passphrase(&*opened.place.storage, &opened.opened, &new, "");
    let id = changed.map_err(|error| opened.place.key_failed(error))?.id.to_string();
    let text = format!("Key {id} takes the place of {}: the new passphrase opens it.\n", opened.opened.id);
    Ok(Answer::new(text, json!({ "id": id, "removed": opened.opened.id.to_string() })))
}

fn remove(access: &AccessArgs, args: &KeysRemoveArgs) -> Result<Answer, CommandError> {
    let opened = open_repository(access)?;
    let listed = keys::list_keys(&*opened.place.storage).map_err(|error| opened.place.key_failed(error))?;
    let named: Vec<KeyId> =
        listed.into_iter().map(|key| key.id).filter(|id| id.to_string().starts_with(&args.id)).collect();
    let [id] = named.as_slice() else {
        let message = format!("{} with `{}`", human::count(named.len() as u64, "key begins", "keys begin"), args.id);
        return Err(CommandError::usage(message).hint("`sitebackup archive keys list` lists them"));
    };
    keys::remove_key(&*opened.place.storage, id, &opened.opened).map_err(|error| opened.place.key_failed(error))?;
    Ok(Answer::new(format!("Key {id} is removed.\n"), json!({ "id": id.to_string() })))
}

fn identity(args: &KeysIdentityArgs) -> Result<Answer, CommandError> {
    let identity = Identity::generate();
    private_file::write_new(&args.file, format!("{}\n", *identity.to_text()).as_bytes()).map_err(|error| {
        CommandError::io(Exit::USAGE, "write", &args.file, error).hint("name a file that is not there")
    })?;
    let recipient = identity.recipient().to_string();
    Ok(Answer::new(
        format!("{recipient}\n"),
        json!({ "recipient": recipient, "file": args.file.display().to_string() }),
    ))
}
