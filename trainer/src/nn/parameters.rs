//! Trainable parameters of a model, in a fixed order, with their optimizer state.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use candle_core::{DType, Device, Tensor, Var};
use rand_chacha::ChaCha8Rng;

use crate::encoder::checkpoint;
use crate::nn::kernels::{AdamW, Linear, Part, Weight};
use crate::nn::tensors::{Layout, Placed, Store, Tape};
use crate::nn::{Compute, TensorCompute};
use crate::random::uniform;
use crate::run_dir::write_whole_at;

/// Parts of a model that have their own learning rates.
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
    /// Rate of the encoder.
    pub encoder: f32,
    /// Rate of the head.
    pub head: f32,
    /// Decoupled weight decay of matrices and tables. Vectors (biases and layer norms) do not decay.
    pub weight_decay: f32,
    /// Largest Euclidean norm of all gradients together. Longer gradients are scaled down to it.
    pub clip_norm: Option<f32>,
}

/// Returns whether weight decay acts on a weight of this shape.
///
/// It does not act on vectors. Every vector is a bias or belongs to a layer norm, and pulling these to 0 weakens
/// the model without making it simpler.
pub(crate) fn decays(shape: &[usize]) -> bool {
    shape.len() > 1
}

struct Parameter {
    name: String,
    group: Group,
    /// Whether the parameter is a table whose rows are looked up.
    is_table: bool,
    var: Var,
    weight: Weight,
    optimizer: AdamW,
}

/// Starting value of a parameter that no checkpoint provides.
#[derive(Debug, Clone, Copy)]
pub enum Init {
    /// Uniform in ±1/√n, like PyTorch's linear layers with n inputs.
    FanIn(usize),
    /// Uniform in ±bound.
    Uniform(f32),
    /// The same value everywhere.
    Constant(f32),
    /// No starting value: the checkpoint must have the parameter.
    Checkpoint,
}

/// A loss that is ready for its backward pass.
pub struct Loss {
    /// The loss, a scalar.
    pub value: Tensor,
    /// The operations that led to the loss, if candle does not keep them itself.
    pub tape: Option<Tape>,
}

/// Parameters of a model that is being built or trained.
pub struct Parameters {
    parameters: Vec<Parameter>,
    frozen: Vec<(String, Tensor, Weight)>,
    checkpoint: HashMap<String, Tensor>,
    /// Names of the parameters that no checkpoint provided.
    fresh: Vec<String>,
    rng: ChaCha8Rng,
    compute: Compute,
    /// The weights and their optimizer, if they are on a device.
    store: Option<Store>,
}

impl Parameters {
    /// Creates an empty set of parameters. New parameters start at random.
    pub fn new(rng: ChaCha8Rng) -> Self {
        Self {
            parameters: Vec::new(),
            frozen: Vec::new(),
            checkpoint: HashMap::new(),
            fresh: Vec::new(),
            rng,
            compute: Compute::Kernels,
            store: None,
        }
    }

    /// Sets how the model computes.
    pub fn computed_by(self, compute: Compute) -> Self {
        Self { compute, ..self }
    }

    /// Returns how the model computes.
    pub fn compute(&self) -> &Compute {
        &self.compute
    }

