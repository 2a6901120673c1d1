//! Any bytes: nothing panics, printing loses nothing, formatting settles at once and keeps the meaning.

#![no_main]

use ctl_parser::{ControlFile, Resolved, check, example_site, redact, resolve};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let env = |name: &str| name.eq_ignore_ascii_case("SystemDrive").then(|| "C:".to_owned());
    let (file, resolved, diagnostics) = check(bytes, &example_site(), &env);
    assert_eq!(file.to_bytes(), bytes);
    for diagnostic in &diagnostics {
        diagnostic.render("smsbkup.ctl");
    }

    let formatted = file.format();
    assert_eq!(formatted.format().to_bytes(), formatted.to_bytes());
    let (resolved_again, _) = resolve(&formatted, &example_site(), &env);
    assert_eq!(commands(&resolved_again), commands(&resolved));

    let copy = redact(&file);
    assert_eq!(ControlFile::parse(copy.as_bytes()).0.lines().len(), file.lines().len());
});

/// What each command is, by section; where it stands is what formatting changes.
fn commands(resolved: &Resolved) -> Vec<Vec<std::mem::Discriminant<ctl_parser::Command>>> {
    let sections = [&resolved.stop, &resolved.tasks, &resolved.start];
    sections.map(|section| section.iter().map(|command| std::mem::discriminant(&command.command)).collect()).into()
}
