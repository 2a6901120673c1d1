//! From tree to commands: every token replaced, every argument given its type.
//!
//! A command is split into arguments before its tokens are replaced, so that a space in a value never cuts a path
//! (KB256586); a value is never searched for further references unless the file itself defines it.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use crate::diagnostic::{Code, Diagnostic, Diagnostics, Span};
use crate::lexer::is_blank;
use crate::syntax::{CommandLine, ControlFile, LineKind, Section, Verb};
use crate::tokens::{Names, PREDEFINED_TOKENS, Part, PartKind, split};

/// The longest value of a token or argument, in bytes, and the longest path of Windows, in characters.
const LONGEST_VALUE: usize = 32_767;
const DEEPEST_NESTING: usize = 64;
const LONGEST_SLEEP: u32 = 86_400;

/// A text of the control file with its tokens replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expanded {
    /// The text after replacement.
    pub value: String,
    /// Where the text stands.
    pub span: Span,
}

/// What a command asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `file`: copy a file, a folder with all below it, or the files that match `*` and `?` in the last component.
    File {
        /// What is copied.
        source: Expanded,
        /// Where it goes.
        destination: Expanded,
    },
    /// `reg`: export a key.
    Registry {
        /// The machine; this one if there is none.
        host: Option<String>,
        /// The key; its root is spelt out, as in `HKEY_LOCAL_MACHINE\Software`.
        key: Expanded,
        /// The file that is written.
        output: Expanded,
    },
    /// `sitedbdump`: dump a site database.
    SiteDatabaseDump {
        /// The name of the database.
        database: Expanded,
        /// The file that is written.
        output: Expanded,
    },
    /// `meteringdbdump`: dump the metering database.
    MeteringDatabaseDump {
        /// The name of the database.
        database: Expanded,
        /// The file that is written.
        output: Expanded,
    },
    /// `cmd`: run a command line.
    Run {
        /// The command line.
        command_line: Expanded,
        /// The file that also takes what the command prints.
        output: Option<Expanded>,
    },
    /// `rmdir`, also as the command line of a `cmd`: remove the previous snapshot.
    RemoveFolder {
        /// The folder.
        folder: Expanded,
    },
    /// `service`: stop or start a service, as the section says.
    Service {
        /// The machine; this one if there is none.
        host: Option<String>,
        /// The name of the service.
        name: Expanded,
    },
    /// `sleep`: wait.
    Sleep {
        /// How long.
        seconds: u32,
    },
}

/// A command and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedCommand {
    /// What it asks for.
    pub command: Command,
    /// Where it stands.
    pub span: Span,
    /// What stands there.
    pub original: String,
}

/// What a control file asks for, each section in file order. A command that does not resolve is left out, which its
/// critical finding tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// The tokens that the file defines, by name.
    pub tokens: BTreeMap<String, Expanded>,
    /// What is stopped first.
    pub stop: Vec<ResolvedCommand>,
    /// What is backed up or run.
    pub tasks: Vec<ResolvedCommand>,
    /// What is started at the end.
    pub start: Vec<ResolvedCommand>,
}

impl Resolved {
    /// The folder that the file takes for the snapshot: `SITE_BACKUP_DESTINATION`, in older files `BACKUP_DESTINATION`.
    pub fn snapshot_folder(&self) -> Option<&Expanded> {
        self.tokens.get("SITE_BACKUP_DESTINATION").or_else(|| self.tokens.get("BACKUP_DESTINATION"))
    }
}

/// Replaces every token of `file`.
///
/// `predefined` holds what the product sets ([`PREDEFINED_TOKENS`]); `env` looks up an environment variable, ignoring
/// case as Windows does. Neither is ever read from the process. The findings are about tokens and the form of
/// arguments, not about the grammar, which [`ControlFile::parse`] has judged.
pub fn resolve(
    file: &ControlFile,
    predefined: &BTreeMap<String, String>,
    env: &dyn Fn(&str) -> Option<String>,
) -> (Resolved, Vec<Diagnostic>) {
    let defined = file.definitions().map(|(name, _)| file.slice(name));
    let names = Names::new(defined.chain(predefined.keys().map(String::as_str)));
    let mut resolver = Resolver {
        file,
        predefined,
        env,
        names: &names,
        definitions: HashMap::new(),
        states: HashMap::new(),
        diagnostics: Diagnostics::new(file.text()),
    };
    let mut resolved = Resolved::default();
    resolver.define(&mut resolved);
    for line in file.lines() {
        if let LineKind::Command(line) = line.kind() {
            let commands = match line.section {
                Section::Stop => &mut resolved.stop,
                Section::Start => &mut resolved.start,
                Section::Tasks | Section::Tokens => &mut resolved.tasks,
            };
            commands.extend(resolver.command(line).map(|command| ResolvedCommand {
                command,
                span: line.span,
                original: file.slice(line.span).to_owned(),
            }));
        }
    }
    (resolved, resolver.diagnostics.into_sorted())
}

