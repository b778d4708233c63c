//! The parameters of a model, in a fixed order: first declared with starting values, then trained.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use candle_core::{Device, Tensor};
use rand_chacha::ChaCha8Rng;

use super::{Compute, Engine, Group, Linear, Loss, Moments, Rates, StartingValues, TableRows, Weight};
use crate::random::uniform;

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

/// The parameters of a model that is being built.
pub struct Builder {
    compute: Compute,
    names: Vec<String>,
    weights: Vec<StartingValues>,
    checkpoint: HashMap<String, Tensor>,
    fresh: Vec<String>,
    is_trained: bool,
    rng: ChaCha8Rng,
}

impl Builder {
    /// Begins a model that is computed in this way. Parameters that no checkpoint provides start at random.
    pub fn new(rng: ChaCha8Rng, compute: Compute) -> Self {
        Self {
            compute,
            names: Vec::new(),
            weights: Vec::new(),
            checkpoint: HashMap::new(),
            fresh: Vec::new(),
            is_trained: true,
            rng,
        }
    }

    /// Trains nothing. The model then needs no memory for gradients and for the optimizer.
    pub fn without_training(self) -> Self {
        Self { is_trained: false, ..self }
    }

    /// Adds the tensors of a checkpoint as starting values.
    pub fn start_from(&mut self, checkpoint: Vec<(String, Tensor)>) {
        self.checkpoint.extend(checkpoint);
    }

    /// Adds a parameter that the checkpoint must have.
    ///
    /// # Errors
    /// When it is missing or has another shape.
    pub fn pretrained(&mut self, name: &str, shape: &[usize], group: Group) -> Result<Weight> {
        self.get(name, shape, Init::Checkpoint, group)
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

    /// Adds a table of the checkpoint that is not trained.
    ///
    /// # Errors
    /// When it is missing or has another shape.
    pub fn frozen_table(&mut self, name: &str, shape: &[usize]) -> Result<Weight> {
        self.declare(name, shape, Init::Checkpoint, None, true)
    }

    /// Adds a parameter, from the checkpoint or with a fresh value.
    ///
    /// # Errors
    /// When it has another shape in the checkpoint.
    pub fn get(&mut self, name: &str, shape: &[usize], init: Init, group: Group) -> Result<Weight> {
        self.declare(name, shape, init, Some(group), false)
    }

    /// Adds a table whose rows are looked up, from the checkpoint or with fresh values.
    ///
    /// # Errors
    /// The same as [`get`](Self::get).
    pub fn table(&mut self, name: &str, shape: &[usize], init: Init, group: Group) -> Result<Weight> {
        self.declare(name, shape, init, Some(group), true)
    }

    fn declare(
        &mut self,
        name: &str,
        shape: &[usize],
        init: Init,
        group: Option<Group>,
        is_table: bool,
    ) -> Result<Weight> {
        let values = match self.checkpoint.get(name) {
            Some(tensor) if tensor.dims() != shape => {
                bail!("the weights have {name} in shape {:?}, the configuration says {shape:?}", tensor.dims())
            }
            Some(tensor) => tensor.contiguous()?,
            None => self.fresh_value(name, shape, init)?,
        };
        self.names.push(name.to_owned());
        self.weights.push(StartingValues { values, group: group.filter(|_| self.is_trained), is_table });
        Ok(Weight(self.weights.len() - 1))
    }

    fn fresh_value(&mut self, name: &str, shape: &[usize], init: Init) -> Result<Tensor> {
        let tensor = match init {
            Init::FanIn(n) => uniform(&mut self.rng, shape, 1.0 / (n as f32).sqrt())?,
            Init::Uniform(bound) => uniform(&mut self.rng, shape, bound)?,
            Init::Constant(value) => Tensor::full(value, shape, &Device::Cpu)?,
            Init::Checkpoint => bail!("the weights have no tensor {name}"),
        };
        self.fresh.push(name.to_owned());
        Ok(tensor)
    }

    /// Finishes building the model: drops the checkpoint and gives the weights to an engine.
    ///
    /// # Errors
    /// When the device does not have enough memory.
    pub fn finish(self) -> Result<Parameters> {
        let Self { compute, names, weights, fresh, checkpoint, .. } = self;
        drop(checkpoint);
        let engine = compute.engine(&weights)?;
        let trained = |(i, weight): (usize, &StartingValues)| weight.group.map(|_| (Weight(i), Kind::of(weight)));
        let (trained, kinds) = weights.iter().enumerate().filter_map(trained).unzip();
        Ok(Parameters { names, trained, kinds, fresh, engine })
    }
}

/// Which elements of a parameter have a gradient.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Only some rows have one.
    Table,
    /// Every element has one.
    Other { elements: usize },
}

