//! The database of a server, written to by a stock client that stays connected.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::site::SampleSite;

/// Names the client, in the control folder: `{"program": "…", "args": ["…"], "env": {"NAME": "value"}}`.
pub(crate) const CLIENT_FILE: &str = "database-client.json";

/// A client that answers with a line for each number.
#[derive(Debug)]
pub(super) struct Client {
    child: Child,
    input: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Client {
    /// The client that the site's control folder names, started; `None` where the site database is a file.
    pub(super) fn find(site: &SampleSite) -> io::Result<Option<Self>> {
        let text = match fs::read(site.control_dir().join(CLIENT_FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        let client: Value = serde_json::from_slice(&text)?;
        let mut command = Command::new(client["program"].as_str().unwrap_or_default());
        let args = client["args"].as_array().into_iter().flatten();
        command.args(args.filter_map(Value::as_str));
        let env = client["env"].as_object().into_iter().flatten();
        command.envs(env.filter_map(|(name, value)| Some((name, value.as_str()?))));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("it is piped"));
        Ok(Some(Self { child, input, answers }))
    }

    pub(super) fn commit(&mut self, number: u64) -> io::Result<()> {
        let input = self.input.as_mut().expect("only drop takes it");
        writeln!(input, "UPDATE workload SET counter = {number};\nSELECT 'number {number}';")?;
        input.flush()?;
        let (mut answer, expected) = (String::new(), format!("number {number}"));
        while answer.trim() != expected {
            answer.clear();
            if self.answers.read_line(&mut answer)? == 0 {
                return Err(io::Error::other("the database's client has ended"));
            }
        }
        Ok(())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // It ends with its input.
        drop(self.input.take());
        let _ = self.child.wait();
    }
}
