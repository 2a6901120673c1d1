//! `shadow-copy`: the site's moment for other programs.

pub(super) mod kept;

use std::ffi::{OsStr, OsString};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use backup_core::backup::{ImageReader, ReadableImage, RunContext, read_image};
use backup_core::cancel::Cancel;
use backup_core::plan::BackupPlan;
use backup_core::ports::Ports;
use backup_core::report::{Cause, Finding};
use host::commands::{OutputTo, run_attached};
use host::machine::process_facts;
use serde_json::json;

use super::Session;
use crate::args::ShadowCopyRunArgs;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Answer;
use crate::site::{Site, local};
use crate::{plan, ports};

/// What stands for all paths in the program's arguments.
const ALL_PATHS: &str = "{}";

pub(super) async fn run(session: &Session, args: &ShadowCopyRunArgs) -> Result<Answer, CommandError> {
    let site = Site::load(&session.global)?;
    let (plan, notices) = plan::make(&site)?;
    let ports = ports::wire_run(&site, &plan, Arc::clone(&session.screen) as _)?;
    Ok(held(&ports, &plan, session, args).await.after(notices))
}

pub(super) async fn held(ports: &Ports, plan: &BackupPlan, session: &Session, args: &ShadowCopyRunArgs) -> Answer {
    let context = RunContext { cancel: session.cancel.clone(), process: process_facts(), ..RunContext::default() };
    let program = Program {
        argv: args.command.clone(),
        site: plan.site.to_string(),
        // What a program is to read on standard output is ours alone.
        output: if session.global.json { OutputTo::Errors } else { OutputTo::Same },
        cancel: session.cancel.clone(),
        session,
        ended: Mutex::default(),
    };
    let report = read_image(ports, plan, &context, &program).await;
    session.screen.clear();
    let ended = program.ended.lock().unwrap_or_else(PoisonError::into_inner).take();
    let shown = args.command[0].to_string_lossy();
    let (fault, code) = match ended.as_ref().map(|(_, ended)| ended) {
        None => (None, None),
        Some(Ok(0)) => (None, Some(0)),
        Some(Ok(code)) => (Some(format!("`{shown}` exited with {code}")), Some(*code)),
        Some(Err(error)) => (Some(format!("`{shown}` could not be started: {error}")), None),
    };
    let image = ended.as_ref().map(|(image, _)| image);
    let result = json!({
        "run": report.run,
        "moment": image.map(|image| image.moment),
        "provider": image.map(|image| image.provider.clone()),
        "consistency": report.consistency,
        "freeze_window": report.freeze_window.as_secs_f64(),
        "outage": report.outage.as_secs_f64(),
        "exit_code": code,
    });
    let exit = match &fault {
        _ if session.cancel.is_cancelled() => Exit::INTERRUPTED,
        Some(_) => Exit::COMMAND,
        None => Exit::of_outcome(report.outcome),
    };
    let fault = fault.map(|message| Finding::error(Cause::Command, message));
    Answer::new("", result).with(report.findings).with(fault).exit(exit)
}

/// The program that reads.
#[derive(Debug)]
struct Program<'a> {
    argv: Vec<OsString>,
    site: String,
    output: OutputTo,
    cancel: Cancel,
    session: &'a Session,
    ended: Mutex<Option<(ReadableImage, std::io::Result<i32>)>>,
}

#[async_trait]
impl ImageReader for Program<'_> {
    async fn read(&self, image: &ReadableImage) -> bool {
        self.session.screen.clear();
        let code = run_attached(&self.argv(image), &self.environment(image), self.output, &self.cancel).await;
        let went_well = matches!(code, Ok(0));
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = Some((image.clone(), code));
        went_well
    }
}

impl Program<'_> {
    fn argv(&self, image: &ReadableImage) -> Vec<OsString> {
        let paths = || image.paths().into_iter().map(|path| local(path).into_os_string());
        let put = |argument: &OsString| match argument == ALL_PATHS {
            true => paths().collect(),
            false => vec![argument.clone()],
        };
        self.argv.iter().flat_map(put).collect()
    }

    fn environment(&self, image: &ReadableImage) -> Vec<(String, OsString)> {
        let lines: Vec<OsString> = image.paths().into_iter().skip(1).map(|path| local(path).into_os_string()).collect();
        let variable = |name: &str, value: OsString| (format!("SITEBACKUP_{name}"), value);
        vec![
            variable("PARTS", local(&image.parts).into_os_string()),
            variable("IMAGES", lines.join(OsStr::new("\n"))),
            variable("SITE", self.site.clone().into()),
            variable("RUN", image.run.to_string().into()),
            variable("MOMENT", image.moment.to_string().into()),
        ]
    }
}
