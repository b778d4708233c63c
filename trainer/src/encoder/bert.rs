//! BERT (Devlin et al. 2019) over packed sentences.
//!
//! `x₀ = LN(word + position + type)`; per layer `a = LN(x + W_o·attention(x))`,
//! `x = LN(a + W_2·gelu(W_1·a))`. Rows are pieces; dropout as in the checkpoint's configuration.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use candle_core::Tensor;
use serde::Deserialize;

use super::pieces::Pieces;
use crate::batch::Batch;
use crate::ops::{Linear, Norm, Weight, attention, dropout, embedding, gelu, linear, linears, residual_norm};
use crate::parameters::{Group, Parameters};
use crate::random::Masks;

/// The fields of config.json that shape the computation.
#[derive(Debug, Clone, Deserialize)]
pub struct BertConfig {
    pub hidden_size: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    pub intermediate_size: usize,
    pub vocab_size: usize,
    pub max_position_embeddings: usize,
    pub type_vocab_size: usize,
    pub layer_norm_eps: f32,
    pub hidden_act: String,
    pub hidden_dropout_prob: f32,
    pub attention_probs_dropout_prob: f32,
    pub model_type: String,
}

/// A BERT checkpoint on disk.
pub struct BertSpec {
    pub config: BertConfig,
    pub pieces: Pieces,
    pub weights: PathBuf,
    folder: PathBuf,
}

impl BertSpec {
    /// Reads config.json and tokenizer.json; the weights are only looked for.
    pub fn open(folder: &Path) -> Result<Self> {
        let file = folder.join("config.json");
        let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let config: BertConfig = serde_json::from_str(&text).with_context(|| format!("in {}", file.display()))?;
        if config.model_type != "bert" {
            bail!("model_type {:?} is not supported; use a BERT checkpoint (model_type \"bert\")", config.model_type);
        }
        ensure!(config.hidden_act == "gelu", "hidden_act {:?} is not supported, only \"gelu\"", config.hidden_act);
        ensure!(
            config.num_attention_heads > 0 && config.hidden_size.is_multiple_of(config.num_attention_heads),
            "hidden_size {} is no multiple of num_attention_heads {}",
            config.hidden_size,
            config.num_attention_heads
        );
        let weights = folder.join("model.safetensors");
        ensure!(weights.is_file(), "there is no {}", weights.display());
        let pieces = Pieces::open(&folder.join("tokenizer.json"), config.max_position_embeddings)?;
        Ok(Self { config, pieces, weights, folder: folder.to_owned() })
    }

    /// Copies config.json and tokenizer.json into a model folder.
    pub fn save(&self, folder: &Path) -> Result<()> {
        for name in ["config.json", "tokenizer.json"] {
            let (from, to) = (self.folder.join(name), folder.join(name));
            std::fs::copy(&from, &to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
        }
        Ok(())
    }
}

fn norm(parameters: &mut Parameters, name: &str, config: &BertConfig) -> Result<Norm> {
    let mut part =
        |part: &str| parameters.pretrained(&format!("{name}.LayerNorm.{part}"), &[config.hidden_size], Group::Encoder);
    Ok(Norm { weight: part("weight")?, bias: part("bias")?, eps: config.layer_norm_eps })
}

struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    attention_output: Linear,
    attention_norm: Norm,
    intermediate: Linear,
    output: Linear,
    output_norm: Norm,
}

impl Layer {
    fn new(parameters: &mut Parameters, i: usize, config: &BertConfig) -> Result<Self> {
        let (h, inner) = (config.hidden_size, config.intermediate_size);
        let at = |part: &str| format!("encoder.layer.{i}.{part}");
        let mut linear =
            |part: &str, inputs, outputs| parameters.pretrained_linear(&at(part), inputs, outputs, Group::Encoder);
        Ok(Self {
            query: linear("attention.self.query", h, h)?,
            key: linear("attention.self.key", h, h)?,
            value: linear("attention.self.value", h, h)?,
            attention_output: linear("attention.output.dense", h, h)?,
            intermediate: linear("intermediate.dense", h, inner)?,
            output: linear("output.dense", inner, h)?,
            attention_norm: norm(parameters, &at("attention.output"), config)?,
            output_norm: norm(parameters, &at("output"), config)?,
        })
    }

    fn forward(&self, x: &Tensor, batch: &Batch, config: &BertConfig, masks: &mut Masks) -> Result<Tensor> {
        let qkv = linears(x, &[&self.query, &self.key, &self.value])?;
        let mask = masks.next(config.attention_probs_dropout_prob);
        let seen = attention(&qkv, config.num_attention_heads, &batch.lengths, mask)?;
        let seen = linear(&seen, &self.attention_output)?;
        let x = residual_norm(&seen, masks.next(config.hidden_dropout_prob), x, &self.attention_norm)?;
        let inner = linear(&gelu(&linear(&x, &self.intermediate)?)?, &self.output)?;
        Ok(residual_norm(&inner, masks.next(config.hidden_dropout_prob), &x, &self.output_norm)?)
    }
}

/// The encoder with its weights.
pub struct Bert {
    config: BertConfig,
    words: Weight,
    positions: Weight,
    types: Weight,
    norm: Norm,
    layers: Vec<Layer>,
}

impl Bert {
    /// Takes the weights from the checkpoint of `parameters`. Word embeddings stay as they are
    /// unless `train_embeddings`: most rows never occur in a small corpus.
    pub fn new(config: &BertConfig, parameters: &mut Parameters, train_embeddings: bool) -> Result<Self> {
        let h = config.hidden_size;
        let (name, shape) = ("embeddings.word_embeddings.weight", [config.vocab_size, h]);
        let words = if train_embeddings {
            parameters.pretrained(name, &shape, Group::Encoder)?
        } else {
            parameters.frozen(name, &shape)?
        };
        let mut table = |name: &str, rows: usize| {
            parameters.pretrained(&format!("embeddings.{name}.weight"), &[rows, h], Group::Encoder)
        };
        let positions = table("position_embeddings", config.max_position_embeddings)?;
        let types = table("token_type_embeddings", config.type_vocab_size)?;
        let norm = norm(parameters, "embeddings", config)?;
        let layers = (0..config.num_hidden_layers).map(|i| Layer::new(parameters, i, config)).collect::<Result<_>>()?;
        Ok(Self { config: config.clone(), words, positions, types, norm, layers })
    }

    /// `[rows, hidden_size]`; the batch's features are piece ids and positions.
    pub fn forward(&self, batch: &Batch, masks: &mut Masks) -> Result<Tensor> {
        let [pieces, positions] = batch.features.as_slice() else { bail!("BERT reads pieces and positions") };
        let types = vec![0u32; pieces.len()];
        let x = (embedding(&self.words, pieces.clone())? + embedding(&self.positions, positions.clone())?)?;
        let x = residual_norm(&x, None, &embedding(&self.types, types.into())?, &self.norm)?;
        let mut x = dropout(&x, masks.next(self.config.hidden_dropout_prob))?;
        for layer in &self.layers {
            x = layer.forward(&x, batch, &self.config, masks)?;
        }
        Ok(x)
    }
}
