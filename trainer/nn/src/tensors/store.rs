//! All trained weights, one after the other in a few long tensors, with their optimizer.
//!
//! There is one long tensor per group with its own learning rate. Tables have separate tensors, because only the
//! rows that were looked up change. In each tensor, matrices come before vectors, in the order of the model. So
//! weights that are multiplied with the same input are adjacent.

use std::cell::{Cell, RefCell};

use candle_core::{DType, Device, Result, Tensor, Var};

use super::adamw::{Means, Step, where_moved};
use super::weight::{Part, TensorGradient, TensorWeight};
use crate::engine::Moments;
use crate::weight::{Group, Rates, StartingValues, decays};

/// The trained weights on a device.
pub struct Store {
    regions: Vec<Region>,
    /// For each weight, the index of its region and its index in that region.
    places: Vec<(usize, usize)>,
}

struct Member {
    /// Number of the weight among the trained weights.
    weight: usize,
    start: usize,
    shape: Vec<usize>,
}

impl Member {
    fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Returns its part of a long tensor.
    fn of(&self, whole: &Tensor) -> Result<Tensor> {
        whole.narrow(0, self.start, self.elements())?.reshape(self.shape.as_slice())
    }
}

struct Region {
    group: Group,
    is_table: bool,
    members: Vec<Member>,
    values: Var,
    /// The values in the dtype of matrix products, if that is not f32.
    rounded: Option<Var>,
    means: RefCell<Means>,
    steps: Cell<i32>,
}

impl Store {
    /// Copies the trained weights to a device. Also returns them in their places, in the same order.
    ///
    /// # Errors
    /// When the device does not have enough memory.
    pub fn new(all: &[&StartingValues], dtype: DType, device: &Device) -> Result<(Self, Vec<TensorWeight>)> {
        let kinds = [Group::Encoder, Group::Head].into_iter().flat_map(|group| [(group, false), (group, true)]);
        let (mut regions, mut placed) = (Vec::new(), Vec::new());
        for (group, is_table) in kinds {
            let mut weights: Vec<usize> = (0..all.len()).collect();
            weights.retain(|&i| all[i].group == Some(group) && all[i].is_table == is_table);
            weights.sort_by_key(|&i| !decays(all[i].values.dims()));
            if weights.is_empty() {
                continue;
            }
            let region = Region::new(all, weights, (group, is_table), dtype, device)?;
            let places = region.members.iter().enumerate().zip(region.places());
            for ((number, member), place) in places {
                placed.push((member.weight, (regions.len(), number), place));
            }
            regions.push(region);
        }
        placed.sort_by_key(|&(weight, ..)| weight);
        let places = placed.iter().map(|&(_, place, _)| place).collect();
        Ok((Self { regions, places }, placed.into_iter().map(|(.., placed)| placed).collect()))
    }

    /// Returns the Euclidean norm of all gradients together.
    fn gradient_norm(gradients: &[RegionGradient]) -> Result<f64> {
        let mut squares = 0f64;
        for gradient in gradients {
            squares += f64::from(sum(&gradient.sums.sqr()?)?);
        }
        Ok(squares.sqrt())
    }

    /// Makes one optimizer step. There is one gradient per weight.
    ///
    /// # Errors
    /// When the device does not have enough memory.
    pub fn step(&self, gradients: &[TensorGradient], rates: Rates) -> Result<()> {
        let gradients = self.regions.iter().map(|region| region.gradient(gradients)).collect::<Result<Vec<_>>>()?;
        let scale = f64::from(rates.scale(|| Self::gradient_norm(&gradients))?);
        for (region, gradient) in self.regions.iter().zip(&gradients) {
            region.step(gradient, scale, rates)?;
        }
        Ok(())
    }

    /// Copies the values of every weight, on the device.
    ///
    /// # Errors
    /// When the device does not have enough memory.
    pub fn values(&self) -> Result<Vec<Tensor>> {
        let copies = self.regions.iter().map(|r| r.values.as_tensor().copy()).collect::<Result<Vec<_>>>()?;
        self.of_each_weight(&copies)
    }

