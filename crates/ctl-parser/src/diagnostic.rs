//! What is wrong with a control file, where, and what to do about it.

use std::fmt::{self, Write as _};

/// A stretch of one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// Line, counted from 1.
    pub line: usize,
    /// First character within the line, counted from 1.
    pub column: usize,
    /// First byte within [`ControlFile::text`](crate::ControlFile::text).
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
}

impl Span {
    /// The part of this span that begins at `offset` of `text`, which this span covers.
    pub(crate) fn sub(self, text: &str, offset: usize, length: usize) -> Span {
        Span {
            line: self.line,
            column: self.column + text[..offset].chars().count(),
            start: self.start + offset,
            end: self.start + offset + length,
        }
    }
}

/// What a diagnostic means for a run: the product's own error classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The run goes on and may succeed.
    Warning,
    /// The run goes on, but its snapshot is invalid.
    Error,
    /// No run starts.
    Critical,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Warning => "warning",
            Severity::Error => "error",
            Severity::Critical => "critical error",
        })
    }
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal $severity:ident,)+) => {
        /// Which rule a diagnostic is about. The text of a code never changes once it is released.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $($(#[doc = $doc])+ $variant,)+ }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &[Code] = &[$(Code::$variant,)+];

            /// The code as text.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $name,)+ }
            }

            /// What breaking this rule means for a run.
            pub fn severity(self) -> Severity {
                match self { $(Code::$variant => Severity::$severity,)+ }
            }

            /// The rule in one sentence.
            pub fn summary(self) -> &'static str {
                match self { $(Code::$variant => concat!($($doc),+).trim_ascii(),)+ }
            }
        }
    };
}

codes! {
    /// Bytes are not text in the file's encoding.
    MalformedText = "malformed-text" Critical,
    /// A character cannot be seen and has no meaning here.
    ControlCharacter = "control-character" Critical,
    /// A line is longer than 8191 characters.
    LineTooLong = "line-too-long" Critical,
    /// A section is none of Tokens, Stop, Tasks, Start.
    UnknownSection = "unknown-section" Critical,
    /// A line stands before the first section.
    OutsideSection = "outside-section" Critical,
    /// A command begins with no known verb.
    UnknownVerb = "unknown-verb" Critical,
    /// A command or definition stands in a section that cannot hold it.
    WrongSection = "wrong-section" Critical,
    /// A line of the Tokens section is not `NAME=VALUE`.
    NotADefinition = "not-a-definition" Critical,
    /// A command has too few or too many arguments.
    ArgumentCount = "argument-count" Critical,
    /// The command line of `cmd` is not in back quotes.
    CommandNotQuoted = "command-not-quoted" Critical,
    /// A quote is not closed in its line.
    UnclosedQuote = "unclosed-quote" Critical,
    /// A quote stands inside or against a word.
    StrayQuote = "stray-quote" Critical,
    /// `#stop` and `#start` do not form pairs.
    UnpairedBlock = "unpaired-block" Critical,
    /// The seconds of `sleep` are not a whole number up to 86400.
    BadNumber = "bad-number" Critical,
    /// A registry key does not begin with a known root.
    BadRegistryKey = "bad-registry-key" Critical,
    /// A service is not `NAME` or `\\HOST\NAME`.
    BadServiceName = "bad-service-name" Critical,
    /// An indented definition follows a comment directly; the product loses it (KB275612).
    SwallowedDefinition = "swallowed-definition" Critical,
    /// A token or argument is empty.
    EmptyToken = "empty-token" Critical,
    /// A token has no value.
    UndefinedToken = "undefined-token" Critical,
    /// A token is defined by itself.
    CyclicToken = "cyclic-token" Critical,
    /// A token is defined twice.
    RedefinedToken = "redefined-token" Critical,
    /// A token that the product sets is defined in the file.
    ReservedToken = "reserved-token" Critical,
    /// A percent sign neither begins nor ends a reference.
    BadReference = "bad-reference" Critical,
    /// Tokens are nested more than 64 deep or grow beyond 32767 bytes.
    RunawayToken = "runaway-token" Critical,
    /// A token with a space in its value stands unquoted in a command line (KB256586, KB310720).
    UnquotedSpace = "unquoted-space" Critical,
    /// A path is not absolute.
    NotAbsolute = "not-absolute" Critical,
    /// A path holds a character that Windows does not allow there.
    BadPathCharacter = "bad-path-character" Critical,
    /// The destination is the root of a drive.
    DestinationRoot = "destination-root" Critical,
    /// The destination is in the install folder or the Windows folder.
    DestinationInSystem = "destination-in-system" Critical,
    /// The destination holds a source or the install folder.
    DestinationAboveSource = "destination-above-source" Critical,
    /// The destination is in a source, which would copy snapshots into snapshots.
    DestinationInSource = "destination-in-source" Critical,
    /// Output goes outside the snapshot folder.
    OutsideDestination = "outside-destination" Critical,
    /// `rmdir` names anything but the snapshot folder.
    RemovesOtherFolder = "removes-other-folder" Critical,
    /// A path of the control file has no place on this machine.
    UnmappedPath = "unmapped-path" Critical,
    /// A service or key of another machine.
    OtherMachine = "other-machine" Critical,
    /// A task that this program or this site cannot do.
    NotSupported = "not-supported" Critical,
    /// No task names anything to back up: an emptied file must not become an empty backup.
    NothingToBackUp = "nothing-to-back-up" Critical,
    /// Two commands write the same file.
    DuplicateOutput = "duplicate-output" Error,
    /// A comment looks like `#stop` or `#start` with text after it.
    DirectiveWithText = "directive-with-text" Warning,
    /// A skipped block holds a section header.
    SkippedSection = "skipped-section" Warning,
    /// Sections are not in the order in which they are run.
    SectionOrder = "section-order" Warning,
    /// An output file is not named `SMSbk…`.
    OutputName = "output-name" Warning,
    /// A command line deletes something.
    DeletingCommand = "deleting-command" Warning,
}

