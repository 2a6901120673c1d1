//! What the documents share: text of any encoding, elements one by one within limits, attributes, and writing both.
//!
//! All that these documents say stands in attributes; text between elements is passed over.

use std::borrow::Cow;

use quick_xml::escape::escape;
use quick_xml::events::attributes::Attr;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use uuid::Uuid;

/// Why a document cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// It is not text.
    #[error("the document is not {0}")]
    Encoding(&'static str),
    /// It is not well-formed XML.
    #[error("the document is not well-formed near byte {position}")]
    Xml {
        /// Where, in its text as UTF-8.
        position: u64,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It ends too early.
    #[error("the document ends inside an element")]
    Truncated,
    /// It is another document.
    #[error("the document is not a {0} document")]
    Other(&'static str),
    /// It is larger than what is read.
    #[error("the document has more than {limit} {what}")]
    Limit {
        /// The limit.
        limit: usize,
        /// What it is a number of.
        what: &'static str,
    },
}

/// What a document may have at most.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) bytes: usize,
    pub(crate) levels: usize,
    /// In one element: each is compared with all others.
    pub(crate) attributes: usize,
    /// Of a value, as it is meant.
    pub(crate) value: usize,
    /// Writers and components together.
    pub(crate) components: usize,
    /// Lists of files to back up or to leave out.
    pub(crate) files: usize,
}

impl Default for Limits {
    /// Room for fifty of the largest documents seen, a System Writer's: 2.2 MB with 19,000 lists of files, in four levels. The longest path
    /// of Windows takes 96 KiB.
    fn default() -> Self {
        Self { bytes: 64 << 20, levels: 64, attributes: 64, value: 128 << 10, components: 100_000, files: 1_000_000 }
    }
}

fn within(count: usize, limit: usize, what: &'static str) -> Result<(), DocumentError> {
    if count > limit { Err(DocumentError::Limit { limit, what }) } else { Ok(()) }
}

/// The text of a document, whatever its declaration says of the encoding: that may be from before it was converted.
pub(super) fn decode(bytes: &[u8], limits: Limits) -> Result<Cow<'_, str>, DocumentError> {
    within(bytes.len(), limits.bytes, "bytes")?;
    match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] | rest => match std::str::from_utf8(rest) {
            Ok(text) => Ok(text.into()),
            Err(_) => Err(DocumentError::Encoding("UTF-8")),
        },
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<Cow<'_, str>, DocumentError> {
    let (units, []) = bytes.as_chunks() else { return Err(DocumentError::Encoding("UTF-16")) };
    let units = units.iter().map(|bytes| unit(*bytes));
    let text: Result<String, _> = char::decode_utf16(units).collect();
    text.map(Cow::Owned).map_err(|_| DocumentError::Encoding("UTF-16"))
}

/// The elements of a document, one by one.
pub(super) struct Elements<'a> {
    reader: Reader<&'a [u8]>,
    limits: Limits,
    level: usize,
    components: usize,
    files: usize,
}

impl<'a> Elements<'a> {
    /// The root of a document and what stands in it.
    pub(super) fn of(
        text: &'a str,
        root: &str,
        kind: &'static str,
        limits: Limits,
    ) -> Result<(Element<'a>, Self), DocumentError> {
        let mut reader = Reader::from_str(text);
        reader.config_mut().expand_empty_elements = true;
        let mut elements = Self { reader, limits, level: 0, components: 0, files: 0 };
        match elements.child(0)? {
            Some(element) if element.name() == root => Ok((element, elements)),
            _ => Err(DocumentError::Other(kind)),
        }
    }

    /// The next element directly in the open one of `level`; `None` at that one's end. What was not asked for is passed over with
    /// all that is in it.
    pub(super) fn child(&mut self, level: usize) -> Result<Option<Element<'a>>, DocumentError> {
        loop {
            let event = self.reader.read_event();
            let position = self.reader.buffer_position();
            match event.map_err(|error| DocumentError::Xml { position, source: error.into() })? {
                Event::Start(start) => {
                    self.level += 1;
                    within(self.level, self.limits.levels, "levels of elements")?;
                    if self.level == level + 1 {
                        return Ok(Some(Element { start, position, limits: self.limits }));
                    }
                }
                Event::End(_) => {
                    self.level -= 1;
                    if self.level < level {
                        return Ok(None);
                    }
                }
                Event::Eof if self.level == 0 => return Ok(None),
                Event::Eof => return Err(DocumentError::Truncated),
                _ => {}
            }
        }
    }

    /// Counts a writer or a component.
    pub(super) fn component(&mut self) -> Result<(), DocumentError> {
        self.components += 1;
        within(self.components, self.limits.components, "writers and components")
    }

    /// Counts a list of files.
    pub(super) fn files(&mut self) -> Result<(), DocumentError> {
        self.files += 1;
        within(self.files, self.limits.files, "lists of files")
    }
}

