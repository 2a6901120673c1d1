//! Reads, checks, prints and redacts backup control files (`smsbkup.ctl`).
//!
//! A control file says what a backup of a site stops, copies, exports, dumps and starts again. This crate turns its bytes
//! into a tree that prints as the same bytes, the tree into commands with every token replaced, and judges both. It
//! reads no file, no environment and no clock, and it never fails: what is wrong is a list of [`Diagnostic`]s.
//!
//! ```
//! use ctl_parser::{Command, default_control_file, example_site};
//!
//! let bytes = default_control_file().into_bytes();
//! let (file, resolved, diagnostics) = ctl_parser::check(&bytes, &example_site(), &|_| None);
//! assert!(diagnostics.is_empty());
//! assert_eq!(file.to_bytes(), bytes);
//!
//! let Command::File { source, destination } = &resolved.tasks[0].command else { panic!() };
//! assert_eq!(source.value, r"D:\SMS\inboxes");
//! assert_eq!(destination.value, r"E:\Backup\ABCBackup\SiteServer\SMSServer\inboxes");
//!
//! let (_, diagnostics) = ctl_parser::ControlFile::parse(b"[Tasks]\r\nfiel C:\\a E:\\b\r\n");
//! assert!(diagnostics[0].render("smsbkup.ctl").contains("did you mean `file`?"));
//! ```
//!
//! In reading order:
//!
//! - `encoding`: bytes to text and back.
//! - `lexer`: text to tokens that tile it.
//! - `syntax`, `parser`: tokens to a tree of lines.
//! - `diagnostic`: findings, their codes and how they are shown.
//! - `tokens`: names, and references to them.
//! - `resolve`: the tree to commands.
//! - `windows_path`, `naming`, `lint`: judgments about paths and names.
//! - `printer`, `redact`, `template`: text again.
//! - `lower`: commands to the tasks of a backup plan.
//!
//! The grammar, and what of it is certain, is in `docs/control-file.md`.

mod diagnostic;
mod encoding;
mod lexer;
mod lint;
mod lower;
mod naming;
mod parser;
mod printer;
mod redact;
mod resolve;
mod syntax;
mod template;
mod tokens;
mod windows_path;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use diagnostic::{Code, Diagnostic, Severity, Span};
pub use encoding::Encoding;
pub use lint::{SiteFolders, lint};
pub use lower::{lower, predefined_tokens};
pub use naming::{DataType, OutputName, ServerType};
pub use redact::redact;
pub use resolve::{Command, Expanded, Resolved, ResolvedCommand, resolve};
pub use syntax::{Argument, CommandLine, ControlFile, Line, LineKind, Quote, Section, Verb};
pub use template::{default_control_file, example_site};
pub use tokens::{PREDEFINED_TOKENS, STANDARD_TOKENS};

/// Reads, resolves and judges a control file, and returns all findings in the order of the file.
///
/// No backup may run from a file with a [critical](Severity::Critical) finding.
pub fn check(
    bytes: &[u8],
    predefined: &BTreeMap<String, String>,
    env: &dyn Fn(&str) -> Option<String>,
) -> (ControlFile, Resolved, Vec<Diagnostic>) {
    let (file, mut diagnostics) = ControlFile::parse(bytes);
    let (resolved, found) = resolve(&file, predefined, env);
    diagnostics.extend(found);
    diagnostics.extend(lint(&file, &resolved, &SiteFolders::from_predefined(predefined, env)));
    diagnostic::sort(&mut diagnostics);
    (file, resolved, diagnostics)
}
