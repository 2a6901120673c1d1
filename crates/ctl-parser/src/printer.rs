//! Tree to text: as it was, or in canonical layout.

use crate::lexer::{LONGEST_LINE, TokenKind, is_blank};
use crate::syntax::{ControlFile, Line, LineKind, Verb};

/// Arguments are not aligned beyond this width; one long path would push all others off the screen.
const WIDEST_COLUMN: usize = 80;

pub(crate) fn print(file: &ControlFile) -> String {
    let mut text = String::with_capacity(file.text.len());
    for line in &file.lines {
        text.extend(line.tokens.iter().map(|token| file.token_text(token)));
    }
    text
}

pub(crate) fn format(file: &ControlFile) -> String {
    let mut text = String::with_capacity(file.text.len());
    let mut is_gap_due = false;
    for group in file.lines.chunk_by(|one, other| verb(one).is_some() && verb(one) == verb(other)) {
        let widths = column_widths(file, group);
        for line in group {
            let body = format_line(file, line, &widths);
            if body.is_empty() {
                is_gap_due = !text.is_empty();
                continue;
            }
            if std::mem::take(&mut is_gap_due) {
                text.push_str("\r\n");
            }
            text.push_str(&body);
            text.push_str("\r\n");
        }
    }
    text
}

fn verb(line: &Line) -> Option<Verb> {
    match &line.kind {
        LineKind::Command(command) => Some(command.verb),
        _ => None,
    }
}

fn column_widths(file: &ControlFile, group: &[Line]) -> Vec<usize> {
    let mut widths = Vec::new();
    for line in group.iter().filter(|line| verb(line).is_some()) {
        for (column, word) in words(file, line).enumerate() {
            let width = word.chars().count();
            widths.resize(widths.len().max(column + 1), 0);
            if width <= WIDEST_COLUMN {
                widths[column] = width.max(widths[column]);
            }
        }
    }
    widths
}

fn format_line(file: &ControlFile, line: &Line, widths: &[usize]) -> String {
    match &line.kind {
        LineKind::Section(section) => format!("[{}]", section.as_str()),
        LineKind::Definition { .. } => words(file, line).collect(),
        LineKind::Command(command) => {
            let words = || std::iter::once(command.verb.as_str()).chain(words(file, line).skip(1));
            let padded: Vec<_> = words().zip(widths).map(|(word, width)| format!("{word:width$}")).collect();
            let aligned = padded.join(" ").trim_end().to_owned();
            // Padding must not make a line too long to be read again.
            let fits = aligned.chars().count() <= LONGEST_LINE;
            if fits { aligned } else { words().collect::<Vec<_>>().join(" ") }
        }
        // Without its indentation, or what else in it cannot be seen, an unreadable line might be read as something.
        LineKind::Invalid => body(file, line),
        _ if line.tokens.iter().any(|token| token.kind == TokenKind::Overlong) => body(file, line),
        _ => body(file, line).trim_matches(is_blank).to_owned(),
    }
}

fn body(file: &ControlFile, line: &Line) -> String {
    let body = line.tokens.iter().filter(|token| token.kind != TokenKind::Newline);
    body.map(|token| file.token_text(token)).collect()
}

fn words<'a>(file: &'a ControlFile, line: &'a Line) -> impl Iterator<Item = &'a str> {
    let words = line.tokens.iter().filter(|token| !matches!(token.kind, TokenKind::Blank | TokenKind::Newline));
    words.map(|token| file.token_text(token))
}
