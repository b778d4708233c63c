//! Decisions that a person saves from the page into the folder of the served run.
//!
//! Any website can make a browser send requests to this server. So only a request with a token may save. The token is
//! in the answer to [`Review::offer`], and browsers do not let other websites read the answers of this server.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Bytes};
use serde_json::json;
use shared::cleaning::Decisions;
use shared::cleaning::share::LINKED;
use shared::corpus::span::Span;

use crate::run::{COMMAND, DECISIONS, REVIEWED};
use crate::{console, files};

/// Address of the review: GET returns the offer, POST saves.
pub const REVIEW: &str = "run/review";
/// Header of a request with the token.
pub const TOKEN: &str = "x-dynclean-token";
/// Largest number of bytes that are saved. A decision by hand has about 100.
const MOST_BYTES: usize = 64 << 20;
/// Longest time in which the decisions must arrive.
const PATIENCE: Duration = Duration::from_secs(60);

/// The right to save decisions.
pub struct Review {
    token: String,
}

impl Review {
    /// Creates a token that nobody can guess.
    pub fn new() -> Self {
        Self { token: format!("{:032x}", rand::random::<u128>()) }
    }

    /// Returns whether a request has the token.
    pub fn allows(&self, given: Option<&str>) -> bool {
        given == Some(&self.token)
    }

    /// Returns what the page must know, as JSON:
    /// - the token,
    /// - the file in which decisions are saved, and the command that trains on them,
    /// - the file that has the dynamics now, and its length, because the file grows while a run is at work,
    /// - the number of decisions by hand in the run's own decisions, if they are too many for an address, otherwise 0.
    pub fn offer(&self, run: &Path, dynamics: &str) -> String {
        let file = run.join(REVIEWED);
        let file = file.to_string_lossy();
        let command = command(run).map(|command| format!("{command} --decisions {}", console::quoted(&file)));
        let length = plain(run, dynamics).and_then(|file| file.metadata().ok()).map_or(0, |metadata| metadata.len());
        let decisions = plain(run, DECISIONS).and_then(|file| std::fs::read(file).ok());
        let decisions = decisions.and_then(|json| serde_json::from_slice::<Decisions>(&json).ok());
        let by_hand = decisions.map_or(0, |decisions| decisions.overrides.len());
        json!({
            "token": self.token,
            "file": file,
            "command": command,
            "dynamics": dynamics,
            "length": length,
            "by_hand": if by_hand > LINKED { by_hand } else { 0 },
        })
        .to_string()
    }
}

/// Returns the path of a file of the run. Returns `None` for a link, because a link may lead anywhere.
fn plain(run: &Path, name: &str) -> Option<PathBuf> {
    let path = run.join(name);
    path.symlink_metadata().is_ok_and(|metadata| metadata.is_file()).then_some(path)
}

/// Returns the command that made the run. A folder may come from a stranger, and a person will paste the command into a
/// shell. So only a single line that begins with the program, without special characters of shells, is returned.
fn command(run: &Path) -> Option<String> {
    let text = std::fs::read_to_string(plain(run, COMMAND)?).ok()?;
    let command = text.trim();
    let is_usual =
        command.starts_with("trainer run ") && !command.contains(|c: char| c.is_control() || ";|&`$<>".contains(c));
    is_usual.then(|| command.to_owned())
}

/// Reads the body of a request, up to the largest size.
///
/// # Errors
/// When the body is larger or takes too long, or the connection ends.
pub async fn body<B>(body: B) -> Result<Bytes>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let whole = Limited::new(body, MOST_BYTES).collect();
    match tokio::time::timeout(PATIENCE, whole).await {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) => Err(anyhow::Error::from_boxed(error)).context("the decisions did not arrive"),
        Err(_) => bail!("the decisions did not arrive in time"),
    }
}

/// Saves decisions about the dynamics with this digest. An earlier version may decide about spans that the new one
/// leaves open. That version is then kept under a name with a number, because it may be another person's.
///
/// # Errors
/// When they are about other dynamics, or cannot be written.
pub fn save(json: &[u8], digest: &str, run: &Path) -> Result<()> {
    let new = Decisions::read(json, digest)?;
    let file = run.join(REVIEWED);
    if file.symlink_metadata().is_ok() {
        let there = plain(run, REVIEWED).with_context(|| format!("{} is no file: move it away", file.display()))?;
        let earlier = std::fs::read(&there).with_context(|| format!("cannot read {}", file.display()))?;
        let decided: BTreeSet<Span> = new.overrides.iter().map(|&(span, _)| span).collect();
        let is_in_new = |earlier: Decisions| earlier.overrides.iter().all(|(span, _)| decided.contains(span));
        if !Decisions::read(&earlier, digest).is_ok_and(is_in_new) {
            files::write_whole(&free_name(run), earlier)?;
        }
    }
    files::write_whole(&file, json)
}

/// Returns the first of `reviewed-1.json`, `reviewed-2.json`, … that does not exist.
fn free_name(run: &Path) -> PathBuf {
    let stem = REVIEWED.trim_end_matches(".json");
    let mut names = (1..).map(|n: u64| run.join(format!("{stem}-{n}.json")));
    // There are always more numbers than files in a folder, so a free name is found.
    names.find(|name| name.symlink_metadata().is_err()).unwrap_or_else(|| run.join(REVIEWED))
}