impl Kind {
    fn of(weight: &StartingValues) -> Self {
        if weight.is_table { Self::Table } else { Self::Other { elements: weight.values.elem_count() } }
    }
}

/// Smallest number of elements in a piece of gradients that is added up. A piece fits in the cache of the CPU. But it
/// is so large that a network takes no more time for all pieces than for all gradients at once.
const PIECE: usize = 1 << 18;

/// The parameters of a model, trained and frozen ones.
pub struct Parameters {
    /// The names of all weights, in the order of their numbers.
    names: Vec<String>,
    trained: Vec<Weight>,
    /// The kind of each trained weight.
    kinds: Vec<Kind>,
    fresh: Vec<String>,
    engine: Box<dyn Engine>,
}

impl Parameters {
    /// Returns the engine that computes with them.
    pub fn engine(&self) -> &dyn Engine {
        &*self.engine
    }

    /// Returns the names of the parameters that started with fresh values. In a model that was trained before,
    /// there are none.
    pub fn fresh(&self) -> &[String] {
        &self.fresh
    }

    fn name(&self, weight: Weight) -> &str {
        self.names.get(weight.0).map_or("", String::as_str)
    }

    /// Returns the names of the trained parameters.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.trained.iter().map(|&weight| self.name(weight))
    }

    /// Computes the gradient of a loss for every trained parameter. It replaces the gradients of an earlier loss.
    ///
    /// # Errors
    /// When a parameter got no gradient, because it would never train and nobody would notice.
    pub fn backward(&self, loss: Loss) -> Result<()> {
        self.engine.clear_gradients();
        self.backward_more(loss)
    }

    /// Adds the gradient of a loss to the gradients of the losses before.
    ///
    /// # Errors
    /// The same as [`backward`](Self::backward).
    pub fn backward_more(&self, loss: Loss) -> Result<()> {
        // The gradients of the values between the parameters and the loss are not needed any more.
        drop(loss.tape.backward(&loss.value, |a, b| self.engine.add(a, b))?);
        for &weight in &self.trained {
            ensure!(self.engine.has_gradient(weight), "parameter {} received no gradient", self.name(weight));
        }
        Ok(())
    }

    /// Deletes all gradients. [`backward`](Self::backward) does this by itself.
    pub fn clear_gradients(&self) {
        self.engine.clear_gradients();
    }

    /// Lets `sum` replace the gradients of all parameters except tables. `sum` gets them in pieces, in a fixed order.
    /// Without a backward pass they are 0.
    ///
    /// # Errors
    /// When `sum` fails or returns another number of elements, or the device fails.
    pub fn sum_dense(&self, mut sum: impl FnMut(Vec<f32>) -> Result<Vec<f32>>) -> Result<()> {
        let (mut piece, mut values) = (Vec::new(), Vec::new());
        let mut weights = self.trained.iter().zip(&self.kinds).peekable();
        while let Some((&weight, &kind)) = weights.next() {
            if let Kind::Other { elements } = kind {
                let end = values.len() + elements;
                self.engine.append_gradient(weight, &mut values)?;
                values.resize(end, 0.0);
                piece.push((weight, elements));
            }
            if values.len() < PIECE && weights.peek().is_some() {
                continue;
            }
            values = sum(values)?;
            let mut rest = values.as_slice();
            for (weight, elements) in piece.drain(..) {
                let (own, after) = rest.split_at_checked(elements).context("gradients of another model")?;
                self.engine.set_gradient(weight, own)?;
                rest = after;
            }
            ensure!(rest.is_empty(), "gradients of another model");
            values.clear();
        }
        Ok(())
    }

    /// Returns the rows with a gradient of each table.
    ///
    /// # Errors
    /// When the device fails.
    pub fn table_gradients(&self) -> Result<Vec<TableRows>> {
        self.tables().map(|table| self.engine.table_gradient(table)).collect()
    }

    /// Replaces the gradients of all tables by the sums of the gradients in `all`.
    ///
    /// # Errors
    /// When `all` has gradients of another model, or the device fails.
    pub fn set_table_gradients<'s>(&self, all: &'s [Vec<TableRows>]) -> Result<()> {
        for (at, table) in self.tables().enumerate() {
            let of = |tables: &'s Vec<TableRows>| tables.get(at).context("gradients of another model");
            self.engine.set_table_gradient(table, &all.iter().map(of).collect::<Result<Vec<_>>>()?)?;
        }
        Ok(())
    }

    fn tables(&self) -> impl Iterator<Item = Weight> {
        let kinds = self.trained.iter().zip(&self.kinds);
        kinds.filter(|(_, kind)| matches!(kind, Kind::Table)).map(|(&weight, _)| weight)
    }

    /// Makes one optimizer step with the gradients since the last [`backward`](Self::backward).
    ///
    /// # Errors
    /// When there are no gradients.
    pub fn step(&self, rates: Rates) -> Result<()> {
        self.engine.step(rates)
    }

    /// Returns the names and gradients of the trained parameters, each gradient as a flat list.
    ///
    /// # Errors
    /// When the device fails.
    pub fn gradients(&self) -> Result<Vec<(&str, Vec<f32>)>> {
        let of = |&weight: &Weight| {
            let mut gradient = Vec::new();
            self.engine.append_gradient(weight, &mut gradient)?;
            Ok((self.name(weight), gradient))
        };
        self.trained.iter().map(of).collect()
    }

    /// Copies all trained values, on the device that computes, in the order of [`names`](Self::names).
    ///
    /// # Errors
    /// When memory is full.
    pub fn snapshot(&self) -> Result<Vec<Tensor>> {
        self.engine.values(&self.trained)
    }

    /// Returns whether all trained values are finite.
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

    /// Sets all trained values to those of a snapshot. The snapshot may be on any device.
    ///
    /// # Errors
    /// When the snapshot belongs to another model.
    pub fn restore(&self, snapshot: &[Tensor]) -> Result<()> {
        self.engine.set_values(snapshot)
    }

    /// Returns everything that training has changed, as tensors on the CPU. For every parameter NAME these are its
    /// value `weights/NAME`, AdamW's means `first/NAME` and `second/NAME`, and its number of steps `steps/NAME`.
    ///
    /// # Errors
    /// When memory is full.
    pub fn state(&self) -> Result<Vec<(String, Tensor)>> {
        let mut tensors = Vec::with_capacity(4 * self.trained.len());
        for ((name, value), moments) in self.names().zip(self.snapshot()?).zip(self.engine.moments()?) {
            let Moments { first, second, steps } = moments;
            for (part, tensor) in [("weights", value), ("first", first), ("second", second)] {
                tensors.push((format!("{part}/{name}"), tensor.to_device(&Device::Cpu)?));
            }
            tensors.push((format!("steps/{name}"), Tensor::new(i64::from(steps), &Device::Cpu)?));
        }
        Ok(tensors)
    }

    /// Restores a [`Parameters::state`], so that training continues as if it had never stopped.
    ///
    /// # Errors
    /// When a parameter is missing or has another shape.
    pub fn set_state(&self, tensors: &HashMap<String, Tensor>) -> Result<()> {
        let get = |part: &str, name: &str| {
            tensors.get(&format!("{part}/{name}")).cloned().with_context(|| format!("{part}/{name} is missing"))
        };
        let values = self.names().map(|name| get("weights", name)).collect::<Result<Vec<_>>>()?;
        let moments = |name| -> Result<Moments> {
            let steps = i32::try_from(get("steps", name)?.to_scalar::<i64>()?)?;
            Ok(Moments { first: get("first", name)?, second: get("second", name)?, steps })
        };
        let moments = self.names().map(moments).collect::<Result<Vec<_>>>()?;
        self.engine.set_values(&values)?;
        self.engine.set_moments(&moments)
    }

    /// Writes all tensors to a safetensors file, including frozen ones.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, file: &Path) -> Result<()> {
        let all: Vec<Weight> = (0..self.names.len()).map(Weight).collect();
        let values = self.engine.values(&all)?;
        let on_cpu = |(name, tensor): (&String, Tensor)| Ok((name.clone(), tensor.to_device(&Device::Cpu)?));
        let tensors = self.names.iter().zip(values).map(on_cpu).collect::<Result<HashMap<_, _>>>()?;
        Ok(candle_core::safetensors::save(&tensors, file)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Batch;
    use crate::random::stream;
    use crate::{Masks, Pass, Tape};

    /// Builds parameters and the loss 3·a − 4·b of the weight (a, b), with (1, 1) at the start.
    fn layers(with_unused: bool) -> (Parameters, Weight) {
        let mut builder = Builder::new(stream(1, "test"), Compute::Kernels);
        let used = builder.get("used", &[1, 2], Init::Constant(1.0), Group::Head).unwrap();
        if with_unused {
            builder.get("unused", &[2], Init::Constant(1.0), Group::Head).unwrap();
        }
        (builder.finish().unwrap(), used)
    }

    fn loss(parameters: &Parameters, weight: Weight) -> Loss {
        let batch = Batch::pack(&[]);
        let mut pass = Pass::new(parameters.engine(), &batch, Masks::evaluation(), Tape::recording()).unwrap();
        let x = Tensor::new(&[[3f32, -4.0]], &Device::Cpu).unwrap();
        let y = pass.linear(&x, Linear { weight, bias: None }).unwrap();
        let mut tape = pass.into_tape();
        let value = y.sum_all().unwrap();
        tape.record(&value, &[&y], |g| Ok(vec![g.reshape((1, 1))?]));
        Loss { value, tape }
    }

    #[test]
    fn long_gradients_are_scaled_down() {
        let (parameters, used) = layers(false);
        let rates = |clip_norm| Rates { encoder: 0.0, head: 0.1, weight_decay: 0.0, clip_norm };
        let factor = |clip_norm| rates(clip_norm).scale(|| Ok::<_, ()>(5.0)).unwrap();
        assert_eq!([Some(2.5), Some(10.0), None].map(factor), [0.5, 1.0, 1.0]);
        parameters.backward(loss(&parameters, used)).unwrap();
        assert_eq!(parameters.gradients().unwrap(), [("used", vec![3.0, -4.0])]);
        // A second backward pass replaces the gradients of the first.
        parameters.backward(loss(&parameters, used)).unwrap();
        assert_eq!(parameters.gradients().unwrap(), [("used", vec![3.0, -4.0])]);
        parameters.backward_more(loss(&parameters, used)).unwrap();
        assert_eq!(parameters.gradients().unwrap(), [("used", vec![6.0, -8.0])]);
        parameters.backward(loss(&parameters, used)).unwrap();
        // AdamW's mean of the gradient after one step is a tenth of the clipped gradient, whose norm was 5.
        parameters.step(rates(Some(2.5))).unwrap();
        let first = parameters.engine().moments().unwrap()[0].first.to_vec2::<f32>().unwrap();
        for (found, expected) in first[0].iter().zip([0.15, -0.2]) {
            assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
        }
    }

    #[test]
    fn a_parameter_without_a_gradient_is_an_error() {
        let (parameters, used) = layers(true);
        let error = parameters.backward(loss(&parameters, used)).unwrap_err().to_string();
        assert!(error.contains("unused received no gradient"), "{error}");
    }

    #[test]
    fn without_training_nothing_is_trained() {
        let mut builder = Builder::new(stream(1, "test"), Compute::Kernels).without_training();
        builder.get("used", &[1, 2], Init::Constant(1.0), Group::Head).unwrap();
        let parameters = builder.finish().unwrap();
        assert_eq!(parameters.names().count(), 0);
        assert_eq!(parameters.fresh(), ["used"]);
    }
}
