//! Elsewhere there is nobody to ask.

use crate::args::VssSelftestArgs;
use crate::commands::Session;
use crate::error::CommandError;
use crate::output::Answer;

pub(in super::super) async fn run(_session: &Session, _args: &VssSelftestArgs) -> Result<Answer, CommandError> {
    let message = format!("the Volume Shadow Copy Service is Windows' own, and this is {}", std::env::consts::OS);
    Err(CommandError::usage(message).hint("run it on the site server"))
}
