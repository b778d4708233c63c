//! Where bytes come from: a file on the user's disk, or what was fetched. Both are read part by part, and the
//! browser holds what is not in use.

use std::ops::Range;

use js_sys::{Array, ArrayBuffer, Promise, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::Blob;

/// Bytes of a part where a file is read from front to back.
const PIECE: u64 = 4 << 20;

/// Reading a file larger than this takes long enough to be told how far it is.
const LARGE: u64 = 100 << 20;

/// Something to read.
#[derive(Clone)]
pub struct Source(Blob);

impl Source {
    pub fn new(blob: Blob) -> Self {
        Self(blob)
    }

    /// In bytes.
    pub fn size(&self) -> u64 {
        self.0.size() as u64
    }

    /// Whether reading it takes long.
    pub fn is_large(&self) -> bool {
        self.size() > LARGE
    }

    /// Asks the browser for parts, which it reads while other work goes on.
    pub fn ask(&self, parts: &[Range<u64>]) -> Asked {
        let buffers: Array = parts
            .iter()
            .map(|part| match self.0.slice_with_f64_and_f64(part.start as f64, part.end as f64) {
                Ok(slice) => slice.array_buffer(),
                Err(error) => Promise::reject(&error),
            })
            .collect();
        Asked(JsFuture::from(Promise::all(&buffers)))
    }

    /// The first `n` bytes, or as many as there are.
    pub async fn first(&self, n: u64) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        self.ask(std::slice::from_ref(&(0..n.min(self.size())))).get(&mut bytes).await?;
        Ok(bytes)
    }

    /// Gives all bytes, piece by piece, to `take`, with the share of them that has been given before.
    pub async fn all(&self, mut take: impl FnMut(&[u8], f32) -> Result<(), String>) -> Result<(), String> {
        let mut taken = 0;
        let mut piece = Vec::new();
        let mut ends = (0..self.size()).step_by(PIECE as usize).map(|start| start..(start + PIECE).min(self.size()));
        let mut due = ends.next().map(|part| self.ask(&[part]));
        while let Some(asked) = due {
            due = ends.next().map(|part| self.ask(&[part]));
            asked.get(&mut piece).await?;
            take(&piece, taken as f32 / self.size() as f32)?;
            taken += piece.len() as u64;
        }
        Ok(())
    }
}

/// Parts on their way.
pub struct Asked(JsFuture);

impl Asked {
    /// Their bytes, one after the other, in place of what `bytes` holds.
    pub async fn get(self, bytes: &mut Vec<u8>) -> Result<(), String> {
        let buffers = self.0.await.map_err(|error| {
            let reason = error.dyn_ref::<js_sys::Error>().map_or_else(|| format!("{error:?}"), |e| e.message().into());
            format!("the browser cannot read the file ({reason}): was it changed or moved? Choose it again")
        })?;
        let parts = buffers.unchecked_into::<Array>();
        let parts = || parts.iter().map(|buffer| Uint8Array::new(buffer.unchecked_ref::<ArrayBuffer>()));
        // At once: growing part by part would leave holes in the memory.
        bytes.clear();
        bytes.resize(parts().map(|part| part.length() as usize).sum(), 0);
        let mut rest = bytes.as_mut_slice();
        for part in parts() {
            let (own, others) = rest.split_at_mut(part.length() as usize);
            part.copy_to(own);
            rest = others;
        }
        Ok(())
    }
}
