//! `writers`: what the writers of the site own.

use std::sync::Arc;

use backup_core::plan::BackupPlan;
use backup_core::ports::Ports;
use backup_core::ports::shadow_copies::{Component, FileSpec, WriterLevel, WriterMetadata};
use backup_core::writer_metadata::{WriterMetadataError, writer_metadata};
use serde_json::{Value, json};
use vss::documents::WriterDocument;

use super::Session;
use crate::args::WritersArgs;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::{Answer, human};
use crate::site::Site;
use crate::{plan, ports};

pub(super) async fn run(session: &Session, args: &WritersArgs) -> Result<Answer, CommandError> {
    let site = Site::load(&session.global)?;
    let (plan, notices) = plan::make(&site)?;
    let ports = ports::wire_whole(&site, Arc::clone(&session.screen) as _)?;
    Ok(list(&ports, &plan, args).await?.after(notices))
}

pub(super) async fn list(ports: &Ports, plan: &BackupPlan, args: &WritersArgs) -> Result<Answer, CommandError> {
    let writers = writer_metadata(ports, plan).await.map_err(|error| {
        let exit = match error {
            WriterMetadataError::Database(_) => Exit::DATABASE,
            WriterMetadataError::Writer(_) => Exit::SHADOW_COPY,
        };
        CommandError::new(exit, error)
    })?;
    let result = json!({ "writers": writers.iter().map(told).collect::<Vec<_>>() });
    let text = match &args.xml {
        Some(writer) => document(&writers, writer, ports)?,
        None => writers.iter().map(text).collect(),
    };
    Ok(Answer::new(text, result))
}

fn document(writers: &[WriterMetadata], asked: &str, ports: &Ports) -> Result<String, CommandError> {
    let is_it = |writer: &&WriterMetadata| {
        writer.name.eq_ignore_ascii_case(asked) || writer.id.to_string().eq_ignore_ascii_case(asked)
    };
    let Some(writer) = writers.iter().find(is_it) else {
        let names: Vec<&str> = writers.iter().map(|writer| writer.name.as_str()).collect();
        let message = format!("there is no writer `{asked}`");
        return Err(CommandError::usage(message).hint(format!("there are: {}", names.join(", "))));
    };
    let document = WriterDocument { instance: ports.clock.new_id(), metadata: writer.clone() };
    Ok(String::from_utf8_lossy(&document.to_xml()).into_owned())
}

fn level(level: WriterLevel) -> &'static str {
    match level {
        WriterLevel::FrontEnd => "front-end",
        WriterLevel::BackEnd => "back-end",
        WriterLevel::System => "system",
    }
}

fn told(writer: &WriterMetadata) -> Value {
    let files = |files: &[FileSpec]| files.iter().map(shown).collect::<Vec<_>>();
    let component = |component: &Component| {
        json!({
            "name": component.name, "logical_path": component.logical_path, "caption": component.caption,
            "database": component.database, "selectable": component.selectable, "files": files(&component.files),
        })
    };
    json!({
        "id": writer.id, "name": writer.name, "level": level(writer.level),
        "components": writer.components.iter().map(component).collect::<Vec<_>>(), "exclude": files(&writer.exclude),
    })
}

/// A path with what is meant of it.
fn shown(file: &FileSpec) -> String {
    let below = if file.recursive { " and below" } else { "" };
    if file.spec == "*" { format!("{}{below}", file.path) } else { format!("{} in {}{below}", file.spec, file.path) }
}

fn text(writer: &WriterMetadata) -> String {
    let mut rows = vec![("id", writer.id.to_string()), ("frozen as", level(writer.level).to_owned())];
    for component in &writer.components {
        let kind = if component.database { "database" } else { "files" };
        rows.push((kind, component.caption.clone()));
        rows.extend(component.files.iter().map(|file| ("", shown(file))));
    }
    rows.extend(writer.exclude.iter().map(|file| ("left out", shown(file))));
    format!("{}\n{}", writer.name, human::pairs(&rows))
}
