//! Decisions that a person saves from the page into the folder of the served run.
//!
//! A browser sends what it is told by any website, also to this server. So only who could read the answer to
//! [`Review::offer`] may save: it has a token, and browsers keep the answers of a server from other websites.

use std::path::Path;

use anyhow::{Context, Result};
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Bytes};
use serde_json::json;
use shared::cleaning::Decisions;

use crate::run::{COMMAND, REVIEWED};
use crate::{console, files};

/// Address of the review: GET returns the offer, POST saves.
pub const REVIEW: &str = "run/review";
/// Header of a request with the token.
pub const TOKEN: &str = "x-dynclean-token";
/// Largest number of bytes that are saved. A decision by hand has about 100.
const MOST_BYTES: usize = 1 << 30;

/// The right to save decisions.
pub struct Review {
    token: String,
}

impl Review {
    /// A token that nobody can guess.
    pub fn new() -> Self {
        Self { token: format!("{:032x}", rand::random::<u128>()) }
    }

    /// Returns whether a request has the token.
    pub fn allows(&self, given: Option<&str>) -> bool {
        given == Some(&self.token)
    }

    /// What the page must know: the token, the command that trains on what it saves, and which file has the dynamics
    /// now, with its length. The file of a run that is at work grows.
    pub fn offer(&self, run: &Path, dynamics: &str) -> String {
        let made_by = std::fs::read_to_string(run.join(COMMAND)).ok();
        let decisions = console::quoted(&run.join(REVIEWED).to_string_lossy());
        let command = made_by.map(|command| format!("{} --decisions {decisions}", command.trim()));
        let length = run.join(dynamics).metadata().map_or(0, |metadata| metadata.len());
        let file = run.join(REVIEWED);
        json!({ "token": self.token, "file": file, "command": command, "dynamics": dynamics, "length": length })
            .to_string()
    }
}

/// Reads the body of a request, up to the largest size.
///
/// # Errors
/// When it is larger, or the connection ends.
pub async fn body<B>(body: B) -> Result<Bytes>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match Limited::new(body, MOST_BYTES).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) => Err(anyhow::Error::from_boxed(error)).context("the decisions did not arrive"),
    }
}

/// Saves decisions about the dynamics with this digest.
///
/// # Errors
/// When they are about other dynamics, or cannot be written.
pub fn save(json: &[u8], digest: &str, run: &Path) -> Result<()> {
    Decisions::read(json, digest)?;
    files::write_whole(&run.join(REVIEWED), json)
}
