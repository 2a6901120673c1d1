//! The product's own writer, which has the class of ours: where it is, it is the site's writer and ours is not registered.

use backup_core::report::{Cause, Finding, Gravity};

use crate::error::CommandError;
use crate::exit::Exit;

/// Its service.
pub(crate) const SERVICE: &str = "SMS_SITE_VSS_WRITER";

/// Whether it is on this machine, running or not: one that is stopped may be started at any time.
pub(crate) fn is_installed() -> Result<bool, CommandError> {
    let asked = host::services::is_installed(SERVICE);
    asked.map_err(|error| {
        CommandError::new(Exit::SHADOW_COPY, format!("failed to ask for service `{SERVICE}`: {error}"))
    })
}

/// Whose writer other backup programs find.
pub(crate) fn finding() -> Finding {
    let note = |message: String| Finding::new(Gravity::Note, Cause::ShadowCopy, message);
    match is_installed() {
        Ok(true) => note(format!(
            "the product's SMS Writer is installed (service {SERVICE}): a shadow copy selects its components, and `sitebackup vss-writer` is refused"
        )),
        Ok(false) => note(
            "the product's SMS Writer is not installed: other backup programs bring the site to rest while `sitebackup vss-writer` runs"
                .to_owned(),
        ),
        Err(error) => Finding { gravity: Gravity::Warning, ..error.finding() },
    }
}
