//! BERT, RoBERTa and DistilBERT.
//!
//! `x₀ = LN(word + position + type)`. Each layer computes `a = LN(x + W_o·attention(x))` and `x = LN(a +
//! W_2·f(W_1·a))`. Rows are pieces. Dropout is as in the checkpoint's configuration.

use anyhow::{Result, bail};
use candle_core::Tensor;
use nn::{Builder, Group, Init, Linear, Norm, Pass, Weight};

use super::architecture::{Activation, Architecture, Family};

/// Names of a layer's tensors in the checkpoints of a family.
struct Names {
    layers: &'static str,
    query: &'static str,
    key: &'static str,
    value: &'static str,
    attention_output: &'static str,
    attention_norm: &'static str,
    intermediate: &'static str,
    output: &'static str,
    output_norm: &'static str,
}

const BERT: Names = Names {
    layers: "encoder.layer",
    query: "attention.self.query",
    key: "attention.self.key",
    value: "attention.self.value",
    attention_output: "attention.output.dense",
    attention_norm: "attention.output.LayerNorm",
    intermediate: "intermediate.dense",
    output: "output.dense",
    output_norm: "output.LayerNorm",
};

const DISTILBERT: Names = Names {
    layers: "transformer.layer",
    query: "attention.q_lin",
    key: "attention.k_lin",
    value: "attention.v_lin",
    attention_output: "attention.out_lin",
    attention_norm: "sa_layer_norm",
    intermediate: "ffn.lin1",
    output: "ffn.lin2",
    output_norm: "output_layer_norm",
};

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
    fn new(builder: &mut Builder, i: usize, config: &Architecture) -> Result<Self> {
        let (h, inner) = (config.hidden_size, config.intermediate_size);
        let names = if config.family == Family::DistilBert { DISTILBERT } else { BERT };
        let at = |part: &str| format!("{}.{i}.{part}", names.layers);
        let mut linear =
            |part: &str, inputs, outputs| builder.pretrained_linear(&at(part), inputs, outputs, Group::Encoder);
        Ok(Self {
            query: linear(names.query, h, h)?,
            key: linear(names.key, h, h)?,
            value: linear(names.value, h, h)?,
            attention_output: linear(names.attention_output, h, h)?,
            intermediate: linear(names.intermediate, h, inner)?,
            output: linear(names.output, inner, h)?,
            attention_norm: norm(builder, &at(names.attention_norm), config)?,
            output_norm: norm(builder, &at(names.output_norm), config)?,
        })
    }

    fn forward(&self, x: &Tensor, config: &Architecture, pass: &mut Pass) -> Result<Tensor> {
        let qkv = pass.linears(x, &[self.query, self.key, self.value])?;
        let seen = pass.attention(&qkv, config.heads, Some(config.attention_dropout))?;
        let seen = pass.linear(&seen, self.attention_output)?;
        // DistilBERT has no dropout here.
        let rate = (config.family != Family::DistilBert).then_some(config.dropout);
        let x = pass.residual_norm(&seen, rate, x, self.attention_norm)?;
        let inner = pass.linear(&x, self.intermediate)?;
        let inner = match config.activation {
            Activation::Gelu => pass.gelu(&inner)?,
            Activation::GeluTanh => pass.gelu_tanh(&inner)?,
            Activation::Relu => pass.relu(&inner, None)?,
        };
        let inner = pass.linear(&inner, self.output)?;
        pass.residual_norm(&inner, Some(config.dropout), &x, self.output_norm)
    }
}

fn norm(builder: &mut Builder, name: &str, config: &Architecture) -> Result<Norm> {
    let mut part = |part: &str| builder.pretrained(&format!("{name}.{part}"), &[config.hidden_size], Group::Encoder);
    Ok(Norm { weight: part("weight")?, bias: part("bias")?, eps: config.layer_norm_eps })
}

/// The encoder with its weights.
pub struct Transformer {
    config: Architecture,
    words: Weight,
    positions: Weight,
    types: Option<Weight>,
    norm: Norm,
    layers: Vec<Layer>,
}

impl Transformer {
    /// Takes the weights from the checkpoint of `builder`.
    ///
    /// Word embeddings are trained only with `train_embeddings`, because most rows never occur in a small corpus.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape.
    pub fn new(config: &Architecture, builder: &mut Builder, train_embeddings: bool) -> Result<Self> {
        let h = config.hidden_size;
        let (name, shape) = ("embeddings.word_embeddings.weight", [config.vocab_size, h]);
        let words = if train_embeddings {
            builder.table(name, &shape, Init::Checkpoint, Group::Encoder)?
        } else {
            builder.frozen_table(name, &shape)?
        };
        let mut table = |name: &str, rows: usize| {
            builder.table(&format!("embeddings.{name}.weight"), &[rows, h], Init::Checkpoint, Group::Encoder)
        };
        let positions = table("position_embeddings", config.positions)?;
        let types = config.token_types.map(|rows| table("token_type_embeddings", rows)).transpose()?;
        let norm = norm(builder, "embeddings.LayerNorm", config)?;
        let layers = (0..config.layers).map(|i| Layer::new(builder, i, config)).collect::<Result<_>>()?;
        Ok(Self { config: config.clone(), words, positions, types, norm, layers })
    }

    /// Returns `[rows, hidden_size]`. The features of the pass's batch must be piece ids and positions.
    ///
    /// # Errors
    /// When a piece or a position is outside the tables.
    pub fn forward(&self, pass: &mut Pass) -> Result<Tensor> {
        let [pieces, positions] = pass.batch().features.as_slice() else {
            bail!("transformers read pieces and positions")
        };
        let words = pass.embedding(self.words, pieces.clone())?;
        let positions = pass.embedding(self.positions, positions.clone())?;
        let x = match self.types {
            Some(types) => {
                // A single text has type 0 everywhere.
                let types = pass.embedding(types, vec![0u32; pieces.len()].into())?;
                pass.add(&words, &types)?
            }
            None => words,
        };
        let x = pass.residual_norm(&x, None, &positions, self.norm)?;
        let mut x = pass.dropout(&x, Some(self.config.dropout))?;
        for layer in &self.layers {
            x = layer.forward(&x, &self.config, pass)?;
        }
        Ok(x)
    }
}
