//! `log`: the status messages of the last runs.

use std::sync::Arc;

use backup_core::ports::Ports;
use backup_core::status::StatusMessage;
use serde_json::{Value, json};

use super::Session;
use crate::args::LogArgs;
use crate::error::CommandError;
use crate::output::{Answer, human};
use crate::ports;
use crate::site::Site;

pub(super) async fn run(session: &Session, args: &LogArgs) -> Result<Answer, CommandError> {
    let site = Site::load(&session.global)?;
    list(&ports::wire(&site, Arc::clone(&session.screen) as _), args.lines).await
}

pub(super) async fn list(ports: &Ports, n_lines: usize) -> Result<Answer, CommandError> {
    let messages = ports.status_log.read().await?;
    let last = &messages[messages.len().saturating_sub(n_lines)..];
    let zone = ports.clock.local_zone();
    let line = |message: &StatusMessage| format!("{}  {message}\n", human::time(message.at, &zone));
    let mut text: String = last.iter().map(line).collect();
    if messages.is_empty() {
        text.push_str("There is no status message: nothing has run yet.\n");
    }
    let values: Vec<Value> = last.iter().map(value).collect();
    Ok(Answer::new(text, json!({ "messages": values })))
}

/// A message in the JSON form.
pub(super) fn value(message: &StatusMessage) -> Value {
    let mut value = json!(message);
    value["text"] = json!(message.to_string());
    value
}
