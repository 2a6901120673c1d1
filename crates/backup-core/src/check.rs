//! Preflight: what a run would back up, what would fail, and the room that it needs. Changes nothing.

use std::sync::Arc;

use crate::change_tracking::{self, judge_age};
use crate::config::MomentChoice;
use crate::copy::chain;
use crate::kept::old_shadow_copies;
use crate::manifest::Part;
use crate::path::SitePath;
use crate::plan::{BackupPlan, ServiceStep};
use crate::ports::Ports;
use crate::ports::database::{DatabaseFacts, DatabaseForm, DatabaseMoment};
use crate::ports::destination::{DamagedSnapshot, DestinationFacts, StoredSnapshot};
use crate::ports::journal::unfinished_runs;
use crate::ports::services::ServiceState;
use crate::ports::shadow_copies::{ShadowCopyError, WantedComponent};
use crate::ports::site_files::{FileKind, FileSource, WalkEntry};
use crate::recover::half_recovered;
use crate::report::{Cause, CheckReport, Coverage, Finding, Gravity};

/// Room beside the content itself: folders, lists, the log.
const OVERHEAD: u64 = 1 << 20;

const BUILT_IN_TASK: &str = "disable it in the console (Administration, Site Configuration, Sites, Site Maintenance, Backup Site Server), or name another destination";

/// Bytes that an entry costs besides its content: a block of a folder or an inode.
const PER_ENTRY: u64 = 512;

/// What preflight learned and a run needs.
#[derive(Debug)]
pub(crate) struct Preflight {
    pub(crate) report: CheckReport,
    pub(crate) database: Option<DatabaseFacts>,
    pub(crate) snapshots: Vec<StoredSnapshot>,
    /// A file of each source that has one.
    pub(crate) samples: Vec<SitePath>,
}

/// Room that a copy takes.
fn room_for(coverage: &Coverage) -> u64 {
    coverage.bytes + coverage.entries * PER_ENTRY
}

/// Judges everything that a run depends on, and says what it would do.
pub async fn check(ports: &Ports, plan: &BackupPlan) -> CheckReport {
    let Preflight { mut report, database, samples, .. } = preflight(ports, plan).await;
    let component = database.and_then(|facts| facts.component);
    report.findings.extend(image(ports, samples, component).await);
    report.findings.extend(leftovers(ports).await);
    report.findings.extend(old_shadow_copies(ports).await);
    report
}

/// A run finds out by its own image, so only a check on its own asks before.
async fn image(ports: &Ports, samples: Vec<SitePath>, component: Option<WantedComponent>) -> Vec<Finding> {
    let components = component.into_iter().collect();
    match ports.shadow_copies.inspect(samples, components, Arc::clone(&ports.files)).await {
        Ok(remarks) => {
            let note = |remark| Finding::new(Gravity::Note, Cause::ShadowCopy, remark);
            remarks.into_iter().map(note).collect()
        }
        Err(error) => {
            let finding = Finding::error(cause_of_image(&error), chain(&error));
            vec![Finding { hint: error.hint().map(str::to_owned), ..finding }]
        }
    }
}

/// A component that cannot be imaged is a database that cannot be backed up.
pub(crate) fn cause_of_image(error: &ShadowCopyError) -> Cause {
    match error {
        ShadowCopyError::Component { .. } => Cause::Database,
        _ => Cause::ShadowCopy,
    }
}

/// A run looks at the journal before its own preflight, so only a check on its own tells of what stands there.
async fn leftovers(ports: &Ports) -> Vec<Finding> {
    let records = match ports.journal.read().await {
        Ok(records) => records,
        Err(error) => return vec![Finding::error(Cause::State, chain(&error))],
    };
    let unfinished = (!unfinished_runs(&records).is_empty()).then(|| {
        let message = "an earlier run did not end: its services and leftovers are put right by the next run";
        Finding::new(Gravity::Warning, Cause::State, message).hint("or now, by `sitebackup repair`")
    });
    // A destination that cannot be asked is told of by preflight.
    let noted = ports.destination.half_recovered().await.ok().flatten();
    let half_recovered = half_recovered(&records).or(noted).map(|recovery| recovery.finding(Gravity::Error));
    unfinished.into_iter().chain(half_recovered).collect()
}

/// The sources of a plan without the database's own files.
pub(crate) fn sources(plan: &BackupPlan, database: Option<&DatabaseFacts>) -> Vec<FileSource> {
    let without = |source: &FileSource| {
        let mut source = source.clone();
        if let Some(facts) = database {
            // Not only what lies below the root: a file may have another name there.
            source.skip.extend(facts.paths.iter().cloned());
        }
        source
    };
    plan.files.iter().map(|file| without(&file.source)).collect()
}

