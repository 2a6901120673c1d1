//! What a self-test is told as: a text that can be pasted into an issue whole, and the JSON form.

use std::process::Command;
use std::time::Duration;

use backup_core::copy::chain;
use backup_core::path::SitePath;
use backup_core::ports::shadow_copies::ShadowCopyError;
use backup_core::report::{Cause, Finding, Gravity};
use serde_json::{Value, json};
use vss::{HResult, SelfTest, Verdict, VssCall, WriterSeen};

use crate::exit::Exit;
use crate::output::{Answer, human};

const PASTE: &str =
    "All of this can be pasted into an issue: it names volumes, writers and a file, and holds nothing of any.\n";

pub(super) fn answer(test: &SelfTest, places: &[SitePath]) -> Answer {
    let verdict = test.verdict();
    let exit = match (verdict, &test.error) {
        (Verdict::Passed, _) => Exit::DONE,
        (Verdict::Weaker, _) => Exit::INCOMPLETE,
        (_, Some(ShadowCopyError::Cancelled)) => Exit::INTERRUPTED,
        (Verdict::NotAvailable | Verdict::Failed, _) => Exit::SHADOW_COPY,
    };
    let system = system();
    let weaker = test.weaker.iter().map(|weaker| Finding::new(Gravity::Warning, Cause::ShadowCopy, weaker.clone()));
    let error = test.error.as_ref().map(|error| Finding::error(Cause::ShadowCopy, chain(error)).hint(hint(verdict)));
    Answer::new(text(test, places, &system), value(test, places, &system)).with(weaker.chain(error)).exit(exit)
}

fn hint(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::NotAvailable => "shadow-copy = \"auto\" or \"pre-copy\" in site.toml does without the service",
        _ => "see the events of VSS and its writers in the application log; `vssadmin list shadows` tells what is left",
    }
}

/// The system's own words for its version.
fn system() -> String {
    let said = Command::new("cmd").args(["/c", "ver"]).output();
    let said = said.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    if said.is_empty() { "Windows, of a version that it does not tell".to_owned() } else { said }
}

fn name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "passed",
        Verdict::Weaker => "weaker",
        Verdict::NotAvailable => "not-available",
        Verdict::Failed => "failed",
    }
}

fn text(test: &SelfTest, places: &[SitePath], system: &str) -> String {
    let volumes: Vec<String> = places.iter().map(|place| format!("`{place}`")).collect();
    let mut text = format!("sitebackup {} on {system}\n", env!("CARGO_PKG_VERSION"));
    text.push_str(&format!("Self-test of the Volume Shadow Copy Service with {}\n\n", volumes.join(", ")));
    text.push_str(&human::table(&rows(&test.calls), &[], "  "));
    if !test.writers.is_empty() {
        text.push_str("\nWriters, their components, and their states as they were asked for:\n");
    }
    for writer in &test.writers {
        let components = human::count(writer.components as u64, "component", "components");
        text.push_str(&format!(
            "  {}: {components}\n    class {}, instance {}\n",
            writer.name, writer.id, writer.instance
        ));
        if !writer.states.is_empty() {
            text.push_str(&format!("    {}\n", states(writer)));
        }
    }
    if !test.files.is_empty() {
        text.push_str("\nRead on the shadow copy:\n");
    }
    for file in &test.files {
        text.push_str(&format!("  {} of `{}`\n", human::bytes(file.bytes as u64), file.path));
    }
    text.push_str(&format!("\n{}\n{PASTE}", verdict(test)));
    text
}

fn verdict(test: &SelfTest) -> String {
    let error = test.error.as_ref().map(|error| chain(error)).unwrap_or_default();
    match test.verdict() {
        Verdict::Passed => {
            "Verdict: passed. Every call and every writer succeeded, and no shadow copy is left.".to_owned()
        }
        Verdict::Weaker => {
            format!("Verdict: weaker. The shadow copy was good and is gone, but {}.", test.weaker.join("; "))
        }
        Verdict::NotAvailable => format!("Verdict: not available here. {error}."),
        Verdict::Failed => format!("Verdict: failed. {error}."),
    }
}