struct Resolver<'a> {
    file: &'a ControlFile,
    predefined: &'a BTreeMap<String, String>,
    env: &'a dyn Fn(&str) -> Option<String>,
    names: &'a Names,
    definitions: HashMap<&'a str, Span>,
    states: HashMap<&'a str, State>,
    diagnostics: Diagnostics<'a>,
}

enum State {
    Active,
    Failed,
    Known(Rc<str>),
}

#[derive(Clone, Copy, PartialEq)]
enum Use {
    Argument,
    CommandLine,
}

impl<'a> Resolver<'a> {
    fn define(&mut self, resolved: &mut Resolved) {
        let mut lines_by_upper_case = HashMap::new();
        for (name, value) in self.file.definitions() {
            let text = self.file.slice(name);
            let upper_case = text.to_uppercase();
            let is_set = |known: &str| known.to_uppercase() == upper_case;
            if PREDEFINED_TOKENS.contains(&upper_case.as_str()) || self.predefined.keys().any(|known| is_set(known)) {
                let message = format!("`{text}` is set by the product");
                self.report(Code::ReservedToken, name, message, "define a token of another name");
            } else if let Some(first) = lines_by_upper_case.insert(upper_case, name.line) {
                let message = format!("`{text}` is already defined in line {first}");
                self.report(Code::RedefinedToken, name, message, "keep one of the definitions");
            } else {
                self.definitions.insert(text, value);
            }
        }
        let file = self.file;
        for (name, span) in file.definitions() {
            let text = file.slice(name);
            if self.definitions.get(text) == Some(&span)
                && let Some(value) = self.token(text, name, 0)
            {
                resolved.tokens.insert(text.to_owned(), Expanded { value: value.to_string(), span });
            }
        }
    }

    /// The value of the token `name`, which `at` refers to. A token that fails is reported once, not at every use.
    fn token(&mut self, name: &str, at: Span, depth: usize) -> Option<Rc<str>> {
        if let Some(value) = self.predefined.get(name) {
            return self.not_empty(name, value, at);
        }
        match self.states.get(name) {
            Some(State::Known(value)) => return Some(Rc::clone(value)),
            Some(State::Failed) => return None,
            Some(State::Active) => {
                let message = format!("`{name}` is defined by itself");
                self.report(Code::CyclicToken, at, message, "break the circle of definitions");
                return None;
            }
            None => {}
        }
        let Some((&name, &definition)) = self.definitions.get_key_value(name) else {
            let hint = format!("define `{name}` in [Tokens], or write its value out; no command runs until then");
            self.report(Code::UndefinedToken, at, format!("`{name}` has no value"), hint);
            return None;
        };
        if depth == DEEPEST_NESTING {
            let message = format!("more than {DEEPEST_NESTING} tokens refer to each other in a row");
            self.report(Code::RunawayToken, at, message, "write some of the values out");
            return None;
        }
        self.states.insert(name, State::Active);
        let text = self.file.slice(definition);
        let value = self.expand(text, definition, depth + 1, Use::Argument);
        let value = value.and_then(|value| self.not_empty(name, &value, definition));
        self.states.insert(name, value.clone().map_or(State::Failed, State::Known));
        value
    }

    fn not_empty(&mut self, name: &str, value: &str, at: Span) -> Option<Rc<str>> {
        if value.chars().all(is_blank) {
            let hint = "a path that is built with it would degenerate (KB275612)";
            self.report(Code::EmptyToken, at, format!("`{name}` is empty"), hint);
            return None;
        }
        Some(value.into())
    }

