//! Fully connected layers: `y = x·Wᵀ + b` with x `[.., k]`, W `[n, k]`, b `[n]`.

use std::sync::Arc;

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use super::matrix::{Matrix, Target, multiply_on_all, product, products};
use super::vectors::vectorised;
use super::weight::KernelWeight;
use super::{last_dim, tensor, values};
use crate::{Linear, Tape};

/// Number of columns that one task adds up.
const COLUMNS: usize = 512;

type Layer = Linear<Arc<KernelWeight>>;

/// Layers that have the same input of width `inputs`, with `outputs` columns together.
struct Layers {
    layers: Vec<Layer>,
    inputs: usize,
    outputs: usize,
}

/// Applies several layers to the same input and puts their outputs beside each other.
///
/// # Errors
/// When shapes do not fit, or the tensor is not contiguous f32 on the CPU.
pub(super) fn linears(tape: &mut Tape, x: &Tensor, layers: Vec<Layer>) -> Result<Tensor> {
    let inputs = last_dim(x);
    let mut outputs = 0;
    for layer in &layers {
        let bias = layer.bias.as_ref().map(|bias| bias.dims());
        match *layer.weight.dims() {
            [n, k] if k == inputs && k > 0 && n > 0 && bias.is_none_or(|bias| bias == [n]) => outputs += n,
            ref weight => candle_core::bail!("linear: input {:?}, weight {weight:?}, bias {bias:?}", x.dims()),
        }
    }
    if layers.is_empty() {
        candle_core::bail!("linear: no layer");
    }
    let layers = Layers { layers, inputs, outputs };
    let mut dims = x.dims().to_vec();
    if let Some(last) = dims.last_mut() {
        *last = outputs;
    }
    let y = tensor(layers.forward(&values(x)?), dims)?;
    let input = x.clone();
    tape.record(&y, &[x], move |g| {
        let dx = layers.backward(&values(&input)?, &values(g)?);
        Ok(vec![tensor(dx, input.shape().clone())?])
    });
    Ok(y)
}

impl Layers {
    /// Calls `f` for each layer, with the index of its first output and the number of its outputs.
    fn each(&self, mut f: impl FnMut(&Layer, usize, usize)) {
        let mut at = 0;
        for layer in &self.layers {
            let n = layer.weight.dims().first().copied().unwrap_or(0);
            f(layer, at, n);
            at += n;
        }
    }

    fn forward(&self, x: &[f32]) -> Vec<f32> {
        let k = self.inputs;
        let m = x.len() / k;
        let weights: Vec<_> = self.layers.iter().map(|layer| layer.weight.values()).collect();
        let biases: Vec<_> = self.layers.iter().map(|layer| layer.bias.as_ref().map(|bias| bias.values())).collect();
        let matrices = weights.iter().map(|weight| Matrix::new(weight, weight.len() / k, k).transposed());
        let biases = biases.iter().map(|bias| bias.as_deref().map(Vec::as_slice));
        products(Matrix::new(x, m, k), &matrices.zip(biases).collect::<Vec<_>>())
    }

    /// Returns the gradient of the input. The gradients of the weights are added to theirs.
    fn backward(&self, x: &[f32], g: &[f32]) -> Vec<f32> {
        rayon::join(|| self.of_weights(x, g), || self.of_input(g)).1
    }

    /// Adds to the gradients of the weights.
    fn of_weights(&self, x: &[f32], g: &[f32]) {
        let (k, outputs) = (self.inputs, self.outputs);
        let m = x.len() / k;
        self.each(|layer, at, n| {
            let g = g.get(at..).unwrap_or_default();
            layer.weight.accumulate(|sums, add| {
                let gradient = Matrix::strided(g, m, n, outputs);
                multiply_on_all(Target { data: sums, row_stride: k, add }, gradient.transposed(), Matrix::new(x, m, k));
            });
            if let Some(bias) = &layer.bias {
                bias.accumulate(|sums, add| add_rows(sums, add, g, outputs));
            }
        });
    }