/// One finding about one place in a control file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The rule.
    pub code: Code,
    /// The place.
    pub span: Span,
    /// What is wrong: a fragment without a full stop.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The line, shortened round the place, control characters made visible.
    pub snippet: String,
    /// The characters of the snippet that the span covers: where they begin, and how many they are.
    pub marked: (usize, usize),
}

impl Diagnostic {
    /// What this finding means for a run.
    pub fn severity(&self) -> Severity {
        self.code.severity()
    }

    /// Shows the finding with its line and carets under the place.
    pub fn render(&self, file_name: &str) -> String {
        let Span { line, column, .. } = self.span;
        let gutter = " ".repeat(line.to_string().len());
        let (before, width) = self.marked;
        let mut out = format!("{}[{}]: {}\n", self.severity(), self.code.as_str(), self.message);
        // Writing to a String cannot fail.
        _ = writeln!(out, "{gutter}--> {file_name}:{line}:{column}\n{gutter} |");
        _ = writeln!(out, "{line} | {}", self.snippet);
        _ = writeln!(out, "{gutter} | {}{}", " ".repeat(before), "^".repeat(width));
        if let Some(hint) = &self.hint {
            _ = writeln!(out, "{gutter} = help: {hint}");
        }
        out
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Span { line, column, .. } = self.span;
        write!(f, "{line}:{column}: {}[{}]: {}", self.severity(), self.code.as_str(), self.message)
    }
}

/// Collects findings about one text.
#[derive(Debug)]
pub(crate) struct Diagnostics<'a> {
    text: &'a str,
    found: Vec<Diagnostic>,
}

impl<'a> Diagnostics<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Diagnostics { text, found: Vec::new() }
    }

    pub(crate) fn push(&mut self, code: Code, span: Span, message: impl Into<String>, hint: impl Into<String>) {
        let (snippet, marked) = snippet(self.text, span);
        let hint = Some(hint.into()).filter(|hint| !hint.is_empty());
        let message = message.into();
        self.found.push(Diagnostic { code, span, message, hint, snippet, marked });
    }

    pub(crate) fn into_sorted(mut self) -> Vec<Diagnostic> {
        sort(&mut self.found);
        self.found
    }
}

pub(crate) fn sort(diagnostics: &mut [Diagnostic]) {
    diagnostics.sort_by_key(|found| (found.span.start, found.span.end, found.code));
}

const SNIPPET_BEFORE: usize = 60;
const SNIPPET_AFTER: usize = 60;

fn snippet(text: &str, span: Span) -> (String, (usize, usize)) {
    let line_start = text[..span.start].rfind('\n').map_or(0, |newline| newline + 1);
    let line_end = text[span.start..].find('\n').map_or(text.len(), |length| span.start + length);
    let (before, after) = (&text[line_start..span.start], &text[span.start..line_end].trim_end());
    let cut = before.char_indices().rev().nth(SNIPPET_BEFORE).map_or(0, |(at, first)| at + first.len_utf8());
    let shown_before = if cut == 0 { visible(before) } else { format!("…{}", visible(&before[cut..])) };
    let shown_after = match after.char_indices().nth(SNIPPET_AFTER) {
        Some((cut, _)) => format!("{}…", visible(&after[..cut])),
        None => visible(after),
    };
    let width = text[span.start..span.end].chars().count().min(shown_after.chars().count()).max(1);
    let marked = (shown_before.chars().count(), width);
    (shown_before + &shown_after, marked)
}

fn visible(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '\t' => ' ',
            other if other.is_control() => char::REPLACEMENT_CHARACTER,
            other => other,
        })
        .collect()
}
