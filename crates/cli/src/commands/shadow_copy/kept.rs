//! `shadow-copy create`, `list`, `path` and `delete`: moments that are kept.

use std::sync::Arc;

use backup_core::backup::{ReadableImage, RunContext, keep_image};
use backup_core::kept::{KeptContent, KeptError, KeptShadowCopy, delete_shadow_copy, kept_shadow_copies};
use backup_core::path::SitePath;
use backup_core::plan::BackupPlan;
use backup_core::ports::Ports;
use backup_core::report::Finding;
use backup_core::snapshot::{ChooseError, RunId, choose, short};
use host::machine::process_facts;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::super::{Session, snapshots};
use crate::args::{ShadowCopyDeleteArgs, ShadowCopyPathArgs};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::{Answer, human, json};
use crate::site::{Site, local, real, site_path};
use crate::{plan, ports};

pub(in crate::commands) async fn create(session: &Session) -> Result<Answer, CommandError> {
    let site = Site::load(&session.global)?;
    let (plan, notices) = plan::make(&site)?;
    let ports = ports::wire_run(&site, &plan, Arc::clone(&session.screen) as _)?;
    Ok(keep(&ports, &plan, session).await.after(notices))
}

pub(in crate::commands) async fn keep(ports: &Ports, plan: &BackupPlan, session: &Session) -> Answer {
    let context = RunContext { cancel: session.cancel.clone(), process: process_facts(), ..RunContext::default() };
    let (report, kept) = keep_image(ports, plan, &context).await;
    session.screen.clear();
    let mut result = json!({
        "run": report.run,
        "freeze_window": report.freeze_window.as_secs_f64(),
        "outage": report.outage.as_secs_f64(),
        "kept": null,
    });
    let mut text = format!("Nothing of site {} is kept.\n", report.site);
    if let Some(content) = kept {
        text = format!("Site {} is kept as it was at one moment.\n", report.site);
        let mut rows = rows(&content, &[report.run], &ports.clock.local_zone());
        rows.push(("freeze window".to_owned(), human::duration(report.freeze_window)));
        rows.push(("outage".to_owned(), human::duration(report.outage)));
        let rows: Vec<(&str, String)> = rows.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        text.push_str(&human::pairs(&rows));
        result["kept"] = content_value(&content, &[report.run]);
    }
    let exit = if session.cancel.is_cancelled() { Exit::INTERRUPTED } else { Exit::of_outcome(report.outcome) };
    Answer::new(text, result).with(report.findings).exit(exit)
}

/// What a person is told of one that was made.
fn rows(content: &KeptContent, runs: &[RunId], zone: &TimeZone) -> Vec<(String, String)> {
    let KeptContent { image, manifest } = content;
    let consistency = snapshots::consistency(manifest.consistency);
    let moment = format!("{}, {consistency}, by {}", human::time(image.moment, zone), image.provider);
    let mut rows = vec![
        ("shadow copy".to_owned(), short(image.run, runs)),
        ("moment".to_owned(), moment),
        ("folder".to_owned(), format!("`{}`", image.parts)),
    ];
    rows.extend(image.sources.iter().map(|(source, place)| (format!("`{source}`"), format!("`{place}`"))));
    rows
}

pub(in crate::commands) async fn list(session: &Session) -> Result<Answer, CommandError> {
    let site = Site::load(&session.global)?;
    listed(&ports::wire(&site, Arc::clone(&session.screen) as _)).await
}

pub(in crate::commands) async fn listed(ports: &Ports) -> Result<Answer, CommandError> {
    let copies = kept_shadow_copies(ports).await?;
    let runs = runs(&copies);
    let values: Vec<Value> = copies.iter().map(|copy| value(copy, &runs)).collect();
    let text = table(&copies, &runs, ports.clock.now(), &ports.clock.local_zone());
    let broken: Vec<Finding> = copies.iter().filter_map(KeptShadowCopy::finding).collect();
    let exit = if broken.is_empty() { Exit::DONE } else { Exit::INCOMPLETE };
    Ok(Answer::new(text, json!({ "kept": values })).with(broken).exit(exit))
}

fn runs(copies: &[KeptShadowCopy]) -> Vec<RunId> {
    copies.iter().map(|copy| copy.run).collect()
}

fn table(copies: &[KeptShadowCopy], runs: &[RunId], now: Timestamp, zone: &TimeZone) -> String {
    if copies.is_empty() {
        return "No shadow copy is kept.\n".to_owned();
    }
    let row = |copy: &KeptShadowCopy| {
        let age = now.duration_since(copy.moment).unsigned_abs();
        let (guarantee, size) = match &copy.content {
            Ok(KeptContent { image, manifest }) => {
                let on_image = if image.is_on_image() { " and an image" } else { "" };
                let guarantee = format!("{}, by {}", snapshots::consistency(manifest.consistency), image.provider);
                (guarantee, human::bytes(manifest.bytes) + on_image)
            }
            Err(_) => ("broken".to_owned(), String::new()),
        };
        let moment = human::time(copy.moment, zone);
        vec![short(copy.run, runs), moment, human::age(age), guarantee, size, copy.folder.clone()]
    };
    let rows: Vec<Vec<String>> = copies.iter().map(row).collect();
    human::table(&rows, &[2], "")
}

/// A kept shadow copy in the JSON form.
fn value(copy: &KeptShadowCopy, runs: &[RunId]) -> Value {
    match &copy.content {
        Ok(content) => content_value(content, runs),
        Err(reason) => json!({
            "id": copy.run,
            "short": short(copy.run, runs),
            "moment": copy.moment,
            "folder": copy.folder,
            "broken": reason,
        }),
    }
}

