//! The trainable parameters of a model, in a fixed order, with their optimizer state.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor, Var};
use rand_chacha::ChaCha8Rng;

use crate::ops::AdamW;
use crate::random::uniform;
use crate::run_dir::write_whole_at;

/// Parts of a model that learn at rates of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Token representations.
    Encoder,
    /// Span classifier.
    Head,
}

/// Learning rates of one step.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    /// Of the encoder.
    pub encoder: f32,
    /// Of the head.
    pub head: f32,
    /// Decoupled weight decay.
    pub weight_decay: f32,
    /// Largest Euclidean norm of all gradients together; longer ones are scaled down to it.
    pub clip_norm: Option<f32>,
}

struct Parameter {
    name: String,
    group: Group,
    var: Var,
    optimizer: AdamW,
}

/// How a parameter starts where no checkpoint gives it.
#[derive(Debug, Clone, Copy)]
pub enum Init {
    /// Uniform in ±1/√n, as PyTorch starts linear layers with n inputs.
    FanIn(usize),
    /// Uniform in ±bound.
    Uniform(f32),
    /// One value everywhere.
    Constant(f32),
}

/// Parameters under construction and in training.
pub struct Parameters {
    parameters: Vec<Parameter>,
    frozen: Vec<(String, Tensor)>,
    checkpoint: HashMap<String, Tensor>,
    rng: ChaCha8Rng,
}

impl Parameters {
    /// Parameters that all start at random.
    pub fn new(rng: ChaCha8Rng) -> Self {
        Self { parameters: Vec::new(), frozen: Vec::new(), checkpoint: HashMap::new(), rng }
    }