/// An element without what stands in it.
pub(super) struct Element<'a> {
    start: BytesStart<'a>,
    position: u64,
    limits: Limits,
}

impl Element<'_> {
    /// Its name without a prefix.
    pub(super) fn name(&self) -> &str {
        self.start.local_name().into_inner()
    }

    /// Its attributes, by their names as they stand: those with a prefix are nobody's here.
    pub(super) fn attributes(&self) -> Result<Attributes<'_>, DocumentError> {
        let broken = |error: quick_xml::Error| DocumentError::Xml { position: self.position, source: error.into() };
        let mut found = Vec::new();
        for attribute in self.start.attributes() {
            within(found.len() + 1, self.limits.attributes, "attributes in an element")?;
            let attribute = attribute.map_err(|error| broken(error.into()))?;
            let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(broken)?;
            within(value.len(), self.limits.value, "bytes in an attribute")?;
            found.push((attribute.key.into_inner(), value));
        }
        Ok(Attributes(found))
    }
}

/// The attributes of an element.
pub(super) struct Attributes<'a>(Vec<(&'a str, Cow<'a, str>)>);

impl Attributes<'_> {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| &**value)
    }

    /// The value, empty where there is none.
    pub(super) fn text(&self, name: &str) -> String {
        self.get(name).unwrap_or_default().to_owned()
    }

    /// Whether the value says yes.
    pub(super) fn yes(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.trim().eq_ignore_ascii_case("yes"))
    }

    pub(super) fn number(&self, name: &str) -> u32 {
        self.get(name).and_then(|value| value.trim().parse().ok()).unwrap_or_default()
    }

    pub(super) fn id(&self, name: &str) -> Option<Uuid> {
        Uuid::try_parse(self.get(name)?.trim().trim_start_matches('{').trim_end_matches('}')).ok()
    }
}

/// A tag to write. Characters that XML cannot hold become U+FFFD.
pub(super) struct Tag(BytesStart<'static>);

impl Tag {
    pub(super) fn new(name: &'static str) -> Self {
        Self(BytesStart::new(name))
    }

    /// The tag with one more attribute.
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        let legal =
            |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
        let value: String = value.chars().map(|c| if legal(c) { c } else { char::REPLACEMENT_CHARACTER }).collect();
        // A reader makes spaces of tabs and line ends in attributes unless they are written as references.
        let value = escape(value).replace('\t', "&#9;").replace('\n', "&#10;");
        self.0.push_attribute(Attr::DoubleQ(name, value.as_str()));
        self
    }

    /// The tag with one more attribute, where it has a value.
    pub(super) fn with_some(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    pub(super) fn with_flag(self, name: &str, value: bool) -> Self {
        self.with(name, if value { "yes" } else { "no" })
    }
}

/// A document to write, an element a line.
pub(super) struct XmlWriter {
    text: String,
    open: Vec<String>,
}

impl XmlWriter {
    pub(super) fn new(root: Tag) -> Self {
        let mut xml = Self { text: "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned(), open: Vec::new() };
        xml.open(root);
        xml
    }

    /// Begins an element that others stand in.
    pub(super) fn open(&mut self, tag: Tag) {
        self.line(&["<", &tag.0, ">"]);
        self.open.push(tag.0.name().into_inner().to_owned());
    }

    /// Writes an element that nothing stands in.
    pub(super) fn empty(&mut self, tag: Tag) {
        self.line(&["<", &tag.0, "/>"]);
    }

    /// Ends the element that was begun last.
    pub(super) fn close(&mut self) {
        if let Some(name) = self.open.pop() {
            self.line(&["</", &name, ">"]);
        }
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        while !self.open.is_empty() {
            self.close();
        }
        self.text.into_bytes()
    }

    fn line(&mut self, parts: &[&str]) {
        self.text.extend(self.open.iter().map(|_| "  "));
        self.text.extend(parts.iter().copied());
        self.text.push('\n');
    }
}