    fn expand(&mut self, source: &str, span: Span, depth: usize, purpose: Use) -> Option<String> {
        let mut out = String::new();
        let mut is_complete = true;
        let mut is_quoted = false;
        for part in split(source, self.names) {
            let at = span.sub(source, part.offset, part.source.len());
            let Some(value) = self.part(&part, at, depth) else {
                is_complete = false;
                continue;
            };
            if purpose == Use::CommandLine && part.kind != PartKind::Literal && value.contains(is_blank) && !is_quoted {
                let message = format!("the value of `{}` holds a space and would be cut there", part.source);
                let hint = "put double quotes round the path inside the command line (KB256586, KB310720)";
                self.report(Code::UnquotedSpace, at, message, hint);
                is_complete = false;
            }
            is_quoted ^= value.matches('"').count() % 2 == 1;
            out.push_str(&value);
            if out.len() > LONGEST_VALUE {
                let message = format!("longer than {LONGEST_VALUE} bytes once its tokens are replaced");
                self.report(Code::RunawayToken, span, message, "look for tokens that multiply each other");
                return None;
            }
        }
        is_complete.then_some(out)
    }

    fn part(&mut self, part: &Part<'_>, at: Span, depth: usize) -> Option<Rc<str>> {
        match part.kind {
            PartKind::Literal => Some(part.source.into()),
            PartKind::EscapedPercent => Some("%".into()),
            PartKind::Bare => self.token(part.source, at, depth),
            PartKind::Percent(name) => match self.names.ignoring_case(name) {
                Some(token) => self.token(token, at, depth),
                None => self.variable(name, at),
            },
            PartKind::StrayPercent => {
                let hint = "write %NAME% for a token or an environment variable, %% for a percent sign";
                self.report(Code::BadReference, at, "percent sign that belongs to no reference", hint);
                None
            }
            PartKind::LookAlike(name) => {
                let rest = &part.source[name.len()..];
                let message = format!("`{}` looks like a token and is none", part.source);
                let hint = format!(
                    "define it in [Tokens]; if `{name}` with `{rest}` after it is meant, write `%{name}%{rest}`"
                );
                self.report(Code::UndefinedToken, at, message, hint);
                None
            }
        }
    }

    fn variable(&mut self, name: &str, at: Span) -> Option<Rc<str>> {
        match (self.env)(name) {
            Some(value) => self.not_empty(name, &value, at),
            None => {
                let message = format!("`{name}` is neither a token nor an environment variable");
                self.report(
                    Code::UndefinedToken,
                    at,
                    message,
                    format!("define `{name}` in [Tokens], or write its value out"),
                );
                None
            }
        }
    }

    fn command(&mut self, line: &CommandLine) -> Option<Command> {
        let purpose = if line.verb == Verb::Cmd { Use::CommandLine } else { Use::Argument };
        let mut arguments = Vec::with_capacity(line.arguments.len());
        // All arguments are expanded before any is missed, so that each tells what is wrong with it.
        for (index, argument) in line.arguments.iter().enumerate() {
            let purpose = if index == 0 { purpose } else { Use::Argument };
            arguments.push(self.argument(argument.span, purpose));
        }
        let mut arguments = arguments.into_iter().collect::<Option<Vec<_>>>()?.into_iter();
        let first = arguments.next().expect("the parser has counted the arguments");
        let Some(second) = arguments.next() else {
            return self.unary(line.verb, first);
        };
        match line.verb {
            Verb::File => Some(Command::File { source: first, destination: second }),
            Verb::Reg => self.registry(first, second),
            Verb::SiteDbDump => Some(Command::SiteDatabaseDump { database: first, output: second }),
            Verb::MeteringDbDump => Some(Command::MeteringDatabaseDump { database: first, output: second }),
            _ => Some(run(first, Some(second))),
        }
    }

    fn unary(&mut self, verb: Verb, argument: Expanded) -> Option<Command> {
        match verb {
            Verb::RmDir => Some(Command::RemoveFolder { folder: argument }),
            Verb::Service => self.service(argument),
            Verb::Sleep => self.sleep(&argument),
            _ => Some(run(argument, None)),
        }
    }

    fn argument(&mut self, span: Span, purpose: Use) -> Option<Expanded> {
        let value = self.expand(self.file.slice(span), span, 0, purpose)?;
        if value.chars().all(is_blank) {
            self.report(Code::EmptyToken, span, "argument is empty", "write what it should be, or remove the line");
            return None;
        }
        Some(Expanded { value, span })
    }