    /// Returns the state of AdamW of every weight.
    ///
    /// # Errors
    /// Only if the store is inconsistent.
    pub fn moments(&self) -> Result<Vec<Moments>> {
        let means: Vec<Means> = self.regions.iter().map(|r| r.means.borrow().clone()).collect();
        let first = self.of_each_weight(&means.iter().map(|m| m.first.clone()).collect::<Vec<_>>())?;
        let second = self.of_each_weight(&means.iter().map(|m| m.second.clone()).collect::<Vec<_>>())?;
        let steps = self.places.iter().map(|&(region, _)| self.regions[region].steps.get());
        Ok(first
            .into_iter()
            .zip(second)
            .zip(steps)
            .map(|((first, second), steps)| Moments { first, second, steps })
            .collect())
    }

    fn of_each_weight(&self, of_regions: &[Tensor]) -> Result<Vec<Tensor>> {
        let of = |&(region, number): &(usize, usize)| self.regions[region].members[number].of(&of_regions[region]);
        self.places.iter().map(of).collect()
    }

    fn check_number(&self, found: usize) -> Result<()> {
        if found != self.places.len() {
            candle_core::bail!("{found} tensors for {} weights", self.places.len());
        }
        Ok(())
    }

    /// Sets the values of all weights.
    ///
    /// # Errors
    /// When there are too few tensors, or a tensor has another shape.
    pub fn set_values(&self, values: &[Tensor]) -> Result<()> {
        self.check_number(values.len())?;
        self.regions.iter().try_for_each(|region| region.set_values(&region.together(values)?))
    }

    /// Sets the state of AdamW.
    ///
    /// # Errors
    /// When there are too few, or a tensor has another shape.
    pub fn set_moments(&self, moments: &[Moments]) -> Result<()> {
        self.check_number(moments.len())?;
        let first: Vec<Tensor> = moments.iter().map(|m| m.first.clone()).collect();
        let second: Vec<Tensor> = moments.iter().map(|m| m.second.clone()).collect();
        for region in &self.regions {
            *region.means.borrow_mut() = Means { first: region.together(&first)?, second: region.together(&second)? };
            let Some(of_first) = region.members.first().and_then(|member| moments.get(member.weight)) else {
                candle_core::bail!("too few moments")
            };
            region.steps.set(of_first.steps);
        }
        Ok(())
    }
}

/// Returns the sum of a long tensor, in two stages. A single sum would run in one block of a GPU's threads.
fn sum(x: &Tensor) -> Result<f32> {
    const ROW: usize = 1024;
    let n = x.elem_count();
    let (rows, rest) = (n / ROW, n % ROW);
    let mut sum = 0f32;
    if rest > 0 {
        sum += x.narrow(0, n - rest, rest)?.sum_all()?.to_scalar::<f32>()?;
    }
    if rows > 0 {
        sum += x.narrow(0, 0, rows * ROW)?.reshape((rows, ROW))?.sum(1)?.sum_all()?.to_scalar::<f32>()?;
    }
    Ok(sum)
}

/// The gradients of a region's weights, one after the other.
struct RegionGradient {
    /// Sums of the gradients in f32.
    sums: Tensor,
    /// For tables: 1 for the elements that change, 0 for the others, u8.
    moves: Option<Tensor>,
}

impl Region {
    fn new(
        all: &[&StartingValues],
        weights: Vec<usize>,
        (group, is_table): (Group, bool),
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        let (mut start, mut members, mut values) = (0, Vec::new(), Vec::new());
        for weight in weights {
            let tensor = &all[weight].values;
            members.push(Member { weight, start, shape: tensor.dims().to_vec() });
            start += tensor.elem_count();
            values.push(tensor.flatten_all()?);
        }
        let values = Var::from_tensor(&Tensor::cat(&values, 0)?.to_device(device)?)?;
        let rounded = match dtype {
            DType::F32 => None,
            // Rows of tables are looked up in f32.
            _ if is_table => None,
            _ => Some(Var::from_tensor(&values.as_tensor().to_dtype(dtype)?)?),
        };
        let zeros = values.as_tensor().zeros_like()?;
        let means = Means { first: zeros.clone(), second: zeros }.into();
        Ok(Self { group, is_table, members, values, rounded, means, steps: Cell::new(0) })
    }

