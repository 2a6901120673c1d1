//! Tokens to tree: decides what each line is, and tells what does not follow the grammar.

use crate::diagnostic::{Code, Diagnostic, Diagnostics, Span, sort};
use crate::encoding::{Decoded, Malformed};
use crate::lexer::{Token, TokenKind, is_blank, lex};
use crate::lint;
use crate::syntax::{Argument, CommandLine, ControlFile, Line, LineKind, Quote, Section, Verb};

pub(crate) fn parse(decoded: Decoded) -> (ControlFile, Vec<Diagnostic>) {
    let mut parser = Parser {
        text: &decoded.text,
        diagnostics: Diagnostics::new(&decoded.text),
        section: Place::BeforeSections,
        last_section: None,
        skipping_since: None,
        number: 0,
        line_start: 0,
    };
    let lines: Vec<_> = lex(&decoded.text).into_iter().map(|tokens| parser.line(tokens)).collect();
    parser.finish(&lines, &decoded.malformed);
    let mut found = parser.diagnostics.into_sorted();
    let Decoded { text, encoding, malformed } = decoded;
    let file = ControlFile { text, encoding, malformed, lines };
    found.extend(lint::swallowed_definitions(&file));
    sort(&mut found);
    (file, found)
}

#[derive(Clone, Copy)]
enum Place {
    BeforeSections,
    In(Section),
    /// Its header has been reported; its lines are not reported again.
    InUnknown,
}

struct Parser<'a> {
    text: &'a str,
    diagnostics: Diagnostics<'a>,
    section: Place,
    last_section: Option<Section>,
    skipping_since: Option<Span>,
    number: usize,
    line_start: usize,
}

impl<'a> Parser<'a> {
    fn line(&mut self, tokens: Vec<Token>) -> Line {
        self.number += 1;
        self.line_start = tokens.first().map_or(self.line_start, |first| first.start);
        let kind = self.kind(&tokens);
        Line { number: self.number, kind, tokens }
    }

    fn kind(&mut self, tokens: &[Token]) -> LineKind {
        let is_content = |token: &&Token| !matches!(token.kind, TokenKind::Blank | TokenKind::Newline);
        let first = tokens.iter().find(is_content).copied();
        if let Some(token) = first.filter(|token| token.kind == TokenKind::Comment) {
            return self.comment(self.slice(&token), self.span(&token));
        }
        if self.skipping_since.is_some() {
            self.warn_of_skipped_section(first);
            return LineKind::Skipped;
        }
        if self.has_control_character(tokens) {
            return LineKind::Invalid;
        }
        match first {
            None => LineKind::Blank,
            Some(token) => match token.kind {
                TokenKind::Header => self.header(token),
                TokenKind::Name => self.definition(tokens, token),
                TokenKind::Overlong => {
                    let message = "line longer than 8191 characters";
                    self.report(Code::LineTooLong, self.span_of_start(&token), message, "");
                    LineKind::Invalid
                }
                _ => self.command(tokens, token),
            },
        }
    }

    fn comment(&mut self, text: &str, span: Span) -> LineKind {
        let word = text.split(is_blank).next().unwrap_or_default();
        let is_stop = word.eq_ignore_ascii_case("#stop");
        let is_start = word.eq_ignore_ascii_case("#start");
        let not_a_directive = if self.skipping_since.is_some() { LineKind::Skipped } else { LineKind::Comment };
        if !is_stop && !is_start {
            return not_a_directive;
        }
        if word.len() < text.len() {
            let message = format!("`{word}` with text after it is read as a comment");
            let hint = "let the directive stand alone in its line, or put a space after the `#` of a comment";
            self.report(Code::DirectiveWithText, span, message, hint);
            return not_a_directive;
        }
        let remedy = "every `#stop` needs one `#start` after it; write `# stop` for a comment";
        match (is_stop, self.skipping_since) {
            (true, None) => {
                self.skipping_since = Some(span);
                LineKind::SkipFrom
            }
            (true, Some(open)) => {
                let message = format!("`#stop` inside the block that begins in line {}", open.line);
                self.report(Code::UnpairedBlock, span, message, remedy);
                LineKind::Skipped
            }
            (false, open) => {
                if open.is_none() {
                    self.report(Code::UnpairedBlock, span, "`#start` without a `#stop` before it", remedy);
                }
                self.skipping_since = None;
                LineKind::SkipTo
            }
        }
    }

    fn warn_of_skipped_section(&mut self, first: Option<Token>) {
        if let Some(header) = first.filter(|token| token.kind == TokenKind::Header) {
            let message = format!("section header `{}` is skipped with its block", self.slice(&header));
            let hint = "what follows the block still belongs to the section before it";
            let span = self.span(&header);
            self.report(Code::SkippedSection, span, message, hint);
        }
    }

