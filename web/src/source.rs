//! Where bytes come from: a file on the user's disk, or what was fetched. Both are read part by part, and the
//! browser holds what is not in use.

use std::cell::RefCell;
use std::ops::Range;

use js_sys::{Array, ArrayBuffer, Promise, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::Blob;

/// Bytes of a part where a file is read from front to back.
const PIECE: u64 = 4 << 20;

/// Reading a file larger than this takes long enough to be told how far it is. Up to here a file is held between two
/// readings: asking a browser for a part of a file takes about as long as reading a megabyte of it.
const LARGE: u64 = 100 << 20;

/// Something to read.
pub struct Source {
    blob: Blob,
    /// All of it, in parts of [`PIECE`] bytes, while it is held.
    held: RefCell<Vec<Uint8Array>>,
}

impl Source {
    pub fn new(blob: Blob) -> Self {
        Self { blob, held: RefCell::default() }
    }

    /// In bytes.
    pub fn size(&self) -> u64 {
        self.blob.size() as u64
    }

    /// Whether reading it takes long.
    pub fn is_large(&self) -> bool {
        self.size() > LARGE
    }

    /// Asks the browser for parts, which it reads while other work goes on.
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

    /// Lets go of what [`Source::all`] holds.
    pub fn let_go(&self) {
        self.held.take();
    }

    /// The first `n` bytes, or as many as there are.
    pub async fn first(&self, n: u64) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        self.ask(std::slice::from_ref(&(0..n.min(self.size())))).get(&mut bytes).await?;
        Ok(bytes)
    }

    /// Gives all bytes, piece by piece, to `take`, with the share of them that has been given before. A file that is not
    /// large is held from then on.
    pub async fn all(&self, mut take: impl FnMut(&[u8], f32) -> Result<(), String>) -> Result<(), String> {
        let mut taken = 0;
        let mut piece = Vec::new();
        let mut ends = (0..self.size()).step_by(PIECE as usize).map(|start| start..(start + PIECE).min(self.size()));
        let mut due = ends.next().map(|part| self.ask(&[part]));
        let mut held = Vec::new();
        while let Some(asked) = due {
            due = ends.next().map(|part| self.ask(&[part]));
            let parts = asked.parts().await?;
            copy(&parts, &mut piece);
            if !self.is_large() {
                held.extend(parts);
            }
            take(&piece, taken as f32 / self.size() as f32)?;
            taken += piece.len() as u64;
        }
        self.held.replace(held);
        Ok(())
    }
}

/// Where a part of a file lies in what is held of it.
fn of_held(held: &[Uint8Array], part: &Range<u64>) -> impl Iterator<Item = Uint8Array> {
    let pieces = held.get((part.start / PIECE) as usize..part.end.div_ceil(PIECE) as usize).unwrap_or_default();
    let starts = (part.start / PIECE * PIECE..).step_by(PIECE as usize);
    starts.zip(pieces).map(|(start, piece)| {
        let end = (part.end - start).min(u64::from(piece.length()));
        piece.subarray(part.start.saturating_sub(start) as u32, end as u32)
    })
}

/// Copies parts one after the other in place of what `bytes` holds.
fn copy(parts: &[Uint8Array], bytes: &mut Vec<u8>) {
    // At once: growing part by part would leave holes in the memory.
    bytes.clear();
    bytes.resize(parts.iter().map(|part| part.length() as usize).sum(), 0);
    let mut rest = bytes.as_mut_slice();
    for part in parts {
        let (own, others) = rest.split_at_mut(part.length() as usize);
        part.copy_to(own);
        rest = others;
    }
}

/// Parts, held or on their way.
pub enum Asked {
    Held(Vec<Uint8Array>),
    Due(JsFuture),
}

impl Asked {
    /// Their bytes, one after the other, in place of what `bytes` holds.
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
            let reason = error.dyn_ref::<js_sys::Error>().map_or_else(|| format!("{error:?}"), |e| e.message().into());
            format!("the browser cannot read the file ({reason}): was it changed or moved? Choose it again")
        })?;
        let buffers = buffers.unchecked_into::<Array>();
        Ok(buffers.iter().map(|buffer| Uint8Array::new(buffer.unchecked_ref::<ArrayBuffer>())).collect())
    }
}
