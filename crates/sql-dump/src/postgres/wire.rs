//! PostgreSQL's protocol over a blocking socket: simple queries, and COPY in both directions.
//!
//! `postgres-protocol` has the messages and the password exchange. Its own clients (`postgres`, `tokio-postgres`) hand out COPY rows one
//! message at a time, each whole in memory, through a runtime. Here rows are handled where they lie in the receive buffer, and a row that is
//! larger than the buffer passes through it in pieces.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::authentication::{md5_hash, sasl};
use postgres_protocol::message::backend::{Header, Message};
use postgres_protocol::message::frontend;

use super::address::PostgresAddress;
use super::server_error::ServerError;
use crate::logical::LogicalError;

const BUFFER: usize = 256 * 1024;
const CONNECT_LIMIT: Duration = Duration::from_secs(15);

/// One connection.
pub(super) struct Wire {
    stream: Box<dyn Stream>,
    input: Vec<u8>,
    start: usize,
    end: usize,
    output: BytesMut,
}

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// Why a query did not do what it should.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Who takes the rows did not want them.
    #[error(transparent)]
    Consumer(#[from] LogicalError),
}

/// A part of what COPY delivers.
pub(super) enum Copied<'a> {
    /// A row with its line end.
    Row(&'a [u8]),
    /// A part of a row that is larger than the buffer.
    Piece(&'a [u8]),
    /// The end of that row, whose line end is in no piece.
    EndOfPieces,
}

impl Wire {
    pub(super) fn connect(address: &PostgresAddress) -> Result<Self, LogicalError> {
        let failed = |error: io::Error| LogicalError::Connect { to: address.to_string(), source: Box::new(error) };
        let stream = open(address).map_err(failed)?;
        let mut wire = Self { stream, input: vec![0; BUFFER], start: 0, end: 0, output: BytesMut::new() };
        wire.start_up(address).map_err(|error| match error {
            WireError::Server(error) if error.is_login() => {
                LogicalError::Denied { to: address.to_string(), source: Box::new(error) }
            }
            error => LogicalError::Connect { to: address.to_string(), source: Box::new(error) },
        })?;
        Ok(wire)
    }

    fn start_up(&mut self, address: &PostgresAddress) -> Result<(), WireError> {
        let parameters = [
            ("user", address.user.as_str()),
            ("database", address.database.as_str()),
            ("client_encoding", "UTF8"),
            ("application_name", "sitebackup"),
        ];
        frontend::startup_message(parameters, &mut self.output)?;
        self.flush()?;
        let password = address.password.reveal().as_bytes();
        loop {
            match self.message()? {
                Message::AuthenticationOk => {}
                Message::AuthenticationCleartextPassword => {
                    frontend::password_message(password, &mut self.output)?;
                    self.flush()?;
                }
                Message::AuthenticationMd5Password(body) => {
                    let hash = md5_hash(address.user.as_bytes(), password, body.salt());
                    frontend::password_message(hash.as_bytes(), &mut self.output)?;
                    self.flush()?;
                }
                Message::AuthenticationSasl(_) => self.scram(password)?,
                Message::ReadyForQuery(_) => return Ok(()),
                Message::ErrorResponse(body) => return Err(ServerError::read(&body).into()),
                Message::BackendKeyData(_) | Message::ParameterStatus(_) | Message::NoticeResponse(_) => {}
                _ => return Err(unexpected("a way to log in that this program knows")),
            }
        }
    }

    fn scram(&mut self, password: &[u8]) -> Result<(), WireError> {
        let mut scram = sasl::ScramSha256::new(password, sasl::ChannelBinding::unsupported());
        frontend::sasl_initial_response(sasl::SCRAM_SHA_256, scram.message(), &mut self.output)?;
        self.flush()?;
        match self.message()? {
            Message::AuthenticationSaslContinue(body) => scram.update(body.data())?,
            Message::ErrorResponse(body) => return Err(ServerError::read(&body).into()),
            _ => return Err(unexpected("SASL to go on")),
        }
        frontend::sasl_response(scram.message(), &mut self.output)?;
        self.flush()?;
        match self.message()? {
            Message::AuthenticationSaslFinal(body) => Ok(scram.finish(body.data())?),
            Message::ErrorResponse(body) => Err(ServerError::read(&body).into()),
            _ => Err(unexpected("the end of SASL")),
        }
    }

    /// Runs statements and returns the rows of all of them, every value as the server's text.
    pub(super) fn query(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>, WireError> {
        self.send_query(sql)?;
        let (mut rows, mut failure) = (Vec::new(), None);
        loop {
            match self.message()? {
                Message::DataRow(body) => rows.push(values(&body)?),
                Message::ErrorResponse(body) => failure = failure.or(Some(ServerError::read(&body))),
                Message::ReadyForQuery(_) => return failure.map_or(Ok(rows), |error| Err(error.into())),
                _ => {}
            }
        }
    }

    /// Runs `COPY … TO STDOUT` and hands on what comes. When `take` fails, the connection cannot be used any more.
    pub(super) fn copy_out(
        &mut self,
        sql: &str,
        mut take: impl FnMut(Copied<'_>) -> Result<(), LogicalError>,
    ) -> Result<(), WireError> {
        self.send_query(sql)?;
        let mut failure = None;
        loop {
            self.need(5)?;
            if self.input[self.start] == b'd' {
                self.copied(&mut take)?;
                continue;
            }
            match self.message()? {
                Message::ErrorResponse(body) => failure = failure.or(Some(ServerError::read(&body))),
                Message::ReadyForQuery(_) => return failure.map_or(Ok(()), |error| Err(error.into())),
                _ => {}
            }
        }
    }

    /// One message of COPY data, which is one row: handed on from the buffer, in pieces when it is larger than that.
    fn copied(&mut self, take: &mut impl FnMut(Copied<'_>) -> Result<(), LogicalError>) -> Result<(), WireError> {
        let length = self.header()?.len() as usize - 4;
        self.start += 5;
        if length <= BUFFER {
            self.need(length)?;
            take(Copied::Row(&self.input[self.start..self.start + length]))?;
            self.start += length;
            return Ok(());
        }
        let mut left = length;
        while left > 0 {
            self.need(1)?;
            let n = left.min(self.end - self.start);
            let line_end = usize::from(n == left);
            take(Copied::Piece(&self.input[self.start..self.start + n - line_end]))?;
            self.start += n;
            left -= n;
        }
        Ok(take(Copied::EndOfPieces)?)
    }

    /// Runs `COPY … FROM STDIN`. `give` returns the next block, an empty one at the end; when it fails, the server drops what came.
    pub(super) fn copy_in(
        &mut self,
        sql: &str,
        mut give: impl FnMut(&mut dyn FnMut(&[u8]) -> io::Result<()>) -> Result<bool, LogicalError>,
    ) -> Result<(), WireError> {
        self.send_query(sql)?;
        loop {
            match self.message()? {
                Message::CopyInResponse(_) => break,
                Message::ErrorResponse(body) => {
                    let error = ServerError::read(&body);
                    self.until_ready()?;
                    return Err(error.into());
                }
                _ => {}
            }
        }
        let given = loop {
            let mut sent = Ok(());
            let more = give(&mut |block| {
                sent = send_block(&mut self.stream, block);
                Ok(())
            });
            match (more, sent) {
                // The server closes after an error of its own: it has said why.
                (_, Err(error)) => return Err(self.last_words().map_or(WireError::Io(error), WireError::Server)),
                (Ok(true), _) => {}
                (Ok(false), _) => break Ok(()),
                (Err(error), _) => break Err(error),
            }
        };
        match &given {
            Ok(()) => frontend::copy_done(&mut self.output),
            Err(_) => frontend::copy_fail("the chunk is not what was dumped", &mut self.output)?,
        }
        self.flush()?;
        let ready = self.until_ready();
        given?;
        ready
    }

    /// Reads to the end of a statement; the error that came on the way.
    fn until_ready(&mut self) -> Result<(), WireError> {
        let mut failure = None;
        loop {
            match self.message()? {
                Message::ErrorResponse(body) => failure = failure.or(Some(ServerError::read(&body))),
                Message::ReadyForQuery(_) => return failure.map_or(Ok(()), |error| Err(error.into())),
                _ => {}
            }
        }
    }

    fn last_words(&mut self) -> Option<ServerError> {
        loop {
            match self.message().ok()? {
                Message::ErrorResponse(body) => return Some(ServerError::read(&body)),
                _ => continue,
            }
        }
    }

    fn send_query(&mut self, sql: &str) -> Result<(), WireError> {
        frontend::query(sql, &mut self.output)?;
        Ok(self.flush()?)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.output)?;
        self.output.clear();
        self.stream.flush()
    }

    fn header(&mut self) -> io::Result<Header> {
        self.need(5)?;
        let header = Header::parse(&self.input[self.start..self.end])?;
        header.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))
    }

    fn message(&mut self) -> Result<Message, WireError> {
        let total = self.header()?.len() as usize + 1;
        self.need(total)?;
        let mut bytes = BytesMut::from(&self.input[self.start..self.start + total]);
        self.start += total;
        if self.input.len() > BUFFER && self.start == self.end {
            (self.input, self.start, self.end) = (vec![0; BUFFER], 0, 0);
        }
        Message::parse(&mut bytes)?.ok_or_else(|| unexpected("a whole message"))
    }

    /// Reads until at least `wanted` bytes are in the buffer, which grows for one message that is larger, an error text say.
    fn need(&mut self, wanted: usize) -> io::Result<()> {
        while self.end - self.start < wanted {
            if self.start + wanted > self.input.len() || self.start == self.end {
                self.input.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.end - self.start);
                if wanted > self.input.len() {
                    self.input.resize(wanted, 0);
                }
            }
            match self.stream.read(&mut self.input[self.end..]) {
                Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection")),
                Ok(n) => self.end += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let mut goodbye = BytesMut::new();
        frontend::terminate(&mut goodbye);
        // The server notices an end without a goodbye too.
        let _ = self.stream.write_all(&goodbye);
    }
}

fn open(address: &PostgresAddress) -> io::Result<Box<dyn Stream>> {
    #[cfg(unix)]
    if address.host.starts_with('/') {
        let path = format!("{}/.s.PGSQL.{}", address.host, address.port);
        return Ok(Box::new(std::os::unix::net::UnixStream::connect(path)?));
    }
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for place in (address.host.as_str(), address.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&place, CONNECT_LIMIT) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(Box::new(stream));
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn send_block(stream: &mut Box<dyn Stream>, block: &[u8]) -> io::Result<()> {
    let length = u32::try_from(block.len() + 4).map_err(io::Error::other)?;
    let [a, b, c, d] = length.to_be_bytes();
    stream.write_all(&[b'd', a, b, c, d])?;
    stream.write_all(block)
}

fn values(body: &postgres_protocol::message::backend::DataRowBody) -> io::Result<Vec<Option<String>>> {
    use fallible_iterator::FallibleIterator;
    let buffer = body.buffer();
    let text = |range: std::ops::Range<usize>| String::from_utf8_lossy(&buffer[range]).into_owned();
    body.ranges().map(|range| Ok(range.map(text))).collect()
}

fn unexpected(what: &str) -> WireError {
    WireError::Io(io::Error::new(io::ErrorKind::InvalidData, format!("the server did not send {what}")))
}
