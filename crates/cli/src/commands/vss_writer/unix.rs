//! Elsewhere nobody would call the writer.

use crate::commands::Session;
use crate::error::CommandError;
use crate::output::Answer;

pub(in super::super) async fn run(_session: &Session) -> Result<Answer, CommandError> {
    let message = format!("the Volume Shadow Copy Service is Windows' own, and this is {}", std::env::consts::OS);
    Err(CommandError::usage(message).hint("`sitebackup shadow-copy run` lets other backup programs read the site here"))
}
