//! Maps guids to rows of the columns.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

use crate::corpus::TokenTable;

/// All guids in the order of their first appearance, without repeats. Their text is in one string.
#[derive(Debug, Default)]
pub struct Guids {
    text: String,
    ends: Vec<usize>,
    rows: HashTable<u32>,
    /// Row of the last guid that was looked up. Files usually list the same guids in the same order.
    last: usize,
}

fn text_of<'a>(text: &'a str, ends: &[usize], row: usize) -> Option<&'a str> {
    let start = match row.checked_sub(1) {
        Some(previous) => *ends.get(previous)?,
        None => 0,
    };
    text.get(start..*ends.get(row)?)
}

impl Guids {
    /// Number of guids.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// The row of a guid. A new guid gets a new row. `None` if there are too many rows for 32 bits.
    pub fn row(&mut self, guid: &str) -> Option<usize> {
        let Self { text, ends, rows, last } = self;
        if text_of(text, ends, *last + 1) == Some(guid) {
            *last += 1;
            return Some(*last);
        }
        let hash = xxh3_64(guid.as_bytes());
        let found = rows.find(hash, |&row| text_of(text, ends, row as usize) == Some(guid));
        let row = match found {
            Some(&row) => row,
            None => {
                let row = u32::try_from(ends.len()).ok().filter(|&row| row < u32::MAX)?;
                text.push_str(guid);
                ends.push(text.len());
                rows.insert_unique(hash, row, |&row| {
                    xxh3_64(text_of(text, ends, row as usize).unwrap_or_default().as_bytes())
                });
                row
            }
        };
        *last = row as usize;
        Some(row as usize)
    }

    /// Makes one sentence of one token from each guid.
    ///
    /// # Errors
    /// When the guids together are longer than 4 GiB.
    pub fn into_tokens(self) -> Result<TokenTable, crate::corpus::TextTooLong> {
        let mut tokens = TokenTable::default();
        for row in 0..self.ends.len() {
            tokens.push([text_of(&self.text, &self.ends, row).unwrap_or_default()])?;
        }
        Ok(tokens)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_guid_has_one_row_whatever_the_order() {
        let mut guids = Guids::default();
        let names: Vec<String> = (0..500).map(|i| format!("doc{}-{}", i % 7, i)).collect();
        let rows = |guids: &mut Guids, order: &mut dyn Iterator<Item = usize>| -> Vec<(usize, usize)> {
            order.map(|i| (i, guids.row(&names[i]).unwrap())).collect()
        };
        for order in
            [&mut (0..500usize) as &mut dyn Iterator<Item = usize>, &mut (0..500).rev(), &mut (0..500).step_by(3)]
        {
            assert!(rows(&mut guids, order).iter().all(|(i, row)| i == row));
        }
        assert_eq!(guids.row(""), Some(500));
        let tokens = guids.into_tokens().unwrap();
        assert_eq!((tokens.n_sentences(), tokens.sentence(499).next()), (501, Some("doc2-499")));
    }
}