/// A line a call; calls of one name, with one result, are one line as long as no operation ends between them.
fn rows(calls: &[VssCall]) -> Vec<Vec<String>> {
    let mut lines: Vec<(&VssCall, u32, Duration)> = Vec::new();
    let mut first = 0;
    for call in calls {
        let is_same = |(line, ..): &&mut (&VssCall, u32, Duration)| {
            let like = |call: &VssCall| (call.name, call.subject.clone(), call.ended, call.result);
            like(line) == like(call)
        };
        match lines[first..].iter_mut().find(is_same) {
            Some((_, count, took)) => {
                *count += 1;
                *took += call.took;
            }
            None => lines.push((call, 1, call.took)),
        }
        if call.ended {
            first = lines.len();
        }
    }
    lines.into_iter().map(|(call, count, took)| row(call, count, took)).collect()
}

fn row(call: &VssCall, count: u32, took: Duration) -> Vec<String> {
    let mut what = call.name.to_owned();
    if !call.subject.is_empty() {
        what.push_str(&format!(" `{}`", call.subject));
    }
    if call.ended {
        what.push_str(", its end");
    }
    if count > 1 {
        what.push_str(&format!(", {count} times"));
    }
    let HResultText { number, name, meaning } = told(call.result);
    vec![what, number, name.to_owned(), meaning.to_owned(), human::duration(took)]
}

struct HResultText {
    number: String,
    name: &'static str,
    meaning: &'static str,
}

fn told(result: HResult) -> HResultText {
    let number = format!("0x{:08X}", result.number());
    HResultText { number, name: result.name().unwrap_or("no name"), meaning: result.meaning() }
}

fn states(writer: &WriterSeen) -> String {
    let state = |(state, failure): &(i32, HResult)| match failure.is_ok() {
        true => format!("[{state}] {}", state_name(*state)),
        false => format!("[{state}] {}: {failure}, {}", state_name(*state), failure.meaning()),
    };
    writer.states.iter().map(state).collect::<Vec<_>>().join(", ")
}

/// What `vssadmin list writers` shows a number for.
fn state_name(state: i32) -> &'static str {
    match state {
        1 => "stable",
        2 => "waiting for Freeze",
        3 => "waiting for Thaw",
        4 => "waiting for PostSnapshot",
        5 => "waiting for completion",
        6 => "failed at Identify",
        7 => "failed at PrepareBackup",
        8 => "failed at PrepareSnapshot",
        9 => "failed at Freeze",
        10 => "failed at Thaw",
        11 => "failed at PostSnapshot",
        12 => "failed at BackupComplete",
        13 => "failed at PreRestore",
        14 => "failed at PostRestore",
        15 => "failed at BackupShutdown",
        _ => "unknown",
    }
}

fn value(test: &SelfTest, places: &[SitePath], system: &str) -> Value {
    let result = |result: HResult| {
        let HResultText { number, meaning, .. } = told(result);
        json!({ "number": number, "name": result.name(), "meaning": meaning })
    };
    let call = |call: &VssCall| {
        let took = call.took.as_secs_f64();
        json!({
            "name": call.name, "subject": call.subject, "ended": call.ended, "result": result(call.result), "took": took,
        })
    };
    let state = |(state, failure): &(i32, HResult)| json!({ "number": state, "name": state_name(*state), "failure": result(*failure) });
    let writer = |writer: &WriterSeen| {
        json!({
            "id": writer.id, "instance": writer.instance, "name": writer.name, "components": writer.components,
            "states": writer.states.iter().map(state).collect::<Vec<_>>(),
        })
    };
    json!({
        "verdict": name(test.verdict()),
        "program": env!("CARGO_PKG_VERSION"),
        "system": system,
        "volumes": places.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "calls": test.calls.iter().map(call).collect::<Vec<_>>(),
        "writers": test.writers.iter().map(writer).collect::<Vec<_>>(),
        "files": test.files.iter().map(|file| json!({ "path": file.path.to_string(), "bytes": file.bytes })).collect::<Vec<_>>(),
    })
}
