//! Reads config.json: the architecture of a checkpoint, in one form for all model families.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::data::hub::layout::CONFIG;

/// Family of models. Families differ in the names of tensors and settings, in positions and in token types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// BERT (Devlin et al. 2019).
    Bert,
    /// RoBERTa (Liu et al. 2019) and models like it, such as XLM-RoBERTa and CamemBERT: positions count from the
    /// padding index.
    Roberta,
    /// DistilBERT (Sanh et al. 2019): no token types.
    DistilBert,
}

/// Families by `model_type`.
const MODEL_TYPES: [(&str, Family); 5] = [
    ("bert", Family::Bert),
    ("roberta", Family::Roberta),
    ("xlm-roberta", Family::Roberta),
    ("camembert", Family::Roberta),
    ("distilbert", Family::DistilBert),
];

/// The function between the two halves of the feed-forward layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x·Φ(x)`.
    Gelu,
    /// GELU with the hyperbolic tangent.
    GeluTanh,
    /// `max(x, 0)`.
    Relu,
}

const ACTIVATIONS: [(&str, Activation); 4] = [
    ("gelu", Activation::Gelu),
    ("gelu_new", Activation::GeluTanh),
    ("gelu_pytorch_tanh", Activation::GeluTanh),
    ("relu", Activation::Relu),
];

/// The settings that define the computation.
#[derive(Debug, Clone, PartialEq)]
pub struct Architecture {
    /// Decides about names, positions and token types.
    pub family: Family,
    /// Width of the vectors.
    pub hidden_size: usize,
    /// Number of layers.
    pub layers: usize,
    /// Number of attention heads, which divides the width.
    pub heads: usize,
    /// Width inside the feed-forward layers.
    pub intermediate_size: usize,
    /// Number of rows of the word embeddings.
    pub vocab_size: usize,
    /// Number of rows of the position embeddings.
    pub positions: usize,
    /// Number of rows of the token type embeddings; `None` for DistilBERT.
    pub token_types: Option<usize>,
    /// Added to the variance in layer norms.
    pub layer_norm_eps: f32,
    /// Activation of the feed-forward layers.
    pub activation: Activation,
    /// Dropout rate after embeddings and layers.
    pub dropout: f32,
    /// Dropout rate of attention probabilities.
    pub attention_dropout: f32,
    /// Index of the padding piece.
    pub padding: u32,
}

/// The fields of a JSON object, with errors that name file and field.
struct Fields {
    file: PathBuf,
    object: Map<String, Value>,
}

impl Fields {
    fn read(file: PathBuf) -> Result<Self> {
        let text = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let object = serde_json::from_slice(&text).with_context(|| format!("{} is damaged", file.display()))?;
        Ok(Self { file, object })
    }

    /// Returns the value of a field, or `None` if it is missing or null.
    fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        let value = self.object.get(name).cloned().unwrap_or(Value::Null);
        serde_json::from_value(value).with_context(|| format!("{}: field {name:?}", self.file.display()))
    }

    fn need<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        self.get(name)?.with_context(|| format!("{} has no field {name:?}", self.file.display()))
    }
}

impl Architecture {
    /// Reads config.json. Fields that early checkpoints do not have get the values that were usual then.
    ///
    /// # Errors
    /// When the file cannot be read, or asks for something that is not supported.
    pub fn open(folder: &Path) -> Result<Self> {
        let fields = Fields::read(folder.join(CONFIG))?;
        Self::from_fields(&fields).with_context(|| fields.file.display().to_string())
    }