    fn places(&self) -> Vec<TensorWeight> {
        let values = self.values.as_detached_tensor();
        let rounded = self.rounded.as_ref().map_or_else(|| values.clone(), Var::as_detached_tensor);
        let part = |whole: &Tensor, start| Part { whole: whole.clone(), start };
        let place = |m: &Member| TensorWeight::trained(part(&values, m.start), part(&rounded, m.start), &m.shape);
        self.members.iter().map(place).collect()
    }

    /// Joins the tensors of the region's weights to one long f32 tensor on its device. `all` has the tensors of
    /// all weights.
    fn together(&self, all: &[Tensor]) -> Result<Tensor> {
        let mut parts = Vec::with_capacity(self.members.len());
        for member in &self.members {
            match all.get(member.weight) {
                Some(tensor) if tensor.dims() == member.shape => parts.push(tensor.flatten_all()?),
                found => candle_core::bail!("{:?} in place of {:?}", found.map(Tensor::dims), member.shape),
            }
        }
        Tensor::cat(&parts, 0)?.to_device(self.values.device())?.to_dtype(DType::F32)
    }

    fn set_values(&self, values: &Tensor) -> Result<()> {
        self.values.set(values)?;
        match &self.rounded {
            Some(rounded) => rounded.set(&values.to_dtype(rounded.dtype())?),
            None => Ok(()),
        }
    }

    fn gradient(&self, all: &[TensorGradient]) -> Result<RegionGradient> {
        // Join adjacent tensors of the same dtype before converting them to f32. This takes fewer operations.
        let mut runs: Vec<Vec<Tensor>> = Vec::new();
        let mut moves = Vec::new();
        for member in &self.members {
            let Some(gradient) = all.get(member.weight) else { candle_core::bail!("a weight has no gradient") };
            let sums = gradient.sums.flatten_all()?;
            match runs.last_mut().filter(|run| run.last().is_some_and(|last| last.dtype() == sums.dtype())) {
                Some(run) => run.push(sums),
                None => runs.push(vec![sums]),
            }
            if self.is_table {
                let rows = member.shape.first().copied().unwrap_or(1);
                let touched = match &gradient.touched {
                    Some(touched) => touched.clone(),
                    None => Tensor::ones(rows, DType::U8, self.values.device())?,
                };
                moves.push(touched.reshape((rows, 1))?.broadcast_as(member.shape.as_slice())?.flatten_all()?);
            }
        }
        let runs = runs.iter().map(|run| Tensor::cat(run, 0)?.to_dtype(DType::F32)).collect::<Result<Vec<_>>>()?;
        let moves = if self.is_table { Some(Tensor::cat(&moves, 0)?) } else { None };
        Ok(RegionGradient { sums: Tensor::cat(&runs, 0)?, moves })
    }

    fn step(&self, gradient: &RegionGradient, scale: f64, rates: Rates) -> Result<()> {
        self.steps.set(self.steps.get() + 1);
        let weight_decay = f64::from(rates.weight_decay);
        // Weights that decay come first.
        let decaying = self.members.iter().filter(|member| decays(&member.shape)).map(Member::elements).sum();
        let step =
            Step { scale, rate: f64::from(rates.of(self.group)), weight_decay, decaying, number: self.steps.get() };
        let values = self.values.as_detached_tensor();
        let mut means = self.means.borrow_mut();
        let mut new = step.apply(&values, &means, &gradient.sums)?;
        if let Some(moves) = &gradient.moves {
            new = where_moved(moves, new, (&values, &means))?;
        }
        *means = new.1;
        self.set_values(&new.0)
    }
}
