//! Downloads encoders ahead of time.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::architecture::Architecture;
use super::{EncoderSpec, Pretrained};
use crate::data::hub::layout::{BYTE_PAIRS, CONFIG, SETTINGS, TOKENIZER, WEIGHTS, WORD_PIECES};
use crate::data::hub::{Hub, ModelId};
use crate::files::copy_whole;

/// Downloads a model that is not in the cache, and copies it to `out` if that is given. Returns the folder to use as
/// encoder.
///
/// # Errors
/// When the hub cannot be reached or does not have the model, the model cannot be used as an encoder, or a file cannot
/// be written.
pub fn fetch(hub: &Hub, model: &str, out: Option<&Path>) -> Result<PathBuf> {
    let id = ModelId::parse(model).with_context(|| {
        format!("{model:?} is no model id; one is NAME or ORGANISATION/NAME, with @REVISION if need be")
    })?;
    let folder = hub.folder(&id, |folder| Architecture::open(folder).map(drop))?;
    // Find out now whether the model can be used, and not later on a machine without a network.
    let opened = Pretrained::open(&folder).map(|spec| EncoderSpec::Pretrained(Box::new(spec)));
    opened.and_then(|spec| spec.check_weights()).with_context(|| format!("encoder {id}"))?;
    let Some(out) = out else { return Ok(folder) };
    let weights = WEIGHTS.into_iter().find(|name| folder.join(name).is_file());
    let small = [CONFIG, TOKENIZER, SETTINGS, WORD_PIECES].into_iter().chain(BYTE_PAIRS);
    // Copy the weights last: a folder that has them is complete.
    for name in small.chain(weights).filter(|name| folder.join(name).is_file()) {
        copy_whole(&folder.join(name), &out.join(name))?;
    }
    Ok(out.to_owned())
}