    fn has_control_character(&mut self, tokens: &[Token]) -> bool {
        let content = tokens.iter().filter(|token| !matches!(token.kind, TokenKind::Newline | TokenKind::Overlong));
        for token in content {
            let text = self.slice(token);
            let is_bad = |character: char| character.is_control() && character != '\t' || character == '\u{FEFF}';
            if let Some((offset, character)) = text.char_indices().find(|(_, character)| is_bad(*character)) {
                let span = self.span(token).sub(text, offset, character.len_utf8());
                let message = format!("control character U+{:04X}", u32::from(character));
                let hint = "remove it; a file full of U+0000 is UTF-16 and needs a byte-order mark";
                self.report(Code::ControlCharacter, span, message, hint);
                return true;
            }
        }
        false
    }

    fn header(&mut self, token: Token) -> LineKind {
        let text = self.slice(&token);
        let name = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).map(str::trim);
        let section =
            name.and_then(|name| Section::ALL.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(name)));
        let span = self.span(&token);
        let Some(section) = section else {
            let hint = "the sections are [Tokens], [Stop], [Tasks] and [Start], each alone in its line";
            self.report(Code::UnknownSection, span, format!("unknown section `{text}`"), hint);
            self.section = Place::InUnknown;
            return LineKind::Invalid;
        };
        if let Some(last) = self.last_section.filter(|last| *last > section) {
            let message = format!("section [{}] after [{}]", section.as_str(), last.as_str());
            let hint = "whatever their order here, [Stop] is run first, then [Tasks], then [Start]";
            self.report(Code::SectionOrder, span, message, hint);
        }
        self.last_section = Some(section);
        self.section = Place::In(section);
        LineKind::Section(section)
    }

    fn definition(&mut self, tokens: &[Token], name: Token) -> LineKind {
        let name_span = self.span(&name);
        match self.section {
            Place::In(Section::Tokens) => {}
            Place::In(section) => {
                let message = format!("definition of `{}` in section [{}]", self.slice(&name), section.as_str());
                self.report(Code::WrongSection, name_span, message, "move it to [Tokens]");
                return LineKind::Invalid;
            }
            Place::BeforeSections => return self.outside(name_span),
            Place::InUnknown => return LineKind::Invalid,
        }
        let equals =
            tokens.iter().find(|token| token.kind == TokenKind::Equals).expect("a name is lexed with its sign");
        let equals = self.span(equals);
        let value = match tokens.iter().find(|token| token.kind == TokenKind::Value) {
            Some(value) => self.unquoted_value(value),
            None => Span { column: equals.column + 1, start: equals.end, ..equals },
        };
        LineKind::Definition { name: name_span, value }
    }

    fn unquoted_value(&self, value: &Token) -> Span {
        let text = self.slice(value);
        let span = self.span(value);
        match text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            Some(inner) if !inner.contains('"') => span.sub(text, 1, inner.len()),
            _ => span,
        }
    }

    fn outside(&mut self, span: Span) -> LineKind {
        self.report(
            Code::OutsideSection,
            span,
            "line before the first section",
            "put a section such as [Tasks] above it",
        );
        LineKind::Invalid
    }

    fn command(&mut self, tokens: &[Token], first: Token) -> LineKind {
        let word = self.span(&first);
        let section = match self.section {
            Place::In(section) => section,
            Place::BeforeSections => return self.outside(word),
            Place::InUnknown => return LineKind::Invalid,
        };
        let text = self.slice(&first);
        let verb = Verb::ALL.into_iter().find(|verb| verb.as_str().eq_ignore_ascii_case(text));
        let Some(verb) = verb else {
            if section == Section::Tokens {
                self.report(
                    Code::NotADefinition,
                    word,
                    "not a definition",
                    "[Tokens] holds lines of the form NAME=VALUE",
                );
            } else {
                self.report(Code::UnknownVerb, word, format!("unknown verb `{text}`"), unknown_verb_hint(text));
            }
            return LineKind::Invalid;
        };
        if !verb.is_allowed_in(section) {
            let message = format!("`{}` in section [{}]", verb.as_str(), section.as_str());
            let allowed = Section::ALL.into_iter().filter(|section| verb.is_allowed_in(*section));
            let allowed: Vec<_> = allowed.map(|section| format!("[{}]", section.as_str())).collect();
            self.report(Code::WrongSection, word, message, format!("it belongs in {}", allowed.join(" or ")));
            return LineKind::Invalid;
        }
        let is_word = |token: &&Token| !matches!(token.kind, TokenKind::Blank | TokenKind::Newline);
        let words: Vec<Token> = tokens.iter().filter(is_word).copied().collect();
        self.arguments(verb, &words).map_or(LineKind::Invalid, |arguments| {
            let last = words.last().map_or(word.end, |last| last.end);
            LineKind::Command(CommandLine { section, verb, span: Span { end: last, ..word }, arguments })
        })
    }

    fn arguments(&mut self, verb: Verb, words: &[Token]) -> Option<Vec<Argument>> {
        let mut arguments = Vec::with_capacity(words.len() - 1);
        for pair in words.windows(2) {
            arguments.push(self.argument(&pair[1], pair[0].end == pair[1].start)?);
        }
        if verb == Verb::RmDir {
            arguments.retain(|argument| !self.text[argument.span.start..].starts_with('/'));
        }
        let (fewest, most) = verb.arity();
        let command_line = arguments.first().filter(|_| verb == Verb::Cmd);
        if let Some(argument) = command_line.filter(|argument| argument.quote != Quote::Back) {
            let message = "command line without back quotes";
            self.report(Code::CommandNotQuoted, argument.span, message, format!("write {}", verb.usage()));
            return None;
        }
        if !(fewest..=most).contains(&arguments.len()) {
            let span = arguments.get(most).map_or(self.span(&words[0]), |extra| extra.span);
            let count = match (fewest, most) {
                (1, 1) => "1 argument".to_owned(),
                _ if fewest == most => format!("{fewest} arguments"),
                _ => format!("{fewest} or {most} arguments"),
            };
            let message = format!("`{}` takes {count}, not {}", verb.as_str(), arguments.len());
            let hint = match arguments.len() > most {
                true => format!("write {}; a path with spaces needs double quotes (KB256586)", verb.usage()),
                false => format!("write {}", verb.usage()),
            };
            self.report(Code::ArgumentCount, span, message, hint);
            return None;
        }
        Some(arguments)
    }

    fn argument(&mut self, token: &Token, touches_previous: bool) -> Option<Argument> {
        let text = self.slice(token);
        let span = self.span(token);
        let quote = match token.kind {
            TokenKind::DoubleQuoted => Quote::Double,
            TokenKind::BackQuoted => Quote::Back,
            _ => Quote::None,
        };
        let is_open = quote != Quote::None && (text.len() == 1 || text[1..].find(&text[..1]) != Some(text.len() - 2));
        if is_open {
            self.report(Code::UnclosedQuote, span, "quote is not closed", "close it before the end of the line");
            return None;
        }
        if touches_previous || quote == Quote::None && text.contains(['"', '`']) {
            self.report(
                Code::StrayQuote,
                span,
                "quote inside or against a word",
                "put quotes round the whole argument",
            );
            return None;
        }
        let span = if quote == Quote::None { span } else { span.sub(text, 1, text.len() - 2) };
        Some(Argument { span, quote })
    }

    fn finish(&mut self, lines: &[Line], malformed: &[Malformed]) {
        if let Some(open) = self.skipping_since {
            let hint = "the rest of the file is skipped; put a `#start` where the block ends";
            self.report(Code::UnpairedBlock, open, "`#stop` without a `#start` after it", hint);
        }
        let mut last_reported = 0;
        for gap in malformed {
            let after = lines.partition_point(|line| line.tokens[0].start <= gap.offset);
            let line = &lines[after - 1];
            if line.number == last_reported {
                continue;
            }
            last_reported = line.number;
            let line_start = line.tokens[0].start;
            let column = 1 + self.text[line_start..gap.offset].chars().count();
            let end = gap.offset + char::REPLACEMENT_CHARACTER.len_utf8();
            let span = Span { line: line.number, column, start: gap.offset, end };
            let message = "bytes that are not text in the encoding of the file";
            self.report(Code::MalformedText, span, message, "write the line anew, or restore the file from a copy");
        }
    }

    fn slice(&self, token: &Token) -> &'a str {
        &self.text[token.start..token.end]
    }

    fn span(&self, token: &Token) -> Span {
        Span { end: token.end, ..self.span_of_start(token) }
    }

    fn span_of_start(&self, token: &Token) -> Span {
        let column = 1 + self.text[self.line_start..token.start].chars().count();
        Span { line: self.number, column, start: token.start, end: token.start }
    }

    fn report(&mut self, code: Code, span: Span, message: impl Into<String>, hint: impl Into<String>) {
        self.diagnostics.push(code, span, message, hint);
    }
}

fn unknown_verb_hint(word: &str) -> String {
    let known = Verb::ALL.map(Verb::as_str);
    let word = word.to_lowercase();
    let nearest = known.into_iter().map(|verb| (strsim::osa_distance(verb, &word), verb)).min();
    let guess = match nearest {
        Some((distance, verb)) if distance <= verb.len() / 3 => format!("did you mean `{verb}`? "),
        _ => String::new(),
    };
    format!(
        "{guess}Put `#` before the line to leave it out; the verbs are {}. If the product wrote it, please share the \
         output of `sitebackup control-file check --redact`, so that the verb can be added",
        known.join(", ")
    )
}
