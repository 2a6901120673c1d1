//! `archive verify`: whether what is stored can be read.

use archive::{ArchiveError, Listed, ReadData, Verified};
use backup_core::copy::chain;
use backup_core::report::{Cause, Finding};
use serde_json::json;

use super::open::{OF_NOBODY, is_of_nobody, open_repository, short};
use crate::args::{AccessArgs, ArchiveVerifyArgs};
use crate::commands::Session;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::{Answer, human};

pub(super) fn run(session: &Session, access: &AccessArgs, args: &ArchiveVerifyArgs) -> Result<Answer, CommandError> {
    let opened = open_repository(access)?.heard_by(session);
    let read = match args.read_data {
        None => ReadData::Structure,
        Some(part) => {
            let (part, of) = part.unwrap_or((1, 1));
            ReadData::Part { part, of }
        }
    };
    session.screen.work("verifying");
    let verified = opened.repository.verify(read, &session.cancel).map_err(|error| opened.failed(error))?;
    Ok(answer(&verified, read))
}

fn answer(verified: &Verified, read: ReadData) -> Answer {
    let Verified { whole, broken, packs, bytes, problems } = verified;
    let snapshots = |n: usize| human::count(n as u64, "snapshot", "snapshots");
    let mut text = match problems.is_empty() {
        true => format!("The archive is whole: {}", snapshots(whole.len())),
        false => {
            format!("The archive is damaged: {} whole, {} broken", snapshots(whole.len()), snapshots(broken.len()))
        }
    };
    text.push_str(&match read {
        ReadData::Structure => "; no data was read.\n".to_owned(),
        ReadData::Part { part, of } => {
            format!(
                "; part {part} of {of} read, {} with {}.\n",
                human::count(*packs, "pack", "packs"),
                human::bytes(*bytes)
            )
        }
    });
    for Listed { id, snapshot } in broken {
        text.push_str(&format!("broken: {} of site {}\n", short(id), snapshot.about.site));
    }
    let finding = |error: &ArchiveError| {
        let hint = match error {
            ArchiveError::Damaged { name, .. } if is_of_nobody(name) => OF_NOBODY,
            ArchiveError::Damaged { name, .. } if name.starts_with("packs/") => {
                "restore what is needed of the snapshots that are broken; then move this pack out of the repository and archive again: what it held and the folder still has is stored anew"
            }
            ArchiveError::Storage(_) => "see to the folder and its permissions: what cannot be read may be as it was",
            _ => "snapshots that are not named as broken still restore",
        };
        Finding::error(Cause::ArchiveDamaged, chain(error)).hint(hint)
    };
    let ids = |listed: &[Listed]| listed.iter().map(|listed| listed.id.clone()).collect::<Vec<_>>();
    let result = json!({ "whole": ids(whole), "broken": ids(broken), "packs": packs, "bytes": bytes });
    let exit = if problems.is_empty() { Exit::DONE } else { Exit::ARCHIVE_DAMAGED };
    Answer::new(text, result).with(problems.iter().map(finding)).exit(exit)
}