pub(crate) async fn preflight(ports: &Ports, plan: &BackupPlan) -> Preflight {
    let mut check = Check::default();
    let (database, devices) = check.site(ports, plan).await;
    let facts = check.destination(ports).await;
    let snapshots = match ports.destination.list().await {
        Ok(snapshots) => snapshots,
        Err(error) => {
            check.error(Cause::Destination, &error);
            Vec::new()
        }
    };
    check.damaged(ports).await;
    check.same_site(plan, database.as_ref(), snapshots.last());
    let needed = check.needed();
    let old: u64 = snapshots.iter().map(|snapshot| snapshot.manifest.bytes).sum();
    let free = facts.as_ref().map_or(0, |facts| facts.free);
    if let Some(facts) = &facts {
        check.room(facts, needed, &devices);
    }
    let retention = database.as_ref().and_then(|facts| facts.change_tracking_days);
    let retention = retention.map(|days| std::time::Duration::from_secs(u64::from(days) * 86_400));
    check.age(ports, plan, &snapshots, plan.change_tracking_retention.or(retention));
    let Check { findings, covered, samples, .. } = check;
    let not_covered = plan.not_covered.clone();
    let report = CheckReport { covered, not_covered, peak: old + needed, needed, free, findings };
    Preflight { report, database, snapshots, samples }
}

/// The same for a shadow copy that is kept: nothing of it goes to the destination.
pub(crate) async fn preflight_kept(ports: &Ports, plan: &BackupPlan) -> Preflight {
    let mut check = Check::default();
    let (database, _) = check.site(ports, plan).await;
    let (needed, mut free) = (check.needed(), 0);
    match ports.kept.inspect().await {
        Ok(facts) => {
            free = facts.free;
            check.room_to_keep(&facts, needed);
        }
        Err(error) => check.error(Cause::Destination, &error),
    }
    let Check { findings, covered, samples, .. } = check;
    let not_covered = plan.not_covered.clone();
    let report = CheckReport { covered, not_covered, peak: needed, needed, free, findings };
    Preflight { report, database, snapshots: Vec::new(), samples }
}

#[derive(Debug, Default)]
struct Check {
    findings: Vec<Finding>,
    covered: Vec<Coverage>,
    samples: Vec<SitePath>,
    /// Room for the files, which an image does not take.
    files: u64,
}

impl Check {
    /// All but where it goes. Returns the devices on which sources lie too.
    async fn site(&mut self, ports: &Ports, plan: &BackupPlan) -> (Option<DatabaseFacts>, Vec<u64>) {
        let database = self.database(ports, plan).await;
        let devices = self.files(ports, plan, database.as_ref()).await;
        self.registry(ports, plan).await;
        self.services(ports, plan).await;
        self.writers(ports).await;
        (database, devices)
    }

    /// Room that a copy of all takes.
    fn needed(&self) -> u64 {
        self.covered.iter().map(room_for).sum::<u64>() + OVERHEAD
    }

    fn error(&mut self, cause: Cause, error: &dyn std::error::Error) {
        self.findings.push(Finding::error(cause, chain(error)));
    }

    async fn database(&mut self, ports: &Ports, plan: &BackupPlan) -> Option<DatabaseFacts> {
        let database = ports.database.as_ref().filter(|_| plan.database.is_some())?;
        match database.inspect().await {
            Ok(facts) => {
                let what = format!("database {} ({})", facts.name, facts.engine);
                self.covered.push(Coverage { what, entries: 1, bytes: facts.size });
                self.judge_form(plan, &facts);
                let note = |remark: &String| Finding::new(Gravity::Note, Cause::Database, remark.clone());
                self.findings.extend(facts.remarks.iter().map(note));
                Some(facts)
            }
            Err(error) => {
                self.error(Cause::Database, &error);
                None
            }
        }
    }

    /// What the product's Setup cannot take back, and a moment that is not the files'.
    fn judge_form(&mut self, plan: &BackupPlan, facts: &DatabaseFacts) {
        let mut warn = |message: &str, hint: &str| {
            let finding =
                Finding::new(Gravity::Warning, Cause::Database, format!("database {}: {message}", facts.name));
            self.findings.push(finding.hint(hint));
        };
        for weaker in &facts.weaker {
            warn(weaker, "a run would end as incomplete");
        }
        if plan.is_product && facts.form == DatabaseForm::Logical {
            warn(
                "a logical dump holds rows and definitions: the product's Setup takes back files (option 10) or a restored .bak (option 20) only",
                "have SQL Server back it up: `method = \"native\"`, or `method = \"external\"` where others do",
            );
        }
        if facts.moment == DatabaseMoment::End && plan.database_moment == MomentChoice::Same {
            warn(
                "its moment will be the end of its backup, later than that of the files",
                "keep the services stopped until then with `hold-services`, or accept it with `database-moment = \"later\"`",
            );
        }
    }

