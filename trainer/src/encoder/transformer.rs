//! BERT, RoBERTa and DistilBERT over packed sentences.
//!
//! `x₀ = LN(word + position + type)`; per layer `a = LN(x + W_o·attention(x))`,
//! `x = LN(a + W_2·f(W_1·a))`. Rows are pieces; dropout as in the checkpoint's configuration.

use anyhow::{Result, bail};
use candle_core::Tensor;

use super::architecture::{Activation, Architecture, Family};
use crate::batch::Batch;
use crate::ops::{attention, dropout, embedding, gelu, layer_norm, linear};
use crate::parameters::{Group, Parameters};
use crate::random::Masks;

/// Where a family's checkpoints have the tensors of a layer.
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

struct LinearLayer {
    weight: Tensor,
    bias: Tensor,
}

impl LinearLayer {
    fn new(parameters: &mut Parameters, name: &str, inputs: usize, outputs: usize) -> Result<Self> {
        let weight = parameters.pretrained(&format!("{name}.weight"), &[outputs, inputs], Group::Encoder)?;
        let bias = parameters.pretrained(&format!("{name}.bias"), &[outputs], Group::Encoder)?;
        Ok(Self { weight, bias })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(linear(x, &self.weight, &self.bias)?)
    }
}

struct Norm {
    weight: Tensor,
    bias: Tensor,
    eps: f32,
}

impl Norm {
    fn new(parameters: &mut Parameters, name: &str, config: &Architecture) -> Result<Self> {
        let mut part =
            |part: &str| parameters.pretrained(&format!("{name}.{part}"), &[config.hidden_size], Group::Encoder);
        Ok(Self { weight: part("weight")?, bias: part("bias")?, eps: config.layer_norm_eps })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(layer_norm(x, &self.weight, &self.bias, self.eps)?)
    }
}

struct Layer {
    query: LinearLayer,
    key: LinearLayer,
    value: LinearLayer,
    attention_output: LinearLayer,
    attention_norm: Norm,
    intermediate: LinearLayer,
    output: LinearLayer,
    output_norm: Norm,
}

impl Layer {
    fn new(parameters: &mut Parameters, i: usize, config: &Architecture) -> Result<Self> {
        let (h, inner) = (config.hidden_size, config.intermediate_size);
        let names = if config.family == Family::DistilBert { DISTILBERT } else { BERT };
        let at = |part: &str| format!("{}.{i}.{part}", names.layers);
        Ok(Self {
            query: LinearLayer::new(parameters, &at(names.query), h, h)?,
            key: LinearLayer::new(parameters, &at(names.key), h, h)?,
            value: LinearLayer::new(parameters, &at(names.value), h, h)?,
            attention_output: LinearLayer::new(parameters, &at(names.attention_output), h, h)?,
            attention_norm: Norm::new(parameters, &at(names.attention_norm), config)?,
            intermediate: LinearLayer::new(parameters, &at(names.intermediate), h, inner)?,
            output: LinearLayer::new(parameters, &at(names.output), inner, h)?,
            output_norm: Norm::new(parameters, &at(names.output_norm), config)?,
        })
    }

    fn forward(&self, x: &Tensor, batch: &Batch, config: &Architecture, masks: &mut Masks) -> Result<Tensor> {
        let (q, k, v) = (self.query.forward(x)?, self.key.forward(x)?, self.value.forward(x)?);
        let mask = masks.next(config.attention_dropout);
        let seen = attention(&q, &k, &v, config.heads, &batch.lengths, mask)?;
        let mut seen = self.attention_output.forward(&seen)?;
        if config.family != Family::DistilBert {
            seen = dropout(&seen, masks.next(config.dropout))?;
        }
        let x = self.attention_norm.forward(&(seen + x)?)?;
        let inner = self.intermediate.forward(&x)?;
        let inner = match config.activation {
            Activation::Gelu => gelu(&inner)?,
            Activation::GeluTanh => inner.gelu()?,
            Activation::Relu => inner.relu()?,
        };
        let inner = dropout(&self.output.forward(&inner)?, masks.next(config.dropout))?;
        self.output_norm.forward(&(inner + x)?)
    }
}

/// The encoder with its weights.
pub struct Transformer {
    config: Architecture,
    words: Tensor,
    positions: Tensor,
    types: Option<Tensor>,
    norm: Norm,
    layers: Vec<Layer>,
}

impl Transformer {
    /// Takes the weights from the checkpoint of `parameters`. Word embeddings stay as they are
    /// unless `train_embeddings`: most rows never occur in a small corpus.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape.
    pub fn new(config: &Architecture, parameters: &mut Parameters, train_embeddings: bool) -> Result<Self> {
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
        let positions = table("position_embeddings", config.positions)?;
        let types = config.token_types.map(|rows| table("token_type_embeddings", rows)).transpose()?;
        let norm = Norm::new(parameters, "embeddings.LayerNorm", config)?;
        let layers = (0..config.layers).map(|i| Layer::new(parameters, i, config)).collect::<Result<_>>()?;
        Ok(Self { config: config.clone(), words, positions, types, norm, layers })
    }

    /// `[rows, hidden_size]`; the batch's features are piece ids and positions.
    ///
    /// # Errors
    /// When a piece or position is outside the tables.
    pub fn forward(&self, batch: &Batch, masks: &mut Masks) -> Result<Tensor> {
        let [pieces, positions] = batch.features.as_slice() else { bail!("transformers read pieces and positions") };
        let mut x = (embedding(&self.words, pieces.clone())? + embedding(&self.positions, positions.clone())?)?;
        if let Some(types) = &self.types {
            // A single text is all of type 0.
            x = (x + embedding(types, vec![0u32; pieces.len()].into())?)?;
        }
        let mut x = dropout(&self.norm.forward(&x)?, masks.next(self.config.dropout))?;
        for layer in &self.layers {
            x = layer.forward(&x, batch, &self.config, masks)?;
        }
        Ok(x)
    }
}
