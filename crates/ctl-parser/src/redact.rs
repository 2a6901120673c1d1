//! A copy of a control file that can be shown to strangers.

use std::collections::HashMap;

use crate::lexer::{Token, TokenKind};
use crate::naming::OutputName;
use crate::syntax::{ControlFile, Line, LineKind, Section, Verb};
use crate::tokens::{Names, PartKind, split};

/// Replaces what a control file tells about its site: hosts, parts of paths, databases, command lines, comments.
///
/// Sections, verbs, token names, separators and the product's own words stay, and so does the number of every line. The
/// same text always gets the same placeholder within a file, whatever its case, so that the copy fails as the file does.
pub fn redact(file: &ControlFile) -> String {
    let names = Names::new(file.definitions().map(|(name, _)| file.slice(name)));
    let mut redactor = Redactor { file, names, placeholders: HashMap::new(), is_among_commands: false };
    let copy: String = file.lines().iter().map(|line| redactor.line(line)).collect();
    // What stood behind a byte-order mark must not become one.
    if copy.starts_with('\u{FEFF}') { format!(" {copy}") } else { copy }
}

/// The product's own names for folders, keys and services: the same on every site.
const PRODUCT_WORDS: &str = "\
    backup backuptemp bin cd.latest currentversion data hkey_classes_root hkey_current_config \
    hkey_current_user hkey_local_machine hkey_users hklm i386 inboxes logs master microsoft model msdb \
    nal providerserver sitedbserver siteserver sms sms_executive sms_site_component_manager smsserver \
    software srvacct x64";

struct Redactor<'a> {
    file: &'a ControlFile,
    names: Names,
    placeholders: HashMap<String, String>,
    /// Elsewhere the first word of a line is no verb, so it is not kept.
    is_among_commands: bool,
}

impl Redactor<'_> {
    fn line(&mut self, line: &Line) -> String {
        if let LineKind::Section(section) = line.kind {
            self.is_among_commands = section != Section::Tokens;
        }
        let mut out = String::new();
        let mut is_verb_next = self.is_among_commands;
        for token in &line.tokens {
            let text = self.file.token_text(token);
            match token.kind {
                TokenKind::Blank | TokenKind::Newline | TokenKind::Equals => out.push_str(text),
                TokenKind::Name => out.push_str(text),
                TokenKind::Comment => out.push_str(&self.comment(text)),
                TokenKind::Header => out.push_str(&header(text)),
                TokenKind::Word if std::mem::take(&mut is_verb_next) && is_verb_like(text) => out.push_str(text),
                _ => out.push_str(&self.argument(token, text)),
            }
        }
        out
    }

    fn comment(&mut self, text: &str) -> String {
        let is_directive = ["#stop", "#start"].iter().any(|directive| text.eq_ignore_ascii_case(directive));
        if is_directive { text.to_owned() } else { format!("# {}", self.placeholder("comment", text)) }
    }

    fn argument(&mut self, token: &Token, text: &str) -> String {
        if token.kind != TokenKind::BackQuoted && token.kind != TokenKind::Overlong {
            return self.text(text);
        }
        let quotes = |at: fn(&str, char) -> bool| if at(text, '`') { "`" } else { "" };
        let opening = quotes(|text, quote| text.starts_with(quote));
        let closing = if text.len() > 1 { quotes(|text, quote| text.ends_with(quote)) } else { "" };
        format!("{opening}{}{closing}", self.placeholder("command", text))
    }

    /// Redacts between separators and references, both of which stay.
    fn text(&mut self, text: &str) -> String {
        let mut out = String::new();
        let mut literal = String::new();
        for part in split(text, &self.names) {
            if part.kind == PartKind::Literal {
                literal.push_str(part.source);
            } else {
                self.literal(&std::mem::take(&mut literal), &mut out);
                out.push_str(part.source);
            }
        }
        self.literal(&literal, &mut out);
        out
    }

    fn literal(&mut self, literal: &str, out: &mut String) {
        for piece in literal.split_inclusive(is_separator) {
            let (word, separator) = match piece.strip_suffix(is_separator) {
                Some(word) => (word, &piece[word.len()..]),
                None => (piece, ""),
            };
            let is_host = out.trim_start_matches('"') == r"\\";
            out.push_str(&self.word(word, is_host, separator == ":"));
            out.push_str(separator);
        }
    }

    fn word(&mut self, word: &str, is_host: bool, is_before_colon: bool) -> String {
        let is_drive = is_before_colon && word.len() == 1;
        let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
        let is_public = Verb::ALL.iter().any(|verb| verb.as_str() == word)
            || PRODUCT_WORDS.split(' ').any(|known| known.eq_ignore_ascii_case(word));
        if word.is_empty() || !is_host && (is_drive || is_number && word.len() < 5 || is_public) {
            return word.to_owned();
        }
        if let Some(name) = OutputName::parse(word) {
            let source = self.word(&name.source, false, false);
            return OutputName { source, ..name }.to_string();
        }
        self.placeholder(if is_host { "host" } else { "name" }, word)
    }

    fn placeholder(&mut self, kind: &str, text: &str) -> String {
        let count = self.placeholders.len() + 1;
        self.placeholders.entry(text.to_lowercase()).or_insert_with(|| format!("{kind}{count}")).clone()
    }
}

fn is_separator(character: char) -> bool {
    matches!(character, '\\' | '/' | ':' | ' ' | '\t' | '*' | '?' | '"' | '`' | ',' | ';' | '=')
}

/// An unknown verb is what a redacted copy is made for; a word with dots, dashes or separators may be a host or a path.
fn is_verb_like(word: &str) -> bool {
    word.len() <= 20 && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn header(text: &str) -> String {
    let is_plain = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).is_some_and(is_verb_like);
    if is_plain { text.to_owned() } else { "[?]".to_owned() }
}
