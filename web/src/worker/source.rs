//! Sources of bytes: a file on the user's disk, or a fetched file. Both are read part by part. The browser holds
//! the parts that are not in use.

use std::cell::RefCell;
use std::ops::Range;

use js_sys::{Array, ArrayBuffer, Promise, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::Blob;

use crate::error::in_words;

/// Bytes of a part when a file is read from start to end. Smaller parts take longer: the browser needs some
/// milliseconds for each.
const PIECE: u64 = 16 << 20;

/// Bytes that are passed on at once: few enough to stay in the cache of the CPU.
const CHUNK: usize = 256 << 10;

/// A larger file takes so long to read that progress is reported.
const LARGE: u64 = 100 << 20;

/// A file of at most so many bytes is held between two readings. Asking the browser for it again would take a fifth of
/// the time of opening.
const HELD: u64 = 512 << 20;

/// A file that can be read in parts.
pub struct Source {
    blob: Blob,
    /// The whole file in parts of [`PIECE`] bytes, as long as it is held.
    held: RefCell<Vec<Uint8Array>>,
}

impl Source {
    pub fn new(blob: Blob) -> Self {
        Self { blob, held: RefCell::default() }
    }

    /// Returns the size in bytes.
    pub fn size(&self) -> u64 {
        self.blob.size() as u64
    }

    /// Returns whether reading the file takes long.
    pub fn is_large(&self) -> bool {
        self.size() > LARGE
    }

    /// Returns whether the whole file is in memory.
    pub fn is_held(&self) -> bool {
        !self.held.borrow().is_empty()
    }

    /// Asks the browser for parts. It reads them while other work goes on.
    pub fn ask(&self, parts: &[Range<u64>]) -> Asked {
        let held = self.held.borrow();
        if !held.is_empty() {
            return Asked::Held(parts.iter().flat_map(|part| of_held(&held, part)).collect());
        }
        let buffers: Array = parts
            .iter()
            .map(|part| match self.blob.slice_with_f64_and_f64(part.start as f64, part.end as f64) {
                Ok(slice) => slice.array_buffer(),
                Err(error) => Promise::reject(&error),
            })
            .collect();
        Asked::Due(JsFuture::from(Promise::all(&buffers)))
    }

    /// Releases the parts that [`Source::all`] holds.
    pub fn let_go(&self) {
        self.held.take();
    }

    /// Returns the first `n` bytes, or all bytes if there are fewer.
    pub async fn first(&self, n: u64) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        self.ask(std::slice::from_ref(&(0..n.min(self.size())))).get(&mut bytes).await?;
        Ok(bytes)
    }

    /// Passes all bytes to `take`, part by part. The second argument is the share of the file that was passed
    /// before. A file that is not too large is held from then on.
    pub async fn all(&self, mut take: impl FnMut(&[u8], f32) -> Result<(), String>) -> Result<(), String> {
        let mut taken = 0;
        let mut chunk = Vec::new();
        let mut ends = (0..self.size()).step_by(PIECE as usize).map(|start| start..(start + PIECE).min(self.size()));
        let mut due = ends.next().map(|part| self.ask(&[part]));
        let mut held = Vec::new();
        while let Some(asked) = due {
            due = ends.next().map(|part| self.ask(&[part]));
            let parts = asked.parts().await?;
            for part in &parts {
                for start in (0..part.length()).step_by(CHUNK) {
                    copy(&[part.subarray(start, start + CHUNK as u32)], &mut chunk);
                    take(&chunk, taken as f32 / self.size() as f32)?;
                    taken += chunk.len() as u64;
                }
            }
            if self.size() <= HELD {
                held.extend(parts);
            }
        }
        self.held.replace(held);
        Ok(())
    }
}

/// Returns the held bytes of a part of the file.
fn of_held(held: &[Uint8Array], part: &Range<u64>) -> impl Iterator<Item = Uint8Array> {
    let pieces = held.get((part.start / PIECE) as usize..part.end.div_ceil(PIECE) as usize).unwrap_or_default();
    let starts = (part.start / PIECE * PIECE..).step_by(PIECE as usize);
    starts.zip(pieces).map(|(start, piece)| {
        let end = (part.end - start).min(u64::from(piece.length()));
        piece.subarray(part.start.saturating_sub(start) as u32, end as u32)
    })
}

/// Replaces the content of `bytes` with the parts, one after the other.
fn copy(parts: &[Uint8Array], bytes: &mut Vec<u8>) {
    // Resizes once: growing part by part would leave holes in the memory.
    bytes.resize(parts.iter().map(|part| part.length() as usize).sum(), 0);
    let mut rest = bytes.as_mut_slice();
    for part in parts {
        let (own, others) = rest.split_at_mut(part.length() as usize);
        part.copy_to(own);
        rest = others;
    }
}

/// Requested parts: already held, or still being read.
pub enum Asked {
    Held(Vec<Uint8Array>),
    Due(JsFuture),
}

impl Asked {
    /// Waits for the parts, and replaces the content of `bytes` with them, one after the other.
    pub async fn get(self, bytes: &mut Vec<u8>) -> Result<(), String> {
        copy(&self.parts().await?, bytes);
        Ok(())
    }

    async fn parts(self) -> Result<Vec<Uint8Array>, String> {
        let due = match self {
            Self::Held(parts) => return Ok(parts),
            Self::Due(due) => due,
        };
        let buffers = due.await.map_err(|error| {
            let reason = in_words(&error);
            format!("the browser cannot read the file ({reason}): was it changed or moved? Choose it again")
        })?;
        let buffers = buffers.unchecked_into::<Array>();
        Ok(buffers.iter().map(|buffer| Uint8Array::new(buffer.unchecked_ref::<ArrayBuffer>())).collect())
    }
}