    /// Adds the tensors of a safetensors or PyTorch weights file as starting values.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn load_checkpoint(&mut self, file: &Path) -> Result<()> {
        self.checkpoint.extend(checkpoint::read(file)?);
        Ok(())
    }

    /// Adds a parameter that the checkpoint must have.
    ///
    /// # Errors
    /// When it is missing or has another shape.
    pub fn pretrained(&mut self, name: &str, shape: &[usize], group: Group) -> Result<Weight> {
        self.get(name, shape, Init::Checkpoint, group)
    }

    /// Adds a tensor of the checkpoint that is not trained.
    ///
    /// # Errors
    /// When it is missing or has another shape.
    pub fn frozen(&mut self, name: &str, shape: &[usize]) -> Result<Weight> {
        let tensor =
            self.checkpoint_tensor(name, shape)?.with_context(|| format!("the weights have no tensor {name}"))?;
        let weight = Weight::frozen(tensor.clone());
        self.frozen.push((name.to_owned(), tensor, weight.clone()));
        Ok(weight)
    }

    /// Adds a parameter, from the checkpoint or with a fresh value.
    ///
    /// # Errors
    /// When it has another shape in the checkpoint.
    pub fn get(&mut self, name: &str, shape: &[usize], init: Init, group: Group) -> Result<Weight> {
        let tensor = self.starting_value(name, shape, init)?;
        self.register(name, &tensor, group, false)
    }

    /// Adds a table whose rows are looked up, from the checkpoint or with fresh values.
    ///
    /// # Errors
    /// The same as [`get`](Self::get).
    pub fn table(&mut self, name: &str, shape: &[usize], init: Init, group: Group) -> Result<Weight> {
        let tensor = self.starting_value(name, shape, init)?;
        self.register(name, &tensor, group, true)
    }

    fn starting_value(&mut self, name: &str, shape: &[usize], init: Init) -> Result<Tensor> {
        if let Some(tensor) = self.checkpoint_tensor(name, shape)? {
            return Ok(tensor);
        }
        let tensor = match init {
            Init::FanIn(n) => uniform(&mut self.rng, shape, 1.0 / (n as f32).sqrt())?,
            Init::Uniform(bound) => uniform(&mut self.rng, shape, bound)?,
            Init::Constant(value) => Tensor::full(value, shape, &Device::Cpu)?,
            Init::Checkpoint => bail!("the weights have no tensor {name}"),
        };
        self.fresh.push(name.to_owned());
        Ok(tensor)
    }

    /// Adds a linear layer from the checkpoint: `NAME.weight` `[outputs, inputs]` and `NAME.bias` `[outputs]`.
    ///
    /// # Errors
    /// The same as [`pretrained`](Self::pretrained).
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

    fn register(&mut self, name: &str, tensor: &Tensor, group: Group, is_table: bool) -> Result<Weight> {
        let var = Var::from_tensor(&tensor.contiguous()?)?;
        let weight = Weight::trained(&var);
        let (name, optimizer) = (name.to_owned(), AdamW::new(tensor.elem_count()));
        self.parameters.push(Parameter { name, group, is_table, var, weight: weight.clone(), optimizer });
        Ok(weight)
    }

    /// Returns the names of the parameters that started with fresh values. In a model that was trained before,
    /// there are none.
    pub fn fresh(&self) -> &[String] {
        &self.fresh
    }

    /// Finishes building the model: drops the checkpoint and copies the weights to the device that computes.
    ///
    /// # Errors
    /// When the device does not have enough memory.
    pub fn finish(&mut self) -> Result<()> {
        self.checkpoint = HashMap::new();
        let Compute::Tensors(TensorCompute { device, dtype, .. }) = &self.compute else { return Ok(()) };
        let layout =
            |p: &Parameter| Layout { values: p.var.as_detached_tensor(), group: p.group, is_table: p.is_table };
        let layouts: Vec<Layout> = self.parameters.iter().map(layout).collect();
        let (store, placed) = Store::new(&layouts, *dtype, device)?;
        for (parameter, placed) in self.parameters.iter().zip(placed) {
            parameter.weight.place(placed);
        }
        for (_, values, weight) in &self.frozen {
            // Only tables are frozen, and their rows are looked up in f32.
            weight.place(Placed::frozen(&values.to_device(device)?, DType::F32)?);
        }
        self.store = Some(store);
        Ok(())
    }

    /// Computes the gradient of a loss for every parameter. It replaces the gradients of an earlier loss.
    ///
    /// # Errors
    /// When a parameter got no gradient, because it would never train and nobody would notice.
    pub fn backward(&self, loss: Loss) -> Result<()> {
        let Loss { value, tape } = loss;
        if let Some(tape) = tape {
            for parameter in &self.parameters {
                parameter.weight.placed()?.clear();
            }
            tape.backward(&value)?;
            for Parameter { name, weight, .. } in &self.parameters {
                ensure!(weight.placed()?.gradient().is_some(), "parameter {name} received no gradient");
            }
            return Ok(());
        }
        for mut gradient in self.parameters.iter().filter_map(|p| p.weight.gradient()) {
            gradient.clear();
        }
        // The gradients of the values between the parameters and the loss are not needed any more.
        drop(value.backward()?);
        for parameter in &self.parameters {
            let received = parameter.weight.gradient().is_some_and(|gradient| gradient.part() != Part::None);
            ensure!(received, "parameter {} received no gradient", parameter.name);
        }
        Ok(())
    }

    /// Makes one optimizer step with the gradients of the last [`backward`](Self::backward).
    ///
    /// # Errors
    /// When there are no gradients.
    pub fn step(&self, rates: Rates) -> Result<()> {
        if let Some(store) = &self.store {
            let gradient = |p: &Parameter| -> Result<_> {
                p.weight.placed()?.gradient().with_context(|| format!("parameter {} has no gradient", p.name))
            };
            let gradients = self.parameters.iter().map(gradient).collect::<Result<Vec<_>>>()?;
            return Ok(store.step(&gradients, rates)?);
        }
        let scale = match rates.clip_norm {
            Some(limit) => (limit / self.gradient_norm()).min(1.0),
            None => 1.0,
        };
        for parameter in &self.parameters {
            let rate = match parameter.group {
                Group::Encoder => rates.encoder,
                Group::Head => rates.head,
            };
            let weight_decay = if decays(parameter.var.dims()) { rates.weight_decay } else { 0.0 };
            parameter.optimizer.step(&parameter.weight, scale, rate, weight_decay)?;
        }
        Ok(())
    }

    /// Returns the Euclidean norm of all gradients together.
    fn gradient_norm(&self) -> f32 {
        let squares: f64 = self
            .parameters
            .iter()
            .filter_map(|p| p.weight.gradient())
            .map(|gradient| gradient.sums().iter().map(|&v| f64::from(v).powi(2)).sum::<f64>())
            .sum();
        squares.sqrt() as f32
    }

    /// Returns the names and gradients of the trainable parameters, each gradient as a flat list.
    ///
    /// # Errors
    /// When the device fails.
    pub fn gradients(&self) -> Result<Vec<(&str, Vec<f32>)>> {
        let values = |p: &Parameter| -> Result<Vec<f32>> {
            if self.store.is_some() {
                let gradient = p.weight.placed()?.gradient();
                let gradient = gradient.with_context(|| format!("parameter {} has no gradient", p.name))?;
                return Ok(gradient.sums.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?);
            }
            Ok(p.weight.gradient().map(|gradient| gradient.sums().to_vec()).unwrap_or_default())
        };
        self.parameters.iter().map(|p| Ok((p.name.as_str(), values(p)?))).collect()
    }

    /// Returns the names of the trainable parameters.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parameters.iter().map(|p| p.name.as_str())
    }

    /// Copies all trainable values, on the device that computes, in the order of [`names`](Self::names).
    ///
    /// # Errors
    /// When memory is full.
    pub fn snapshot(&self) -> Result<Vec<Tensor>> {
        match &self.store {
            Some(store) => Ok(store.values()?),
            None => Ok(self.parameters.iter().map(|p| p.var.copy()).collect::<Result<_, _>>()?),
        }
    }

    /// Returns whether all trainable values are finite.
    ///
    /// # Errors
    /// When memory is full.
    pub fn are_finite(&self) -> Result<bool> {
        // 0 · x is 0 for every finite x, and not a number otherwise.
        let is_finite = |values: &Tensor| -> candle_core::Result<bool> {
            Ok(values.affine(0.0, 0.0)?.sum_all()?.to_scalar::<f32>()? == 0.0)
        };
        for values in self.snapshot()? {
            if !is_finite(&values)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Sets all trainable values to those of a snapshot. The snapshot may be on any device.
    ///
    /// # Errors
    /// When the snapshot belongs to another model.
    pub fn restore(&self, snapshot: &[Tensor]) -> Result<()> {
        if let Some(store) = &self.store {
            return Ok(store.set_values(snapshot)?);
        }
        for (parameter, value) in self.parameters.iter().zip(snapshot) {
            parameter.var.set(value)?;
        }
        Ok(())
    }

    /// Returns everything that training has changed, as tensors on the CPU. For every parameter NAME these are its
    /// value `weights/NAME`, AdamW's means `first/NAME` and `second/NAME`, and its number of steps `steps/NAME`.
    ///
    /// # Errors
    /// When memory is full.
    pub fn state(&self) -> Result<Vec<(String, Tensor)>> {
        let mut tensors = Vec::with_capacity(4 * self.parameters.len());
        if let Some(store) = &self.store {
            let moments = store.moments()?;
            for ((name, value), (first, second, steps)) in self.names().zip(store.values()?).zip(moments) {
                for (part, tensor) in [("weights", value), ("first", first), ("second", second)] {
                    tensors.push((format!("{part}/{name}"), tensor.to_device(&Device::Cpu)?));
                }
                tensors.push((format!("steps/{name}"), Tensor::new(i64::from(steps), &Device::Cpu)?));
            }
            return Ok(tensors);
        }
        for Parameter { name, var, optimizer, .. } in &self.parameters {
            let (first, second, steps) = optimizer.state();
            tensors.push((format!("weights/{name}"), var.to_device(&Device::Cpu)?));
            tensors.push((format!("first/{name}"), Tensor::from_vec(first, var.shape(), &Device::Cpu)?));
            tensors.push((format!("second/{name}"), Tensor::from_vec(second, var.shape(), &Device::Cpu)?));
            tensors.push((format!("steps/{name}"), Tensor::new(i64::from(steps), &Device::Cpu)?));
        }
        Ok(tensors)
    }

    /// Restores a [`Parameters::state`], so that training continues as if it had never stopped.
    ///
    /// # Errors
    /// When a parameter is missing or has another shape.
    pub fn set_state(&self, tensors: &HashMap<String, Tensor>) -> Result<()> {
        if let Some(store) = &self.store {
            let of_all = |part: &str| -> Result<Vec<Tensor>> {
                let get = |name: &str| tensors.get(&format!("{part}/{name}")).cloned();
                self.names().map(|name| get(name).with_context(|| format!("{part}/{name} is missing"))).collect()
            };
            store.set_values(&of_all("weights")?)?;
            let steps = of_all("steps")?;
            let steps =
                steps.iter().map(|n| Ok(i32::try_from(n.to_scalar::<i64>()?)?)).collect::<Result<Vec<i32>>>()?;
            return Ok(store.set_moments(&of_all("first")?, &of_all("second")?, &steps)?);
        }
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

    /// Writes all tensors to a safetensors file, including frozen ones.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, file: &Path) -> Result<()> {
        let mut tensors: HashMap<String, Tensor> =
            self.frozen.iter().map(|(name, tensor, _)| (name.clone(), tensor.clone())).collect();
        let trained: Vec<Tensor> = match &self.store {
            Some(store) => store.values()?,
            None => self.parameters.iter().map(|p| p.var.as_tensor().clone()).collect(),
        };
        for (name, tensor) in self.names().zip(trained) {
            tensors.insert(name.to_owned(), tensor.to_device(&Device::Cpu)?);
        }
        write_whole_at(file, |_, temporary| Ok(candle_core::safetensors::save(&tensors, temporary)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::kernels::linear;
    use crate::random::stream;

    /// Builds parameters and a loss that uses one of them, with input (3, −4).
    fn layers() -> (Parameters, Loss) {
        let mut parameters = Parameters::new(stream(1, "test"));
        let used = parameters.get("used", &[1, 2], Init::Constant(1.0), Group::Head).unwrap();
        let x = Tensor::new(&[[3f32, -4.0]], &Device::Cpu).unwrap();
        let value = linear(&x, &Linear { weight: used, bias: None }).unwrap().sum_all().unwrap();
        (parameters, Loss { value, tape: None })
    }

    #[test]
    fn long_gradients_are_scaled_down() {
        let (parameters, loss) = layers();
        let again = Loss { value: loss.value.clone(), tape: None };
        parameters.backward(loss).unwrap();
        assert_eq!(parameters.gradient_norm(), 5.0);
        // A second backward pass replaces the gradients of the first.
        parameters.backward(again).unwrap();
        assert_eq!(parameters.gradient_norm(), 5.0);
    }

    #[test]
    fn a_parameter_without_a_gradient_is_an_error() {
        let (mut parameters, loss) = layers();
        parameters.get("unused", &[2], Init::Constant(1.0), Group::Head).unwrap();
        let error = parameters.backward(loss).unwrap_err().to_string();
        assert!(error.contains("unused received no gradient"), "{error}");
    }
}