    fn from_fields(fields: &Fields) -> Result<Self> {
        // The first BERT checkpoints have no type.
        let model_type: String = fields.get("model_type")?.unwrap_or_else(|| "bert".to_owned());
        let Some(&(_, family)) = MODEL_TYPES.iter().find(|(name, _)| *name == model_type) else {
            let names = MODEL_TYPES.map(|(name, _)| name).join(", ");
            bail!("model_type {model_type:?} is not supported. Supported are: {names}");
        };
        let positions: Option<String> = fields.get("position_embedding_type")?;
        if let Some(other) = positions.filter(|p| p != "absolute") {
            bail!("position_embedding_type {other:?} is not supported, only \"absolute\"");
        }
        let is_distil = family == Family::DistilBert;
        let name = |usual: &'static str, distil: &'static str| if is_distil { distil } else { usual };
        let activation: Option<String> = fields.get(name("hidden_act", "activation"))?;
        let activation = activation.unwrap_or_else(|| "gelu".to_owned());
        let Some(&(_, activation)) = ACTIVATIONS.iter().find(|(name, _)| *name == activation) else {
            let names = ACTIVATIONS.map(|(name, _)| name).join(", ");
            bail!("the activation {activation:?} is not supported. Supported are: {names}");
        };
        let (usual_padding, usual_types) = if family == Family::Roberta { (1, 1) } else { (0, 2) };
        let architecture = Self {
            family,
            hidden_size: fields.need(name("hidden_size", "dim"))?,
            layers: fields.need(name("num_hidden_layers", "n_layers"))?,
            heads: fields.need(name("num_attention_heads", "n_heads"))?,
            intermediate_size: fields.need(name("intermediate_size", "hidden_dim"))?,
            vocab_size: fields.need("vocab_size")?,
            positions: fields.get("max_position_embeddings")?.unwrap_or(512),
            token_types: if is_distil { None } else { Some(fields.get("type_vocab_size")?.unwrap_or(usual_types)) },
            // DistilBERT has this value in its code.
            layer_norm_eps: if is_distil { 1e-12 } else { fields.get("layer_norm_eps")?.unwrap_or(1e-12) },
            activation,
            dropout: fields.get(name("hidden_dropout_prob", "dropout"))?.unwrap_or(0.1),
            attention_dropout: fields.get(name("attention_probs_dropout_prob", "attention_dropout"))?.unwrap_or(0.1),
            padding: fields.get("pad_token_id")?.unwrap_or(usual_padding),
        };
        architecture.check()?;
        Ok(architecture)
    }

    fn check(&self) -> Result<()> {
        ensure!(
            self.heads > 0 && self.hidden_size > 0 && self.hidden_size.is_multiple_of(self.heads),
            "the width {} is no multiple of the number of attention heads {}",
            self.hidden_size,
            self.heads
        );
        ensure!(self.token_types != Some(0), "type_vocab_size must be at least 1");
        let rates = [self.dropout, self.attention_dropout];
        ensure!(rates.iter().all(|rate| (0.0..1.0).contains(rate)), "dropout rates must be in 0..1, not {rates:?}");
        // There must be room for the begin piece, one word and the end piece.
        ensure!(self.max_pieces() > 2, "max_position_embeddings {} leaves no room for words", self.positions);
        Ok(())
    }

    /// Returns the largest number of pieces that the encoder can read at once, including begin and end.
    pub fn max_pieces(&self) -> usize {
        self.positions.saturating_sub(self.first_position() as usize)
    }

    /// Returns the position of the first piece.
    pub fn first_position(&self) -> u32 {
        if self.family == Family::Roberta { self.padding.saturating_add(1) } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Architecture> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(CONFIG), json).unwrap();
        Architecture::open(folder.path())
    }

    const SIZES: &str = r#""hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
                           "intermediate_size": 4, "vocab_size": 9"#;

    #[test]
    fn early_configurations_and_nulls_take_the_usual_values() {
        let bert = parse(&format!("{{{SIZES}}}")).unwrap();
        assert_eq!((bert.family, bert.token_types, bert.max_pieces()), (Family::Bert, Some(2), 512));
        let roberta = r#"{"model_type": "xlm-roberta", "pad_token_id": null, "max_position_embeddings": 514, SIZES}"#;
        let roberta = parse(&roberta.replace("SIZES", SIZES)).unwrap();
        assert_eq!((roberta.first_position(), roberta.max_pieces()), (2, 512));
    }

    #[test]
    fn what_is_not_supported_is_named_with_what_is() {
        let refused = |json: &str, expected: &[&str]| {
            let message = format!("{:#}", parse(&json.replace("SIZES", SIZES)).unwrap_err());
            for part in [&["config.json"], expected].concat() {
                assert!(message.contains(part), "{part:?} is not in: {message}");
            }
        };
        refused(r#"{"model_type": "t5"}"#, &["t5", "bert, roberta, xlm-roberta", "distilbert"]);
        refused(r#"{"hidden_act": "mish", SIZES}"#, &["mish", "gelu_new"]);
        refused(r#"{"position_embedding_type": "relative_key", SIZES}"#, &["relative_key", "absolute"]);
        refused(r#"{"hidden_size": -3}"#, &["hidden_size"]);
        refused(r#"{"model_type": "roberta", "max_position_embeddings": 4, SIZES}"#, &["no room"]);
        refused(r#"{"hidden_dropout_prob": 1.5, SIZES}"#, &["dropout"]);
        refused("[]", &["damaged"]);
    }
}
