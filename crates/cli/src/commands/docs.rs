//! `docs`, `completions` and `man`: pages made from the code.

use std::fs;
use std::path::Path;

use clap::CommandFactory;
use serde_json::json;

use crate::args::Cli;
use crate::docs::PAGES;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Answer;

/// Writes the generated pages of docs/.
pub(super) fn write(dir: &Path) -> Result<Answer, CommandError> {
    let mut text = String::new();
    for (name, page) in PAGES {
        let path = dir.join(name);
        fs::write(&path, page()).map_err(|error| CommandError::io(Exit::UNEXPECTED, "write", &path, error))?;
        text.push_str(&format!("{}\n", path.display()));
    }
    Ok(Answer::new(text, json!({})))
}

pub(super) fn completions(shell: clap_complete::Shell) -> Answer {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "sitebackup", &mut script);
    text_answer(script)
}

pub(super) fn man() -> Result<Answer, CommandError> {
    let mut page = Vec::new();
    let rendered = clap_mangen::Man::new(Cli::command()).render(&mut page);
    rendered.map_err(|error| CommandError::new(Exit::UNEXPECTED, error))?;
    Ok(text_answer(page))
}

fn text_answer(text: Vec<u8>) -> Answer {
    let result = json!({ "text": String::from_utf8_lossy(&text) });
    Answer::new(text, result)
}
