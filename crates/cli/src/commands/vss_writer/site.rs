//! The configured site as one that follows a session: read anew whenever it is asked.

use std::sync::Arc;

use async_trait::async_trait;
use backup_core::backup::{RunContext, join_session};
use backup_core::copy::chain;
use backup_core::event::{Event, EventSink};
use backup_core::plan::BackupPlan;
use backup_core::ports::Ports;
use backup_core::ports::shadow_copies::{WriterError, WriterMetadata};
use backup_core::report::BackupReport;
use backup_core::writer_metadata::site_metadata;
use host::machine::process_facts;
use vss::{FollowingSite, Lead};

use crate::args::Global;
use crate::error::CommandError;
use crate::events::Fan;
use crate::output::progress::Screen;
use crate::site::Site;
use crate::{plan, ports};

/// The site that the command line names.
#[derive(Debug)]
pub(super) struct ConfiguredSite {
    pub(super) global: Global,
    pub(super) log: Arc<WriterLog>,
}

impl ConfiguredSite {
    /// Site, plan and ports as the files have them now.
    fn read(&self) -> Result<(Site, BackupPlan), CommandError> {
        let site = Site::load(&self.global)?;
        let (plan, _told_at_the_start) = plan::make(&site)?;
        Ok((site, plan))
    }
}

/// An error with all that was found on the way: who asks for a backup sees a number only, and this is what the log has.
fn refused(error: CommandError) -> WriterError {
    let found = error.notices.iter().map(|notice| notice.finding.message.clone());
    let message: Vec<String> = [error.messages().join(": ")].into_iter().chain(found).collect();
    WriterError::new(message.join("; "))
}

#[async_trait]
impl FollowingSite for ConfiguredSite {
    async fn metadata(&self) -> Result<WriterMetadata, WriterError> {
        let (site, plan) = self.read().map_err(refused)?;
        let ports = ports::wire_whole(&site, Arc::clone(&self.log) as _).map_err(refused)?;
        site_metadata(&ports, &plan).await.map_err(|error| WriterError::new(chain(&error)))
    }

    async fn run(&self, lead: Arc<Lead>) -> Result<BackupReport, WriterError> {
        let (site, plan) = self.read().map_err(refused)?;
        let events = Arc::new(Fan(vec![Arc::clone(&self.log) as _, Arc::clone(&lead) as _]));
        let ports: Ports = ports::wire_following(&site, &plan, lead.provider(), events).map_err(refused)?;
        let context = RunContext { cancel: lead.cancel(), process: process_facts(), ..RunContext::default() };
        let report = join_session(&ports, &plan, &context).await;
        self.log.line(&format!(
            "run {}: outage {:.3} s, freeze window {:.3} s",
            report.run,
            report.outage.as_secs_f64(),
            report.freeze_window.as_secs_f64()
        ));
        for finding in &report.findings {
            let gravity = format!("{:?}", finding.gravity).to_lowercase();
            self.log.line(&format!("{gravity}: {}", finding.message));
        }
        Ok(report)
    }
}

/// What the writer does, line by line on standard error, each with its time.
#[derive(Debug)]
pub(super) struct WriterLog(pub(super) Arc<Screen>);

impl WriterLog {
    pub(super) fn line(&self, line: &str) {
        self.0.say(&format!("{} {line}", jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ")));
    }
}

impl EventSink for WriterLog {
    fn event(&self, event: &Event) {
        if let Event::Note(note) = event {
            self.line(note);
        }
    }
}
