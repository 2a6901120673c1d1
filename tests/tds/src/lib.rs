//! A scripted server that speaks TDS 7.4, the protocol of SQL Server, as far as the tests of its clients need it.
//!
//! It logs in, reads batches, answers each with what the test's [`Script`] says, and records what it heard. It knows no SQL:
//! what SQL Server itself does is not proven by it. It refuses encryption (a client says `Encrypt=no`) and remote procedure
//! calls (no client here binds parameters).

mod heard;
mod login;
mod script;
mod session;
mod tokens;
mod types;
mod values;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use heard::Heard;
pub use heard::{Event, Gate};
pub use script::{Script, Step, done, error, info, more, table};
pub use types::{Column, Type};
pub use values::Value;

/// A server on a free port of the loopback address, until it is dropped.
#[derive(Debug)]
pub struct TdsServer {
    address: SocketAddr,
    heard: Arc<Heard>,
}

impl TdsServer {
    /// Listens, and answers as `script` says.
    pub fn start(script: Script) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let heard = Arc::new(Heard::default());
        let (shared, script) = (Arc::clone(&heard), Arc::new(script));
        thread::spawn(move || serve(&listener, &script, &shared));
        Ok(Self { address, heard })
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// All that was heard so far, in order.
    pub fn heard(&self) -> Vec<Event> {
        self.heard.all()
    }

    /// The batches heard so far, without those that drivers send of their own accord.
    pub fn batches(&self) -> Vec<String> {
        let own = |event| if let Event::Batch { sql, .. } = event { Some(sql) } else { None };
        self.heard().into_iter().filter_map(own).filter(|sql| !script::is_a_drivers(sql)).collect()
    }

    /// How many times a client asked to stop what it had begun.
    pub fn attentions(&self) -> usize {
        self.heard().iter().filter(|event| matches!(event, Event::Attention { .. })).count()
    }

    /// Waits until something heard satisfies `wanted`; false after ten seconds without it.
    pub fn wait_for(&self, wanted: impl Fn(&Event) -> bool) -> bool {
        self.heard.wait_for(|events| events.iter().any(&wanted))
    }

    /// A step of a script waits at a gate until it is opened here, or until the client asks to stop.
    pub fn open(&self, gate: Gate) {
        self.heard.open(gate);
    }
}

impl Drop for TdsServer {
    fn drop(&mut self) {
        self.heard.close();
        // Wakes the listener, so that it sees that it is over. When that fails it is over already.
        drop(TcpStream::connect(self.address));
    }
}

fn serve(listener: &TcpListener, script: &Arc<Script>, heard: &Arc<Heard>) {
    for (session, stream) in (51u16..).zip(listener.incoming()) {
        let Ok(stream) = stream else { continue };
        if heard.is_closed() {
            return;
        }
        let (script, heard) = (Arc::clone(script), Arc::clone(heard));
        // A session ends with an error when its client goes away; what it said until then is recorded.
        thread::spawn(move || session::run(session, stream, &script, &heard));
    }
}