    /// The devices on which sources lie.
    async fn files(&mut self, ports: &Ports, plan: &BackupPlan, database: Option<&DatabaseFacts>) -> Vec<u64> {
        let mut devices = Vec::new();
        for source in sources(plan, database) {
            let walk = match ports.files.walk(&source).await {
                Ok(walk) => walk,
                Err(error) => {
                    let finding = Finding::error(Cause::Files, chain(&error));
                    self.findings.push(finding.hint("correct the path, or take it out of the configuration"));
                    continue;
                }
            };
            for problem in walk.problems {
                self.findings.push(Finding::error(Cause::Files, problem.to_string()));
            }
            self.special(&source, &walk.entries);
            let files = walk.entries.iter().filter(|entry| entry.stat.kind == FileKind::File);
            self.samples.extend(files.clone().next().map(|entry| source.root.join(&entry.path)));
            let bytes = files.map(|entry| entry.stat.size).sum();
            devices.extend(walk.entries.first().map(|entry| entry.stat.id.device));
            let what = source.root.to_string();
            let coverage = Coverage { what, entries: walk.entries.len() as u64, bytes };
            self.files += room_for(&coverage);
            self.covered.push(coverage);
        }
        devices
    }

    /// Pipes, sockets and devices have no content; that they are left out is said.
    fn special(&mut self, source: &FileSource, entries: &[WalkEntry]) {
        let special: Vec<&WalkEntry> = entries.iter().filter(|entry| entry.stat.kind == FileKind::Special).collect();
        if let Some(first) = special.first() {
            let path = source.root.join(&first.path);
            let message = format!(
                "pipes, sockets and devices have no content and are left out: {}, such as `{path}`",
                special.len()
            );
            self.findings.push(Finding::new(Gravity::Note, Cause::Files, message));
        }
    }

    async fn registry(&mut self, ports: &Ports, plan: &BackupPlan) {
        for task in &plan.registry {
            match ports.registry.export(&task.key).await {
                Ok(export) => {
                    let bytes = export.len() as u64;
                    self.covered.push(Coverage { what: task.key.to_string(), entries: 1, bytes });
                }
                Err(error) => self.error(Cause::Registry, &error),
            }
        }
    }

    async fn services(&mut self, ports: &Ports, plan: &BackupPlan) {
        if !plan.stops_services() && ports.writers.is_empty() {
            let message = "no service is configured: what writes to the site is not brought to rest";
            let hint = "name the services under `[services]` in site.toml, if anything writes to the site";
            self.findings.push(Finding::new(Gravity::Note, Cause::Configuration, message).hint(hint));
        }
        for step in &plan.stop {
            let ServiceStep::Service(name) = step else { continue };
            let dependents = match ports.services.state(name).await {
                Ok(ServiceState::Stopped) => Ok(Vec::new()),
                Ok(ServiceState::Running) => ports.services.dependents(name).await,
                Err(error) => Err(error),
            };
            match dependents {
                Ok(dependents) => self.findings.extend(dependents.iter().map(|dependent| {
                    let message =
                        format!("`{dependent}` needs `{name}`: it stops before it, and starts again after it");
                    Finding::new(Gravity::Note, Cause::ServiceStop, message)
                })),
                Err(error) => {
                    let finding = Finding::error(Cause::ServiceStop, chain(&error));
                    let hint = "the run stops this service: name it under `[services]`, as this machine knows it";
                    self.findings.push(finding.hint(hint));
                }
            }
        }
    }

    async fn writers(&mut self, ports: &Ports) {
        for writer in &ports.writers {
            if let Err(error) = writer.identify().await {
                self.error(Cause::ShadowCopy, &error);
            }
        }
    }

    async fn destination(&mut self, ports: &Ports) -> Option<DestinationFacts> {
        let facts = match ports.destination.inspect().await {
            Ok(facts) => facts,
            Err(error) => {
                let finding = Finding::error(Cause::Destination, chain(&error));
                self.findings.push(finding.hint("the destination's folder must be there before the first run"));
                return None;
            }
        };
        self.writable(&facts);
        if let Some(folder) = &facts.foreign {
            let message = format!("`{folder}` is not a snapshot of this program, and is never replaced");
            let hint = "it may be the product's own snapshot: choose another destination, or move that folder away";
            self.findings.push(Finding::error(Cause::Foreign, message).hint(hint));
        }
        if let Some(at) = facts.other_task {
            let at = at.strftime("%Y-%m-%d %H:%M:%S UTC");
            let message = format!(
                "the built-in Backup Site Server task wrote to `{}` at {at}: as long as it is enabled, its next run deletes the snapshot there",
                facts.root
            );
            self.findings.push(Finding::new(Gravity::Warning, Cause::Foreign, message).hint(BUILT_IN_TASK));
        }
        Some(facts)
    }