fn content_value(KeptContent { image, manifest }: &KeptContent, runs: &[RunId]) -> Value {
    let mut value = Map::new();
    let mut put = |name: &str, field: Value| drop(value.insert(name.to_owned(), field));
    put("id", json!(image.run));
    put("short", json!(short(image.run, runs)));
    put("moment", json!(image.moment));
    put("provider", json!(image.provider));
    put("consistency", json!(manifest.consistency));
    put("weaker", json!(manifest.weaker));
    put("entries", json!(manifest.entries));
    put("bytes", json!(manifest.bytes));
    put("on_image", json!(image.is_on_image()));
    put("sources", image.sources.iter().map(source_value).collect());
    put("broken", Value::Null);
    json::put_path(&mut value, "folder", &image.parts);
    value.into()
}

fn source_value((source, place): &(SitePath, SitePath)) -> Value {
    let mut value = Map::new();
    json::put_path(&mut value, "source", source);
    json::put_path(&mut value, "place", place);
    value.into()
}

pub(in crate::commands) async fn path(session: &Session, args: &ShadowCopyPathArgs) -> Result<Answer, CommandError> {
    let site = Site::load(&session.global)?;
    found(&ports::wire(&site, Arc::clone(&session.screen) as _), args).await
}

/// Scripts read the one line.
pub(in crate::commands) async fn found(ports: &Ports, args: &ShadowCopyPathArgs) -> Result<Answer, CommandError> {
    let mut copies = kept_shadow_copies(ports).await?;
    let run = chosen(&copies, &args.id)?;
    copies.retain(|copy| copy.run == run);
    let copy = copies.pop().expect("it was chosen among them");
    let image = match &copy.content {
        Ok(content) => &content.image,
        Err(reason) => {
            let hint = copy.finding().and_then(|finding| finding.hint).unwrap_or_default();
            let message = format!("kept shadow copy `{}` cannot be read: {reason}", args.id);
            return Err(CommandError::new(Exit::SNAPSHOT, message).hint(hint));
        }
    };
    let place = match &args.source {
        None => image.parts.clone(),
        Some(source) => place(image, &site_path(source)?)?,
    };
    let mut text = local(&place).into_os_string().into_encoded_bytes();
    text.push(b'\n');
    let mut result = Map::new();
    json::put_path(&mut result, "path", &place);
    Ok(Answer::new(text, result.into()))
}

fn place(image: &ReadableImage, source: &SitePath) -> Result<SitePath, CommandError> {
    let place = image.place_of(source).or_else(|| image.place_of(&real(source)));
    place.ok_or_else(|| {
        let sources: Vec<String> = image.sources.iter().map(|(source, _)| format!("`{source}`")).collect();
        let error = CommandError::usage(format!("`{source}` is no source of the shadow copy, nor below one"));
        error.hint(format!("its sources are {}; without one the folder with all else is printed", sources.join(", ")))
    })
}

pub(in crate::commands) async fn delete(
    session: &Session,
    args: &ShadowCopyDeleteArgs,
) -> Result<Answer, CommandError> {
    let site = Site::load(&session.global)?;
    deleted(&ports::wire(&site, Arc::clone(&session.screen) as _), args).await
}

/// One that cannot be deleted keeps no other from it.
pub(in crate::commands) async fn deleted(ports: &Ports, args: &ShadowCopyDeleteArgs) -> Result<Answer, CommandError> {
    let copies = kept_shadow_copies(ports).await?;
    let wanted = match &args.id {
        Some(id) => vec![chosen(&copies, id)?],
        None => runs(&copies),
    };
    let (mut gone, mut failed) = (Vec::new(), None);
    for run in wanted {
        match delete_shadow_copy(ports, run).await {
            Ok(()) => gone.push(run),
            Err(error) => failed = failed.or(Some(CommandError::from(error))),
        }
    }
    let count = human::count(gone.len() as u64, "shadow copy", "shadow copies");
    let result = json!({ "deleted": gone });
    match failed {
        Some(error) if gone.is_empty() => Err(error),
        Some(error) => {
            let exit = error.kind;
            Ok(Answer::new(format!("Deleted: {count}. Not all could be.\n"), result).with([error.finding()]).exit(exit))
        }
        None => Ok(Answer::new(format!("Deleted: {count}.\n"), result)),
    }
}

fn chosen(copies: &[KeptShadowCopy], id: &str) -> Result<RunId, CommandError> {
    choose(&runs(copies), Some(id)).map_err(|error| {
        let message = match error {
            ChooseError::Empty | ChooseError::None(_) => format!("no kept shadow copy starts with `{id}`"),
            ChooseError::Several { count, .. } => format!("{count} kept shadow copies start with `{id}`"),
        };
        CommandError::new(Exit::SNAPSHOT, message).hint("`sitebackup shadow-copy list` lists them")
    })
}

impl From<KeptError> for CommandError {
    fn from(error: KeptError) -> Self {
        let hint = "write the `work-dir` of then into site.toml, and delete it; nothing was touched";
        match error {
            KeptError::Journal(error) => error.into(),
            KeptError::Store(error) => error.into(),
            KeptError::Image(error) => Self::new(Exit::SHADOW_COPY, error),
            KeptError::Elsewhere { .. } => Self::usage(error).hint(hint),
            KeptError::None(_) => Self::new(Exit::SNAPSHOT, error),
        }
    }
}