    /// Returns the gradient of the input.
    fn of_input(&self, g: &[f32]) -> Vec<f32> {
        let (k, outputs) = (self.inputs, self.outputs);
        let m = g.len() / outputs;
        let mut dx = Vec::new();
        self.each(|layer, at, n| {
            let gradient = Matrix::strided(g.get(at..).unwrap_or_default(), m, n, outputs);
            let weight = layer.weight.values();
            let weight = Matrix::new(&weight, n, k);
            if at == 0 {
                dx = product(gradient, weight);
            } else {
                multiply_on_all(Target { data: &mut dx, row_stride: k, add: true }, gradient, weight);
            }
        });
        dx
    }
}

/// Writes the sum of the rows of `g` to `sums`, or adds it. Rows are `stride` elements apart.
fn add_rows(sums: &mut [f32], add: bool, g: &[f32], stride: usize) {
    sums.par_chunks_mut(COLUMNS).enumerate().for_each(|(block, sums)| {
        if !add {
            sums.fill(0.0);
        }
        let columns = g.get(block * COLUMNS..).unwrap_or_default();
        vectorised(|| {
            for row in columns.chunks(stride) {
                for (sum, &value) in sums.iter_mut().zip(row) {
                    *sum += value;
                }
            }
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradient_check::{Input, check, random, weight};

    fn layer(weight: &Arc<KernelWeight>, bias: Option<&Arc<KernelWeight>>) -> Layer {
        Linear { weight: weight.clone(), bias: bias.cloned() }
    }

    #[test]
    fn gradients_match_finite_differences() {
        let inputs = [random(&[5, 3], 1), random(&[4, 3], 2), random(&[4], 3), random(&[2, 3], 4)];
        let first = |t: &[Input]| layer(&t[1].weight, Some(&t[2].weight));
        check(&inputs[..3], |tape, t| linears(tape, &t[0].tensor, vec![first(t)]));
        check(&inputs, |tape, t| linears(tape, &t[0].tensor, vec![first(t), layer(&t[3].weight, None)]));
        // A weight that is used twice gets both gradients.
        check(&inputs[1..2], |tape, t| {
            let x = random(&[5, 3], 1);
            let once = linears(tape, &x, vec![layer(&t[0].weight, None)])?;
            let twice = linears(tape, &(&x * 2.0)?, vec![layer(&t[0].weight, None)])?;
            let sum = (&once + &twice)?;
            tape.record(&sum, &[&once, &twice], |g| Ok(vec![g.clone(), g.clone()]));
            Ok(sum)
        });
        // More columns than one task adds up.
        let wide = [random(&[2, 2], 5), random(&[COLUMNS + 2, 2], 6), random(&[COLUMNS + 2], 7)];
        check(&wide, |tape, t| linears(tape, &t[0].tensor, vec![first(t)]));
    }

    #[test]
    fn layers_stand_beside_each_other() {
        let (x, a, b) = (random(&[5, 3], 1), layer(&weight(&[4, 3], 2), None), layer(&weight(&[2, 3], 3), None));
        let of = |layers: Vec<Layer>| linears(&mut Tape::silent(), &x, layers).unwrap().to_vec2::<f32>().unwrap();
        let both = of(vec![a.clone(), b.clone()]);
        for ((both, a), b) in both.iter().zip(of(vec![a])).zip(of(vec![b])) {
            assert_eq!(both[..], [a, b].concat());
        }
    }

    #[test]
    fn shapes_that_do_not_fit_are_errors() {
        let (w, b3, b4) = (weight(&[4, 3], 2), weight(&[3], 3), weight(&[4], 3));
        let of = |x: &Tensor, layers| linears(&mut Tape::silent(), x, layers);
        assert!(of(&random(&[5, 2], 1), vec![layer(&w, Some(&b4))]).is_err());
        assert!(of(&random(&[5, 3], 1), vec![layer(&w, Some(&b3))]).is_err());
        assert!(of(&random(&[5, 3], 1), vec![]).is_err());
    }
}
