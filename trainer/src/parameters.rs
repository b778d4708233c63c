//! The trainable parameters of a model, in a fixed order, with their optimizer state.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use candle_core::{Device, Tensor, Var};
use rand_chacha::ChaCha8Rng;

use crate::encoder::checkpoint;
use crate::ops::{AdamW, Linear, Part, Weight};
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
    weight: Weight,
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
    /// Names of those that no checkpoint gave.
    fresh: Vec<String>,
    rng: ChaCha8Rng,
}

impl Parameters {
    /// Parameters that all start at random.
    pub fn new(rng: ChaCha8Rng) -> Self {
        Self { parameters: Vec::new(), frozen: Vec::new(), checkpoint: HashMap::new(), fresh: Vec::new(), rng }
    }

    /// Adds the tensors of a weights file, safetensors or PyTorch's, to start from.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn load_checkpoint(&mut self, file: &Path) -> Result<()> {
        self.checkpoint.extend(checkpoint::read(file)?);
        Ok(())
    }

    /// A parameter that the checkpoint must have.
    ///
    /// # Errors
    /// When it is missing or has another shape.
    pub fn pretrained(&mut self, name: &str, shape: &[usize], group: Group) -> Result<Weight> {
        let tensor =
            self.checkpoint_tensor(name, shape)?.with_context(|| format!("the weights have no tensor {name}"))?;
        self.register(name, &tensor, group)
    }

    /// A tensor of the checkpoint that is not trained.
    ///
    /// # Errors
    /// When it is missing or has another shape.
    pub fn frozen(&mut self, name: &str, shape: &[usize]) -> Result<Weight> {
        let tensor =
            self.checkpoint_tensor(name, shape)?.with_context(|| format!("the weights have no tensor {name}"))?;
        self.frozen.push((name.to_owned(), tensor.clone()));
        Ok(Weight::frozen(tensor))
    }

    /// A parameter from the checkpoint, or a fresh one.
    ///
    /// # Errors
    /// When the checkpoint has it in another shape.
    pub fn get(&mut self, name: &str, shape: &[usize], init: Init, group: Group) -> Result<Weight> {
        let tensor = match self.checkpoint_tensor(name, shape)? {
            Some(tensor) => tensor,
            None => {
                self.fresh.push(name.to_owned());
                match init {
                    Init::FanIn(n) => uniform(&mut self.rng, shape, 1.0 / (n as f32).sqrt())?,
                    Init::Uniform(bound) => uniform(&mut self.rng, shape, bound)?,
                    Init::Constant(value) => Tensor::full(value, shape, &Device::Cpu)?,
                }
            }
        };
        self.register(name, &tensor, group)
    }

    /// A linear layer: `NAME.weight` `[outputs, inputs]` and `NAME.bias` `[outputs]` of the checkpoint.
    ///
    /// # Errors
    /// As [`pretrained`](Self::pretrained).
    pub fn pretrained_linear(&mut self, name: &str, inputs: usize, outputs: usize, group: Group) -> Result<Linear> {
        let weight = self.pretrained(&format!("{name}.weight"), &[outputs, inputs], group)?;
        let bias = self.pretrained(&format!("{name}.bias"), &[outputs], group)?;
        Ok(Linear { weight, bias: Some(bias) })
    }

    fn checkpoint_tensor(&self, name: &str, shape: &[usize]) -> Result<Option<Tensor>> {
        match self.checkpoint.get(name) {
            Some(tensor) if tensor.dims() != shape => {
                bail!("the weights have {name} in shape {:?}, the configuration says {shape:?}", tensor.dims())
            }
            found => Ok(found.cloned()),
        }
    }

    fn register(&mut self, name: &str, tensor: &Tensor, group: Group) -> Result<Weight> {
        let var = Var::from_tensor(&tensor.contiguous()?)?;
        let weight = Weight::trained(&var);
        let optimizer = AdamW::new(tensor.elem_count());
        self.parameters.push(Parameter { name: name.to_owned(), group, var, weight: weight.clone(), optimizer });
        Ok(weight)
    }

    /// Names of the parameters that started at random: none in a model that was trained before.
    pub fn fresh(&self) -> &[String] {
        &self.fresh
    }

    /// Drops the checkpoint once the model is built.
    pub fn finish(&mut self) {
        self.checkpoint = HashMap::new();
    }

    /// The gradient of a loss with respect to every parameter, in place of what an earlier loss left.
    ///
    /// # Errors
    /// When a parameter received none: it would silently never train.
    pub fn backward(&self, loss: &Tensor) -> Result<()> {
        for mut gradient in self.parameters.iter().filter_map(|p| p.weight.gradient()) {
            gradient.clear();
        }
        // What lies between the parameters and the loss is of no further use.
        drop(loss.backward()?);
        for parameter in &self.parameters {
            let received = parameter.weight.gradient().is_some_and(|gradient| gradient.part() != Part::None);
            ensure!(received, "parameter {} received no gradient", parameter.name);
        }
        Ok(())
    }

    /// One optimizer step by the gradients of the last [`backward`](Self::backward).
    ///
    /// # Errors
    /// When there was none.
    pub fn step(&self, rates: Rates) -> Result<()> {
        let scale = match rates.clip_norm {
            Some(limit) => (limit / self.gradient_norm()).min(1.0),
            None => 1.0,
        };
        for parameter in &self.parameters {
            let rate = match parameter.group {
                Group::Encoder => rates.encoder,
                Group::Head => rates.head,
            };
            parameter.optimizer.step(&parameter.weight, scale, rate, rates.weight_decay)?;
        }
        Ok(())
    }

    /// Euclidean norm of all gradients together.
    fn gradient_norm(&self) -> f32 {
        let squares: f64 = self
            .parameters
            .iter()
            .filter_map(|p| p.weight.gradient())
            .map(|gradient| gradient.sums().iter().map(|&v| f64::from(v).powi(2)).sum::<f64>())
            .sum();
        squares.sqrt() as f32
    }

    /// Names and gradients of the trainable parameters, each flat.
    pub fn gradients(&self) -> impl Iterator<Item = (&str, Vec<f32>)> {
        self.parameters.iter().filter_map(|p| Some((p.name.as_str(), p.weight.gradient()?.sums().to_vec())))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::linear;
    use crate::random::stream;

    /// Two layers of which the loss uses one, with input 3 and 4.
    fn layers() -> (Parameters, Tensor) {
        let mut parameters = Parameters::new(stream(1, "test"));
        let used = parameters.get("used", &[1, 2], Init::Constant(1.0), Group::Head).unwrap();
        let x = Tensor::new(&[[3f32, -4.0]], &Device::Cpu).unwrap();
        (parameters, linear(&x, &Linear { weight: used, bias: None }).unwrap().sum_all().unwrap())
    }

    #[test]
    fn long_gradients_are_scaled_down() {
        let (parameters, loss) = layers();
        parameters.backward(&loss).unwrap();
        assert_eq!(parameters.gradient_norm(), 5.0);
        // A second backward pass replaces the gradients of the first.
        parameters.backward(&loss).unwrap();
        assert_eq!(parameters.gradient_norm(), 5.0);
    }

    #[test]
    fn a_parameter_without_a_gradient_is_an_error() {
        let (mut parameters, loss) = layers();
        parameters.get("unused", &[2], Init::Constant(1.0), Group::Head).unwrap();
        let error = parameters.backward(&loss).unwrap_err().to_string();
        assert!(error.contains("unused received no gradient"), "{error}");
    }
}
