//! Text to tokens, one line at a time.
//!
//! The tokens of a line tile it: every byte, blanks and line ending included, belongs to exactly one. What a line is
//! follows from its first characters alone, never from the section it stands in, so that an error stays in its line.

/// The longest line that is read, in characters: what cmd.exe takes as a command line.
pub(crate) const LONGEST_LINE: usize = 8191;

/// A piece of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Blank,
    /// From `#` to the end of the line, trailing blanks excluded; directives look the same here.
    Comment,
    /// From `[` to the end of the line, trailing blanks excluded.
    Header,
    /// The name, the sign and the value of `NAME=VALUE`; an empty value has no token.
    Name,
    Equals,
    Value,
    /// An argument, or the verb: anything up to the next blank.
    Word,
    /// `"…"`, quotes included; an unclosed one reaches to the end of the line.
    DoubleQuoted,
    /// `` `…` ``, likewise.
    BackQuoted,
    /// A line longer than [`LONGEST_LINE`], whole.
    Overlong,
    Newline,
}

/// A carriage return that ends no line, and a byte-order mark that begins no file, count as blanks: neither can be
/// seen in an editor, and inside a word they would change a path unnoticed.
pub(crate) fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r' | '\x0B' | '\x0C' | '\u{FEFF}')
}

pub(crate) fn is_name_character(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Splits `text` into lines, each as its tokens. A text that ends with a line ending has no empty line after it.
pub(crate) fn lex(text: &str) -> Vec<Vec<Token>> {
    let mut start = 0;
    text.split_inclusive('\n')
        .map(|line| {
            let tokens = LineLexer { text: line, start, at: 0, tokens: Vec::new() }.run();
            start += line.len();
            tokens
        })
        .collect()
}

struct LineLexer<'a> {
    text: &'a str,
    start: usize,
    at: usize,
    tokens: Vec<Token>,
}

impl LineLexer<'_> {
    fn run(mut self) -> Vec<Token> {
        let body = self.text.strip_suffix('\n').map_or(self.text, |body| body.strip_suffix('\r').unwrap_or(body));
        let newline = self.text.len();
        if body.chars().nth(LONGEST_LINE).is_some() {
            self.push(TokenKind::Overlong, body.len());
        } else {
            self.body(body);
        }
        self.push(TokenKind::Newline, newline);
        self.tokens
    }

    fn body(&mut self, body: &str) {
        let content_end = body.trim_end_matches(is_blank).len();
        self.blanks(body);
        let content = &body[self.at.min(content_end)..content_end];
        if content.starts_with('#') {
            self.push(TokenKind::Comment, content_end);
        } else if content.starts_with('[') {
            self.push(TokenKind::Header, content_end);
        } else if let Some(name) = definition_name(content) {
            self.push(TokenKind::Name, self.at + name);
            self.blanks(body);
            self.push(TokenKind::Equals, self.at + 1);
            self.blanks(body);
            self.push(TokenKind::Value, content_end);
        } else {
            while self.at < content_end {
                self.word(&body[..content_end]);
                self.blanks(body);
            }
        }
        self.push(TokenKind::Blank, body.len());
    }

    fn word(&mut self, content: &str) {
        let rest = &content[self.at..];
        let (kind, length) = match rest.as_bytes()[0] {
            quote @ (b'"' | b'`') => {
                let kind = if quote == b'"' { TokenKind::DoubleQuoted } else { TokenKind::BackQuoted };
                (kind, rest[1..].find(char::from(quote)).map(|inner| inner + 2))
            }
            _ => (TokenKind::Word, rest.find(is_blank)),
        };
        self.push(kind, self.at + length.unwrap_or(rest.len()));
    }

    fn blanks(&mut self, body: &str) {
        let rest = &body[self.at..];
        let length = rest.len() - rest.trim_start_matches(is_blank).len();
        self.push(TokenKind::Blank, self.at + length);
    }

    fn push(&mut self, kind: TokenKind, end: usize) {
        if end > self.at {
            self.tokens.push(Token { kind, start: self.start + self.at, end: self.start + end });
            self.at = end;
        }
    }
}

/// The length of the name if `content` reads `NAME=…`, blanks round the sign allowed.
fn definition_name(content: &str) -> Option<usize> {
    let name = content.find(|character: char| !(character.is_ascii_alphanumeric() || character == '_'))?;
    let is_name = content.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    (is_name && content[name..].trim_start_matches(is_blank).starts_with('=')).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &[(TokenKind, &str)]) {
        let tokens: Vec<_> = lex(text).concat();
        let found: Vec<_> = tokens.iter().map(|token| (token.kind, &text[token.start..token.end])).collect();
        assert_eq!(found, expect);
    }

    #[test]
    fn lines_of_every_kind() {
        use TokenKind::*;
        check("\t# note \r\n", &[(Blank, "\t"), (Comment, "# note"), (Blank, " "), (Newline, "\r\n")]);
        check("[Tasks]\n", &[(Header, "[Tasks]"), (Newline, "\n")]);
        check("A = b c ", &[(Name, "A"), (Blank, " "), (Equals, "="), (Blank, " "), (Value, "b c"), (Blank, " ")]);
        check("A=", &[(Name, "A"), (Equals, "=")]);
        check("  \r", &[(Blank, "  \r")]);
        check("", &[]);
    }

    #[test]
    fn arguments() {
        use TokenKind::*;
        check(
            "cmd `a \"b\"` \"c d\"",
            &[(Word, "cmd"), (Blank, " "), (BackQuoted, "`a \"b\"`"), (Blank, " "), (DoubleQuoted, "\"c d\"")],
        );
        check("reg \"open ", &[(Word, "reg"), (Blank, " "), (DoubleQuoted, "\"open"), (Blank, " ")]);
        check("a\"b c", &[(Word, "a\"b"), (Blank, " "), (Word, "c")]);
        check("\"a\"b", &[(DoubleQuoted, "\"a\""), (Word, "b")]);
        check("file C:\\a=b x", &[(Word, "file"), (Blank, " "), (Word, "C:\\a=b"), (Blank, " "), (Word, "x")]);
    }

    #[test]
    fn an_overlong_line_is_one_token() {
        let line = "a ".repeat(LONGEST_LINE);
        check(&line, &[(TokenKind::Overlong, line.as_str())]);
    }
}
