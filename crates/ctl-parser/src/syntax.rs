//! The tree: a control file as lines, each knowing what it is and every byte it is made of.

use crate::diagnostic::{Diagnostic, Span};
use crate::encoding::{self, Encoding, Malformed};
use crate::lexer::Token;
use crate::{parser, printer};

/// One of the four sections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    /// Definitions, `NAME=VALUE`.
    Tokens,
    /// What is stopped before the tasks.
    Stop,
    /// What is backed up or run.
    Tasks,
    /// What is started afterwards.
    Start,
}

impl Section {
    pub(crate) const ALL: [Section; 4] = [Section::Tokens, Section::Stop, Section::Tasks, Section::Start];

    /// The name as it stands between the brackets.
    pub fn as_str(self) -> &'static str {
        match self {
            Section::Tokens => "Tokens",
            Section::Stop => "Stop",
            Section::Tasks => "Tasks",
            Section::Start => "Start",
        }
    }
}

/// What a command does. Verbs are read in any case and written in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// Copies files or a folder.
    File,
    /// Exports a registry key.
    Reg,
    /// Dumps a site database.
    SiteDbDump,
    /// Dumps the metering database of SMS 2.0.
    MeteringDbDump,
    /// Runs a command line.
    Cmd,
    /// Removes the previous snapshot.
    RmDir,
    /// Stops or starts a service, as its section says.
    Service,
    /// Waits.
    Sleep,
}

impl Verb {
    pub(crate) const ALL: [Verb; 8] = [
        Verb::File,
        Verb::Reg,
        Verb::SiteDbDump,
        Verb::MeteringDbDump,
        Verb::Cmd,
        Verb::RmDir,
        Verb::Service,
        Verb::Sleep,
    ];

    /// The verb as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Verb::File => "file",
            Verb::Reg => "reg",
            Verb::SiteDbDump => "sitedbdump",
            Verb::MeteringDbDump => "meteringdbdump",
            Verb::Cmd => "cmd",
            Verb::RmDir => "rmdir",
            Verb::Service => "service",
            Verb::Sleep => "sleep",
        }
    }

    /// How a whole command is written.
    pub fn usage(self) -> &'static str {
        match self {
            Verb::File => "file SOURCE DESTINATION",
            Verb::Reg => r"reg [\\HOST\]KEY OUTPUT",
            Verb::SiteDbDump => "sitedbdump DATABASE OUTPUT",
            Verb::MeteringDbDump => "meteringdbdump DATABASE OUTPUT",
            Verb::Cmd => "cmd `COMMAND LINE` [OUTPUT]",
            Verb::RmDir => "rmdir FOLDER",
            Verb::Service => r"service [\\HOST\]NAME",
            Verb::Sleep => "sleep SECONDS",
        }
    }

    /// The fewest and the most arguments, switches not counted.
    pub(crate) fn arity(self) -> (usize, usize) {
        match self {
            Verb::File | Verb::Reg | Verb::SiteDbDump | Verb::MeteringDbDump => (2, 2),
            Verb::Cmd => (1, 2),
            Verb::RmDir | Verb::Service | Verb::Sleep => (1, 1),
        }
    }

    pub(crate) fn is_allowed_in(self, section: Section) -> bool {
        match self {
            Verb::Service => matches!(section, Section::Stop | Section::Start),
            Verb::Sleep => section != Section::Tokens,
            _ => section == Section::Tasks,
        }
    }
}

/// How an argument is quoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Quote {
    /// Not at all.
    None,
    /// `"…"`: our extension, for paths with spaces.
    Double,
    /// `` `…` ``: a command line.
    Back,
}

/// An argument of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argument {
    /// What stands between the quotes.
    pub span: Span,
    /// The quotes.
    pub quote: Quote,
}

/// A command that follows the grammar: a known verb, where it may stand, with arguments that fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    /// The section that it stands in.
    pub section: Section,
    /// What it does.
    pub verb: Verb,
    /// From the verb to the last argument.
    pub span: Span,
    /// The arguments, switches of `rmdir` left out.
    pub arguments: Vec<Argument>,
}

/// What a line is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineKind {
    /// Nothing but blanks.
    Blank,
    /// `# …`
    Comment,
    /// `#stop`: what follows is skipped.
    SkipFrom,
    /// `#start`: the end of what is skipped.
    SkipTo,
    /// Any line between `#stop` and `#start`.
    Skipped,
    /// `[Tasks]`
    Section(Section),
    /// `NAME=VALUE` in the section Tokens.
    Definition {
        /// The name.
        name: Span,
        /// The value, without the quotes if the whole of it is quoted; may be empty.
        value: Span,
    },
    /// A command.
    Command(CommandLine),
    /// What cannot be read; a diagnostic says why.
    Invalid,
}

/// A line of a control file.
#[derive(Clone, Debug)]
pub struct Line {
    pub(crate) number: usize,
    pub(crate) kind: LineKind,
    pub(crate) tokens: Vec<Token>,
}

impl Line {
    /// The number, counted from 1.
    pub fn number(&self) -> usize {
        self.number
    }

    /// What the line is.
    pub fn kind(&self) -> &LineKind {
        &self.kind
    }
}

/// A control file, whole: what it means and how it is written.
///
/// Reading never fails. What is wrong with a file is told beside it, and it prints as it was read.
#[derive(Clone, Debug)]
pub struct ControlFile {
    pub(crate) text: String,
    pub(crate) encoding: Encoding,
    pub(crate) malformed: Vec<Malformed>,
    pub(crate) lines: Vec<Line>,
}

impl ControlFile {
    /// Reads a control file. The findings are about its grammar alone; [`resolve`](crate::resolve()) and
    /// [`lint`](crate::lint()) judge what it says.
    pub fn parse(bytes: &[u8]) -> (ControlFile, Vec<Diagnostic>) {
        parser::parse(encoding::decode(bytes))
    }

    /// How the file is encoded.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The decoded text, without a byte-order mark.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The lines in file order.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The text of a span of this file.
    ///
    /// Panics when the span is another file's and does not fit.
    pub fn slice(&self, span: Span) -> &str {
        &self.text[span.start..span.end]
    }

    /// Prints the file: byte for byte what was read.
    pub fn to_bytes(&self) -> Vec<u8> {
        encoding::encode(&printer::print(self), self.encoding, &self.malformed)
    }

    /// The same file in canonical layout: CRLF, no indentation, arguments of neighbouring commands aligned, at most one
    /// empty line in a row. Comments, encoding and meaning stay, and so do the lines that cannot be read.
    pub fn format(&self) -> ControlFile {
        let text = printer::format(self);
        let (file, _) = ControlFile::parse(&encoding::encode(&text, self.encoding, &[]));
        if file.text == text {
            return file;
        }
        // Without the empty lines before it, what begins the text would be taken for a byte-order mark.
        ControlFile::parse(&encoding::encode(&format!("\r\n{text}"), self.encoding, &[])).0
    }

    pub(crate) fn definitions(&self) -> impl Iterator<Item = (Span, Span)> {
        self.lines.iter().filter_map(|line| match line.kind {
            LineKind::Definition { name, value } => Some((name, value)),
            _ => None,
        })
    }

    pub(crate) fn token_text(&self, token: &Token) -> &str {
        &self.text[token.start..token.end]
    }
}
