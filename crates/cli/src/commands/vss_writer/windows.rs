//! The writer of this system's service.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use host::machine::session_lock;
use serde_json::json;
use vss::{Follower, WriterHost, WriterOptions};

use super::site::{ConfiguredSite, WriterLog};
use crate::commands::Session;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Answer;
use crate::plan;
use crate::product_writer;
use crate::site::{Site, local};

/// How soon the wish to end is heard.
const HEARD: Duration = Duration::from_millis(100);

pub(in super::super) async fn run(session: &Session) -> Result<Answer, CommandError> {
    if product_writer::is_installed()? {
        let message = format!(
            "the product's SMS Writer is installed (service {}): other backup programs see the site through it",
            product_writer::SERVICE
        );
        return Err(
            CommandError::usage(message).hint("`sitebackup backup` selects its components; nothing is to be done")
        );
    }
    host(session, None).await
}

/// `library` stands in for the system's.
pub(in super::super) async fn host(session: &Session, library: Option<PathBuf>) -> Result<Answer, CommandError> {
    let site = Site::load(&session.global)?;
    let (_, notices) = plan::make(&site)?;
    let log = Arc::new(WriterLog(Arc::clone(&session.screen)));
    let lock = site.config.task.session_lock.as_ref().map_or_else(session_lock, local).with_extension("writer");
    let options = WriterOptions { lock: Some(lock), library, ..WriterOptions::default() };
    let configured = Arc::new(ConfiguredSite { global: session.global.clone(), log: Arc::clone(&log) });
    let registered = WriterHost::register(Arc::new(Follower::new(configured)), Arc::clone(&log) as _, options).await;
    let host = registered.map_err(|error| CommandError::new(Exit::SHADOW_COPY, error))?;
    let writer = host.identified().clone();
    let components: Vec<String> =
        writer.components.iter().map(|component| format!("{}\\{}", component.logical_path, component.name)).collect();
    log.line(&format!("writer `{}` {{{}}} is registered: {}", writer.name, writer.id, components.join(", ")));
    while !session.cancel.is_cancelled() {
        tokio::time::sleep(HEARD).await;
    }
    host.stop().await;
    log.line("the writer is taken back");
    Ok(Answer::new("", json!({ "id": writer.id, "name": writer.name, "components": components })).after(notices))
}