    /// Adds the tensors of a safetensors file to start from.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn load_checkpoint(&mut self, file: &Path) -> Result<()> {
        let tensors = candle_core::safetensors::load(file, &Device::Cpu)
            .with_context(|| format!("cannot read the weights in {}", file.display()))?;
        for (name, tensor) in tensors {
            // Checkpoints of a whole task model carry the encoder under a prefix.
            let name = name.strip_prefix("bert.").unwrap_or(&name);
            // Names of the first BERT checkpoints.
            let name = name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias");
            self.checkpoint.insert(name, tensor.to_dtype(DType::F32)?);
        }
        Ok(())
    }

    /// A parameter that the checkpoint must have.
    ///
    /// # Errors
    /// When it is missing or has another shape.
    pub fn pretrained(&mut self, name: &str, shape: &[usize], group: Group) -> Result<Tensor> {
        let tensor =
            self.checkpoint_tensor(name, shape)?.with_context(|| format!("the weights have no tensor {name}"))?;
        self.register(name, &tensor, group)
    }

    /// A tensor of the checkpoint that is not trained.
    ///
    /// # Errors
    /// When it is missing or has another shape.
    pub fn frozen(&mut self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let tensor =
            self.checkpoint_tensor(name, shape)?.with_context(|| format!("the weights have no tensor {name}"))?;
        self.frozen.push((name.to_owned(), tensor.clone()));
        Ok(tensor)
    }

    /// A parameter from the checkpoint, or a fresh one.
    ///
    /// # Errors
    /// When the checkpoint has it in another shape.
    pub fn get(&mut self, name: &str, shape: &[usize], init: Init, group: Group) -> Result<Tensor> {
        let tensor = match self.checkpoint_tensor(name, shape)? {
            Some(tensor) => tensor,
            None => match init {
                Init::FanIn(n) => uniform(&mut self.rng, shape, 1.0 / (n as f32).sqrt())?,
                Init::Uniform(bound) => uniform(&mut self.rng, shape, bound)?,
                Init::Constant(value) => Tensor::full(value, shape, &Device::Cpu)?,
            },
        };
        self.register(name, &tensor, group)
    }

    fn checkpoint_tensor(&self, name: &str, shape: &[usize]) -> Result<Option<Tensor>> {
        match self.checkpoint.get(name) {
            Some(tensor) if tensor.dims() != shape => {
                bail!("the weights have {name} in shape {:?}, the configuration says {shape:?}", tensor.dims())
            }
            found => Ok(found.cloned()),
        }
    }

    fn register(&mut self, name: &str, tensor: &Tensor, group: Group) -> Result<Tensor> {
        let var = Var::from_tensor(&tensor.contiguous()?)?;
        let tensor = var.as_tensor().clone();
        let optimizer = AdamW::new(tensor.elem_count());
        self.parameters.push(Parameter { name: name.to_owned(), group, var, optimizer });
        Ok(tensor)
    }

    /// Drops the checkpoint once the model is built.
    pub fn finish(&mut self) {
        self.checkpoint = HashMap::new();
    }

    /// One optimizer step.
    ///
    /// # Errors
    /// When a parameter has no gradient: it would silently never train.
    pub fn step(&self, gradients: &GradStore, rates: Rates) -> Result<()> {
        let all: Vec<&Tensor> = self
            .parameters
            .iter()
            .map(|p| {
                gradients.get(p.var.as_tensor()).with_context(|| format!("parameter {} received no gradient", p.name))
            })
            .collect::<Result<_>>()?;
        let scale = match rates.clip_norm {
            Some(limit) => (limit / norm(&all)?).min(1.0),
            None => 1.0,
        };
        for (parameter, gradient) in self.parameters.iter().zip(all) {
            let rate = match parameter.group {
                Group::Encoder => rates.encoder,
                Group::Head => rates.head,
            };
            parameter.optimizer.step(&parameter.var, gradient, scale, rate, rates.weight_decay)?;
        }
        Ok(())
    }

    /// Names and values of the trainable parameters.
    pub fn trainable(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.parameters.iter().map(|p| (p.name.as_str(), p.var.as_tensor()))
    }

    /// A copy of all trainable values, to come back to.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn snapshot(&self) -> Result<Vec<Tensor>> {
        Ok(self.parameters.iter().map(|p| p.var.copy()).collect::<Result<_, _>>()?)
    }

    /// Sets all trainable values to those of a snapshot.
    ///
    /// # Errors
    /// When the snapshot is of another model.
    pub fn restore(&self, snapshot: &[Tensor]) -> Result<()> {
        for (parameter, value) in self.parameters.iter().zip(snapshot) {
            parameter.var.set(value)?;
        }
        Ok(())
    }

    /// All that training has changed, as tensors of the CPU: of every parameter NAME its value `weights/NAME`,
    /// AdamW's means `first/NAME` and `second/NAME`, and its number of steps `steps/NAME`.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn state(&self) -> Result<Vec<(String, Tensor)>> {
        let mut tensors = Vec::with_capacity(4 * self.parameters.len());
        for Parameter { name, var, optimizer, .. } in &self.parameters {
            let (first, second, steps) = optimizer.state();
            tensors.push((format!("weights/{name}"), var.to_device(&Device::Cpu)?));
            tensors.push((format!("first/{name}"), Tensor::from_vec(first, var.shape(), &Device::Cpu)?));
            tensors.push((format!("second/{name}"), Tensor::from_vec(second, var.shape(), &Device::Cpu)?));
            tensors.push((format!("steps/{name}"), Tensor::new(i64::from(steps), &Device::Cpu)?));
        }
        Ok(tensors)
    }

    /// Takes up a [`Parameters::state`]: training goes on as if it had never stopped.
    ///
    /// # Errors
    /// When it lacks a parameter, or has it in another shape.
    pub fn set_state(&self, tensors: &HashMap<String, Tensor>) -> Result<()> {
        for Parameter { name, var, optimizer, .. } in &self.parameters {
            let get = |part: &str| {
                tensors.get(&format!("{part}/{name}")).with_context(|| format!("{part}/{name} is missing"))
            };
            let values = |part: &str| -> Result<Vec<f32>> { Ok(get(part)?.flatten_all()?.to_vec1()?) };
            let steps = i32::try_from(get("steps")?.to_scalar::<i64>()?)?;
            let fits = optimizer.set_state(values("first")?, values("second")?, steps);
            ensure!(fits, "{name} has another size");
            var.set(&get("weights")?.to_device(var.device())?)?;
        }
        Ok(())
    }

    /// Writes all tensors, frozen ones included, as safetensors.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, file: &Path) -> Result<()> {
        let frozen = self.frozen.iter().map(|(name, tensor)| (name.clone(), tensor.clone()));
        let trained = self.trainable().map(|(name, tensor)| (name.to_owned(), tensor.clone()));
        let tensors: HashMap<String, Tensor> = frozen.chain(trained).collect();
        write_whole_at(file, |_, temporary| Ok(candle_core::safetensors::save(&tensors, temporary)?))
    }
}

/// Euclidean norm of several tensors together.
fn norm(tensors: &[&Tensor]) -> Result<f32> {
    let mut squares = 0f64;
    for tensor in tensors {
        squares += tensor.flatten_all()?.to_vec1::<f32>()?.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>();
    }
    Ok(squares.sqrt() as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::stream;

    #[test]
    fn the_norm_is_taken_over_all_tensors() {
        let a = Tensor::new(&[[3f32, 0.0]], &Device::Cpu).unwrap();
        let b = Tensor::new(&[-4f32], &Device::Cpu).unwrap();
        assert_eq!(norm(&[&a, &b]).unwrap(), 5.0);
    }

    #[test]
    fn a_parameter_without_a_gradient_is_an_error() {
        let mut parameters = Parameters::new(stream(1, "test"));
        let used = parameters.get("used", &[2], Init::Constant(1.0), Group::Head).unwrap();
        parameters.get("unused", &[2], Init::Constant(1.0), Group::Head).unwrap();
        let gradients = used.sum_all().unwrap().backward().unwrap();
        let rates = Rates { encoder: 0.1, head: 0.1, weight_decay: 0.0, clip_norm: None };
        let error = parameters.step(&gradients, rates).unwrap_err().to_string();
        assert!(error.contains("unused received no gradient"), "{error}");
    }
}