    fn writable(&mut self, facts: &DestinationFacts) {
        if !facts.writable {
            let message = format!("`{}` cannot be written", facts.root);
            let hint = "give the account that runs this program write permission there";
            self.findings.push(Finding::error(Cause::Destination, message).hint(hint));
        }
    }

    /// Two sites may have been given one code and one destination: what the other one keeps there is not to be replaced.
    fn same_site(&mut self, plan: &BackupPlan, database: Option<&DatabaseFacts>, last: Option<&StoredSnapshot>) {
        let Some(last) = last else { return };
        let own = |facts: &DatabaseFacts| match facts.form {
            // Where its files are, as far as its server has told.
            DatabaseForm::Files => facts.paths.iter().map(ToString::to_string).collect(),
            _ => vec![facts.address.clone()],
        };
        let database = database.map(own).unwrap_or_default();
        let ours: Vec<String> = plan.files.iter().map(|file| file.source.root.to_string()).chain(database).collect();
        let theirs: Vec<&str> = last
            .manifest
            .origins
            .iter()
            .filter(|origin| origin.part != Part::Registry)
            .map(|origin| origin.original.as_str())
            .collect();
        if let Some(first) = theirs.first().filter(|_| !ours.is_empty())
            && !theirs.iter().any(|original| ours.iter().any(|own| own == original))
        {
            let message = format!(
                "`{}` is a snapshot of other folders, such as `{first}`, and of none of this site",
                last.folder
            );
            let hint = "give each site a code or a destination of its own; if this site has moved, move that snapshot away first";
            self.findings.push(Finding::error(Cause::Foreign, message).hint(hint));
        }
    }

    /// A damaged snapshot stands in nobody's way; that it is no snapshot any more must be known all the same.
    async fn damaged(&mut self, ports: &Ports) {
        match ports.destination.damaged().await {
            Ok(damaged) => self.findings.extend(damaged.iter().map(DamagedSnapshot::finding)),
            Err(error) => self.error(Cause::Destination, &error),
        }
    }

    fn room(&mut self, facts: &DestinationFacts, needed: u64, devices: &[u64]) {
        if needed > facts.free {
            let message = format!(
                "`{}` has {} bytes free, the new snapshot needs up to {needed} beside the old one",
                facts.root, facts.free
            );
            let hint = "free some room or choose another destination; the old snapshot stays until the new one is safe";
            self.findings.push(Finding::error(Cause::Full, message).hint(hint));
        }
        if devices.contains(&facts.device) {
            let message = format!("`{}` is on the same volume as the site: it is lost with it", facts.root);
            let hint = "name a folder on another disk or machine";
            self.findings.push(Finding::new(Gravity::Warning, Cause::Destination, message).hint(hint));
        }
    }

    /// Whether the files are copied is not known before the image is made.
    fn room_to_keep(&mut self, facts: &DestinationFacts, needed: u64) {
        let (root, free) = (&facts.root, facts.free);
        self.writable(facts);
        let parts = needed - self.files;
        let hint = "free some room, or name a `work-dir` with more of it";
        if parts > free {
            let message = format!("`{root}` has {free} bytes free, and database and registry need up to {parts}");
            self.findings.push(Finding::error(Cause::Full, message).hint(hint));
        } else if needed > free {
            let message =
                format!("`{root}` has {free} bytes free, and the site needs up to {needed} where its files are copied");
            self.findings.push(Finding::new(Gravity::Warning, Cause::Full, message).hint(hint));
        }
    }

    fn age(
        &mut self,
        ports: &Ports,
        plan: &BackupPlan,
        snapshots: &[StoredSnapshot],
        retention: Option<std::time::Duration>,
    ) {
        let good = snapshots.iter().rev().find(|snapshot| snapshot.manifest.weaker.is_empty());
        let Some(good) = good.filter(|_| plan.in_hierarchy) else { return };
        let retention = change_tracking::retention(retention, &good.manifest);
        let clock = &ports.clock;
        let finding = judge_age(good.manifest.moment, retention, clock.now(), &clock.local_zone());
        // A run puts it right: what is too old stands in no run's way, and that it soon will be is nothing to tell of one.
        let past = finding.filter(|finding| finding.gravity == Gravity::Error);
        let as_warning = |finding| Finding { gravity: Gravity::Warning, cause: Cause::Configuration, ..finding };
        self.findings.extend(past.map(as_warning));
    }
}
