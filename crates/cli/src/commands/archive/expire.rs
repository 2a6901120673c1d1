//! `archive expire`: the retention policy of site.toml, explained and applied.

use std::collections::HashSet;

use archive::{Pruned, RepositoryArchive};
use backup_core::archiving::{apply, judge};
use backup_core::ports::archive::SnapshotArchiveError;
use backup_core::report::Finding;
use backup_core::retention::{Decision, Forgotten, Judged, Reason};
use host::machine::SystemClock;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::open::{OpenRepository, holder, open_repository, short};
use crate::args::{AccessArgs, ArchiveExpireArgs};
use crate::commands::Session;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::{Answer, human};
use crate::site::Site;
use crate::{plan, ports};

pub(super) async fn run(
    session: &Session,
    access: &AccessArgs,
    args: &ArchiveExpireArgs,
) -> Result<Answer, CommandError> {
    let site = Site::load(&session.global)?;
    let policy = site.config.archive.as_ref().map(|archive| archive.keep.clone()).unwrap_or_default();
    if policy.is_empty() {
        let message = format!("`{}` says of no archived snapshot that it may go", site.file.display());
        let hint = "write `keep = { last = 3, daily = 7, weekly = 5, monthly = 12 }` under `[archive]`";
        return Err(CommandError::usage(message).hint(hint));
    }
    let zone = plan::zone(&site.config.task.schedule, &SystemClock)?;
    let opened = open_repository(access)?;
    let repository = opened.repository.clone();
    let archive = RepositoryArchive::new(move || Ok(repository.clone()), ports::site_files(), holder());
    let code = site.config.code.as_str();
    let judged = judge(&archive, code, &policy, Timestamp::now(), &zone).await.map_err(not_judged)?;
    let (forgotten, ended, frees) = match args.dry_run {
        true => (Vec::new(), Ok(()), Some(preview(&opened, &judged)?)),
        false => {
            let (forgotten, ended) = apply(&archive, &judged).await;
            (forgotten, ended, None)
        }
    };
    let answer = answer(code, &judged, &forgotten, frees.as_ref(), &zone);
    Ok(match ended {
        Ok(()) => answer,
        Err(error) => {
            let finding = Finding::error(error.cause(), backup_core::copy::chain(&error));
            answer
                .exit(Exit::of_cause(finding.cause))
                .with([finding.hint("repeat the call: it goes on where it stopped")])
        }
    })
}

fn not_judged(error: SnapshotArchiveError) -> CommandError {
    let hint = match &error {
        SnapshotArchiveError::Damaged(_) => {
            "nothing goes while a snapshot cannot be read: `sitebackup archive forget ID`, with the whole id, removes it"
        }
        SnapshotArchiveError::WriteOnly => "open it with a passphrase or an identity that was given a key that reads",
        _ => "nothing was forgotten",
    };
    CommandError::new(Exit::of_cause(error.cause()), error).hint(hint)
}

fn goes(judged: &Judged<String>) -> bool {
    matches!(judged.decision, Decision::Forget(_))
}

/// What a prune would free once those that go are forgotten.
fn preview(opened: &OpenRepository, judged: &[Judged<String>]) -> Result<Pruned, CommandError> {
    let gone: HashSet<String> =
        judged.iter().filter(|judged| goes(judged)).map(|judged| judged.snapshot.id.clone()).collect();
    opened.repository.preview_prune(&gone).map_err(|error| opened.failed(error))
}

fn reasons(decision: &Decision<String>) -> Vec<String> {
    match decision {
        Decision::Keep(reasons) => reasons.iter().map(Reason::to_string).collect(),
        Decision::Forget(Forgotten::Superseded { by, period, label }) => {
            let shown = Forgotten::Superseded { by: short(by), period: *period, label: label.clone() };
            vec![shown.to_string()]
        }
        Decision::Forget(Forgotten::Unasked) => vec![Forgotten::<String>::Unasked.to_string()],
    }
}

fn answer(
    site: &str,
    judged: &[Judged<String>],
    forgotten: &[String],
    frees: Option<&Pruned>,
    zone: &TimeZone,
) -> Answer {
    // As `archive snapshots` lists them.
    let oldest_first = || judged.iter().rev();
    let row = |judged: &Judged<String>| {
        let snapshot = &judged.snapshot;
        vec![
            short(&snapshot.id).to_owned(),
            human::time(snapshot.moment, zone),
            if goes(judged) { "goes" } else { "stays" }.to_owned(),
            reasons(&judged.decision).join(", "),
        ]
    };
    let mut text = human::table(&oldest_first().map(row).collect::<Vec<_>>(), &[], "");
    let snapshots = |n: usize| human::count(n as u64, "snapshot", "snapshots");
    let going = judged.iter().filter(|judged| goes(judged)).count();
    let stays = judged.len() - going;
    text.push_str(&match frees {
        Some(frees) => format!(
"{} of site {site} would be forgotten, {stays} would stay. A prune would free {}, and a part of {} of which more than an eighth is not needed.\n",
            snapshots(going),
            human::bytes(frees.dead_bytes),
            human::count(frees.repacked, "pack", "packs")
        ),
        None => format!(
            "{} of site {site} forgotten, {} left. `sitebackup archive prune` frees the room.\n",
            snapshots(forgotten.len()),
            judged.len() - forgotten.len()
        ),
    });
    let result = json!({
        "site": site,
        "snapshots": oldest_first().map(value).collect::<Vec<_>>(),
        "forgotten": forgotten,
        "frees": frees.map(|frees| json!({ "dead_bytes": frees.dead_bytes, "dead_packs": frees.dead_packs, "repacked": frees.repacked })),
    });
    Answer::new(text, result)
}

fn value(judged: &Judged<String>) -> Value {
    let snapshot = &judged.snapshot;
    json!({
        "id": snapshot.id,
        "moment": snapshot.moment,
        "good": snapshot.is_good,
        "stays": !goes(judged),
        "reasons": reasons(&judged.decision),
    })
}
