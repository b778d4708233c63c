//! Opens the tokenizer of a model folder: tokenizer.json, or the vocabulary files of older checkpoints.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;
use tokenizers::models::bpe::BPE;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::processors::roberta::RobertaProcessing;
use tokenizers::{AddedToken, Tokenizer};

use crate::data::hub::layout::{BYTE_PAIRS, SETTINGS, TOKENIZER, WORD_PIECES};

/// The fields of tokenizer_config.json that are used here.
#[derive(Debug, Default, Deserialize)]
struct Settings {
    do_lower_case: Option<bool>,
    tokenize_chinese_chars: Option<bool>,
    strip_accents: Option<bool>,
    /// Some files have 10³⁰, which means "no limit".
    model_max_length: Option<f64>,
}

impl Settings {
    fn read(folder: &Path) -> Result<Self> {
        let file = folder.join(SETTINGS);
        if !file.is_file() {
            return Ok(Self::default());
        }
        let json = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        serde_json::from_slice(&json).with_context(|| format!("in {}", file.display()))
    }
}

/// Returns the largest number of pieces in one input, including begin and end, if tokenizer_config.json gives it.
///
/// # Errors
/// When the file exists but cannot be read.
pub fn model_max_length(folder: &Path) -> Result<Option<usize>> {
    let length = Settings::read(folder)?.model_max_length.filter(|&n| (0.0..1e9).contains(&n));
    Ok(length.map(|n| n as usize))
}

/// Opens the tokenizer for use word by word. Padding and truncation are switched off. A byte-level tokenizer adds
/// a blank before every word, as with `add_prefix_space=True`.
///
/// # Errors
/// When there is no supported tokenizer, or it cannot be read.
pub fn open(folder: &Path) -> Result<Tokenizer> {
    let path = |name: &str| folder.join(name);
    let file = path(TOKENIZER);
    let mut tokenizer = if file.is_file() {
        Tokenizer::from_file(&file).map_err(|e| anyhow!("cannot read {}: {e}", file.display()))?
    } else if path(WORD_PIECES).is_file() {
        word_piece(folder)?
    } else if BYTE_PAIRS.iter().all(|name| path(name).is_file()) {
        byte_level(folder)?
    } else {
        bail!(
            "{} has no {TOKENIZER}, {WORD_PIECES} or {} with {}. In Python, \
             `AutoTokenizer.from_pretrained(MODEL).save_pretrained(FOLDER)` writes {TOKENIZER}",
            folder.display(),
            BYTE_PAIRS[0],
            BYTE_PAIRS[1]
        );
    };
    tokenizer.with_truncation(None).map_err(|e| anyhow!("{}: {e}", file.display()))?;
    tokenizer.with_padding(None);
    if let Some(pre_tokenizer) = tokenizer.get_pre_tokenizer().cloned() {
        tokenizer.with_pre_tokenizer(Some(with_prefix_space(pre_tokenizer)));
    }
    Ok(tokenizer)
}

fn with_prefix_space(pre_tokenizer: PreTokenizerWrapper) -> PreTokenizerWrapper {
    match pre_tokenizer {
        PreTokenizerWrapper::ByteLevel(byte_level) => byte_level.add_prefix_space(true).into(),
        PreTokenizerWrapper::Sequence(mut sequence) => {
            for part in sequence.as_mut() {
                *part = with_prefix_space(part.clone());
            }
            PreTokenizerWrapper::Sequence(sequence)
        }
        other => other,
    }
}

/// Returns a file name as text, because the tokenizer library takes names as text.
fn name_of(file: &Path) -> Result<&str> {
    file.to_str().with_context(|| format!("the name of {} is not Unicode; rename the folder", file.display()))
}

fn special(tokenizer: &Tokenizer, name: &str, file: &Path) -> Result<(String, u32)> {
    let id = tokenizer.token_to_id(name).with_context(|| format!("{} has no piece {name}", file.display()))?;
    Ok((name.to_owned(), id))
}

fn add_special(tokenizer: &mut Tokenizer, names: &[&str]) -> Result<()> {
    let known = names.iter().filter(|name| tokenizer.token_to_id(name).is_some());
    let tokens: Vec<AddedToken> = known.map(|&name| AddedToken::from(name, true)).collect();
    tokenizer.add_special_tokens(tokens).map_err(|e| anyhow!("special pieces: {e}"))?;
    Ok(())
}

/// Builds BERT's tokenizer from vocab.txt.
fn word_piece(folder: &Path) -> Result<Tokenizer> {
    let file = folder.join(WORD_PIECES);
    let settings = Settings::read(folder)?;
    let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    // Skip special pieces, which are in brackets.
    let is_cased = text.lines().any(|piece| !piece.starts_with('[') && piece.chars().any(|c| c.is_ascii_uppercase()));
    let model = WordPiece::from_file(name_of(&file)?).unk_token("[UNK]".to_owned()).build();
    let mut tokenizer = Tokenizer::new(model.map_err(|e| anyhow!("{}: {e}", file.display()))?);
    let normalizer = BertNormalizer::new(
        true,
        settings.tokenize_chinese_chars.unwrap_or(true),
        settings.strip_accents,
        settings.do_lower_case.unwrap_or(!is_cased),
    );
    tokenizer.with_normalizer(Some(normalizer)).map_err(|e| anyhow!("{}: {e}", file.display()))?;
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    let around = BertProcessing::new(special(&tokenizer, "[SEP]", &file)?, special(&tokenizer, "[CLS]", &file)?);
    tokenizer.with_post_processor(Some(around));
    add_special(&mut tokenizer, &["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])?;
    Ok(tokenizer)
}

/// Builds RoBERTa's tokenizer from vocab.json and merges.txt.
fn byte_level(folder: &Path) -> Result<Tokenizer> {
    let files = BYTE_PAIRS.map(|name| folder.join(name));
    let [vocabulary, merges] = &files;
    let model = BPE::from_file(name_of(vocabulary)?, name_of(merges)?).build();
    let mut tokenizer = Tokenizer::new(model.map_err(|e| anyhow!("{}: {e}", files[0].display()))?);
    tokenizer.with_pre_tokenizer(Some(ByteLevel::new(true, true, true)));
    let around =
        RobertaProcessing::new(special(&tokenizer, "</s>", &files[0])?, special(&tokenizer, "<s>", &files[0])?);
    tokenizer.with_post_processor(Some(around));
    add_special(&mut tokenizer, &["<s>", "<pad>", "</s>", "<unk>"])?;
    let mask = AddedToken::from("<mask>", true).lstrip(true);
    tokenizer.add_special_tokens([mask]).map_err(|e| anyhow!("special pieces: {e}"))?;
    Ok(tokenizer)
}