    fn registry(&mut self, key: Expanded, output: Expanded) -> Option<Command> {
        let (host, path) = match split_host(&key.value) {
            Some((host, path)) => (Some(host.to_owned()), path),
            None => (None, key.value.as_str()),
        };
        let (root, rest) = path.split_once('\\').unwrap_or((path, ""));
        let known = ROOTS.iter().find(|(long, short)| [long, short].iter().any(|name| name.eq_ignore_ascii_case(root)));
        let is_path = rest.split('\\').all(|component| !component.is_empty());
        if let (Some((root, _)), true) = (known, is_path) {
            let key = Expanded { value: format!(r"{root}\{rest}"), span: key.span };
            return Some(Command::Registry { host, key, output });
        }
        let message = format!("`{}` is not a registry key", key.value);
        let hint = r"write KEY or \\HOST\KEY, with a KEY such as HKEY_LOCAL_MACHINE\Software\Microsoft\SMS";
        self.report(Code::BadRegistryKey, key.span, message, hint);
        None
    }

    fn service(&mut self, argument: Expanded) -> Option<Command> {
        let (host, name) = match split_host(&argument.value) {
            Some((host, name)) => (Some(host.to_owned()), name),
            None => (None, argument.value.as_str()),
        };
        if name.is_empty() || name.contains(['\\', '/']) {
            let message = format!("`{}` is not a service", argument.value);
            self.report(Code::BadServiceName, argument.span, message, r"write NAME or \\HOST\NAME");
            return None;
        }
        let name = Expanded { value: name.to_owned(), span: argument.span };
        Some(Command::Service { host, name })
    }

    fn sleep(&mut self, argument: &Expanded) -> Option<Command> {
        let digits = argument.value.bytes().all(|byte| byte.is_ascii_digit());
        match argument.value.parse() {
            Ok(seconds) if digits && seconds <= LONGEST_SLEEP => Some(Command::Sleep { seconds }),
            _ => {
                let message = format!("`{}` is not a number of seconds", argument.value);
                self.report(Code::BadNumber, argument.span, message, "write a whole number up to 86400");
                None
            }
        }
    }

    fn report(&mut self, code: Code, span: Span, message: impl Into<String>, hint: impl Into<String>) {
        self.diagnostics.push(code, span, message, hint);
    }
}

const ROOTS: [(&str, &str); 5] = [
    ("HKEY_LOCAL_MACHINE", "HKLM"),
    ("HKEY_CURRENT_USER", "HKCU"),
    ("HKEY_CLASSES_ROOT", "HKCR"),
    ("HKEY_USERS", "HKU"),
    ("HKEY_CURRENT_CONFIG", "HKCC"),
];

/// `\\HOST\rest` as its two parts.
fn split_host(text: &str) -> Option<(&str, &str)> {
    let (host, rest) = text.strip_prefix(r"\\")?.split_once('\\')?;
    (!host.is_empty()).then_some((host, rest))
}

/// Whether the product's `rmdir` is a verb or a command line of `cmd` is not known, so both are read as one.
fn run(command_line: Expanded, output: Option<Expanded>) -> Command {
    match removed_folder(&command_line.value) {
        Some(folder) => {
            let folder = Expanded { value: folder.to_owned(), span: command_line.span };
            Command::RemoveFolder { folder }
        }
        None => Command::Run { command_line, output },
    }
}

fn removed_folder(command_line: &str) -> Option<&str> {
    let mut rest = strip_word(command_line, &["cmd", "cmd.exe"])
        .and_then(|rest| strip_word(rest, &["/c"]))
        .unwrap_or(command_line);
    rest = strip_word(rest, &["rmdir", "rd"])?;
    while let Some(after) = strip_word(rest, &["/s", "/q"]) {
        rest = after;
    }
    let rest = rest.trim();
    let inner = rest.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let folder = inner.unwrap_or(rest);
    let is_one_path =
        !folder.is_empty() && !folder.contains(['"', '&', '|']) && (inner.is_some() || !folder.contains(is_blank));
    is_one_path.then_some(folder)
}

fn strip_word<'a>(text: &'a str, words: &[&str]) -> Option<&'a str> {
    let text = text.trim_start();
    let (word, rest) = text.split_once(is_blank)?;
    words.iter().any(|known| known.eq_ignore_ascii_case(word)).then_some(rest)
}
