//! One client: packets in, the script's steps out.
//!
//! A thread of its own reads, for a client may ask to stop while the answer is being given.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use crate::heard::{Event, Gate, Heard};
use crate::login::{self, Login};
use crate::script::{Script, Step};
use crate::tokens::{self, ATTENTION, COUNT, ERROR, MORE, SEVERE};

const BATCH: u8 = 1;
const PROCEDURE: u8 = 3;
const ANSWER: u8 = 4;
const ATTENTION_PACKET: u8 = 6;
const TRANSACTION: u8 = 14;
const LOGIN7: u8 = 16;
const PRELOGIN: u8 = 18;
const LAST: u8 = 1;
const PACKET: usize = 4096;
const HEAD: usize = 8;

struct Session<'a> {
    number: u16,
    stream: TcpStream,
    script: &'a Script,
    heard: &'a Heard,
    waiting: Vec<u8>,
    /// Attentions that were answered.
    answered: usize,
}

pub(crate) fn run(number: u16, stream: TcpStream, script: &Script, heard: &Heard) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (sender, receiver) = channel();
    let reader = stream.try_clone()?;
    thread::scope(|scope| {
        scope.spawn(move || {
            // The client went away; what it said is recorded.
            let _gone = read(number, reader, &sender, heard);
            heard.record(Event::Gone { session: number });
        });
        let mut session = Session { number, stream, script, heard, waiting: Vec::new(), answered: 0 };
        let result = session.talk(&receiver);
        session.stream.shutdown(Shutdown::Both).and(result)
    })
}

/// Puts packets together to messages and hands them on; attentions are recorded at once.
fn read(number: u16, mut stream: TcpStream, sender: &Sender<(u8, Vec<u8>)>, heard: &Heard) -> io::Result<()> {
    let mut message = Vec::new();
    loop {
        let mut head = [0; HEAD];
        stream.read_exact(&mut head)?;
        let mut body = vec![0; usize::from(u16::from_be_bytes([head[2], head[3]])).saturating_sub(HEAD)];
        stream.read_exact(&mut body)?;
        message.append(&mut body);
        if head[1] & LAST == 0 {
            continue;
        }
        if head[0] == ATTENTION_PACKET {
            heard.record(Event::Attention { session: number });
        }
        if sender.send((head[0], std::mem::take(&mut message))).is_err() {
            return Ok(());
        }
    }
}

impl Session<'_> {
    fn talk(&mut self, messages: &Receiver<(u8, Vec<u8>)>) -> io::Result<()> {
        for (kind, body) in messages {
            match kind {
                PRELOGIN => self.say(&login::prelogin()),
                LOGIN7 if !self.log_in(&body) => return self.end(),
                LOGIN7 => {}
                BATCH => {
                    let sql = batch_text(&body);
                    self.heard.record(Event::Batch { session: self.number, sql: sql.clone() });
                    if !self.play(self.script.answer(&sql))? {
                        return Ok(());
                    }
                }
                PROCEDURE => {
                    self.heard.record(Event::Procedure { session: self.number });
                    self.say(&tokens::message(50001, SEVERE, "this server knows no procedures"));
                    self.say(&tokens::done(ERROR, 0));
                }
                TRANSACTION => self.say(&tokens::done(0, 0)),
                // One that was seen while its batch was answered has its answer.
                ATTENTION_PACKET if !self.is_asked_to_stop() => continue,
                ATTENTION_PACKET => self.stop(),
                _ => return Ok(()),
            }
            self.end()?;
        }
        Ok(())
    }

    fn log_in(&mut self, body: &[u8]) -> bool {
        let Some(login) = login::login7(body) else { return false };
        let taken = self.script.takes(&login.password);
        if taken {
            let database = if login.database.is_empty() { "master" } else { &login.database };
            self.say(&tokens::login_ack(database));
        } else {
            let text = format!("Login failed for user '{}'.", login.user);
            self.say(&tokens::message(18456, 14, &text));
            self.say(&tokens::done(ERROR, 0));
        }
        let Login { user, program, database, .. } = login;
        self.heard.record(Event::Login { session: self.number, user, database, program });
        taken
    }

    /// Does the steps of an answer; false when the connection was cut.
    fn play(&mut self, steps: Vec<Step>) -> io::Result<bool> {
        let (mut count, mut failed) = (None, false);
        for step in steps {
            if self.is_asked_to_stop() {
                self.stop();
                return Ok(true);
            }
            match step {
                Step::Info { number, text } => self.say(&tokens::message(number, 0, &text)),
                Step::Error { number, text } => {
                    failed = true;
                    self.say(&tokens::message(number, SEVERE, &text));
                }
                Step::Table { columns, rows, compressed } => {
                    self.say(&tokens::columns(&columns));
                    for row in &rows {
                        self.say(&tokens::row(&columns, row, compressed));
                    }
                    count = Some(rows.len() as u64);
                }
                Step::More | Step::Done => {
                    let more = if matches!(step, Step::More) { MORE } else { 0 };
                    let error = if std::mem::take(&mut failed) { ERROR } else { 0 };
                    let counted = if count.is_some() { COUNT } else { 0 };
                    self.say(&tokens::done(more | error | counted, count.take().unwrap_or(0)));
                    if more != 0 {
                        self.flush()?;
                    }
                }
                Step::Flush => self.flush()?,
                Step::Wait(gate) => self.wait(Some(gate))?,
                Step::WaitForAttention => self.wait(None)?,
                Step::Drop => {
                    self.flush()?;
                    return Ok(false);
                }
            }
        }
        if self.is_asked_to_stop() {
            self.stop();
        }
        Ok(true)
    }

    fn wait(&mut self, gate: Option<Gate>) -> io::Result<()> {
        self.flush()?;
        self.heard.pass(gate, self.number, self.answered);
        Ok(())
    }

    fn is_asked_to_stop(&self) -> bool {
        self.heard.attentions(self.number) > self.answered
    }

    fn stop(&mut self) {
        self.answered += 1;
        self.say(&tokens::done(ATTENTION, 0));
    }

    fn say(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
    }

    /// Sends what waits, as a part of an answer that goes on.
    fn flush(&mut self) -> io::Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        waiting.chunks(PACKET - HEAD).try_for_each(|part| self.send(part, 0))
    }

    /// Sends what waits, as the end of an answer.
    fn end(&mut self) -> io::Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        let mut parts = waiting.chunks(PACKET - HEAD).peekable();
        if parts.peek().is_none() {
            return self.send(&[], LAST);
        }
        while let Some(part) = parts.next() {
            self.send(part, if parts.peek().is_none() { LAST } else { 0 })?;
        }
        Ok(())
    }

    fn send(&mut self, part: &[u8], status: u8) -> io::Result<()> {
        let length = u16::try_from(part.len() + HEAD).expect("a packet is short").to_be_bytes();
        let head = [ANSWER, status, length[0], length[1], 0, 0, 1, 0];
        self.stream.write_all(&[&head, part].concat())
    }
}

/// The text after the headers, which say their own length.
fn batch_text(body: &[u8]) -> String {
    let head = body.first_chunk::<4>().map_or(0, |length| u32::from_le_bytes(*length) as usize);
    let units = body.get(head..).unwrap_or_default().chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    String::from_utf16_lossy(&units.collect::<Vec<_>>())
}
