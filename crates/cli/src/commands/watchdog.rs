//! `watchdog`: the child process that brings services back when the run that stopped them dies.

use host::watchdog::{Ending, serve};
use serde_json::json;

use super::Session;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Answer;
use crate::ports;
use crate::site::{Site, local};

/// Standard output belongs to the parent's pipe while this runs; the answer is empty.
pub(super) async fn run(session: &Session) -> Result<Answer, CommandError> {
    let site = Site::load(&session.global)?;
    let ending = serve(ports::services(&site.config), &local(&site.config.state_dir)).await;
    let ending = ending.map_err(|error| CommandError::new(Exit::UNEXPECTED, error))?;
    let exit = if ending == Ending::GaveUp { Exit::SERVICE_START } else { Exit::DONE };
    Ok(Answer::new("", json!({})).exit(exit))
}
