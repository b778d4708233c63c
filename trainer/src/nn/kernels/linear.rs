//! Fully connected layers: `y = x·Wᵀ + b` with x `[.., k]`, W `[n, k]`, b `[n]`.

use candle_core::{CpuStorage, CustomOp2, Device, Layout, Result, Shape, Tensor};

use super::matrix::{Matrix, Target, multiply, product};
use super::vectors::vectorised;
use super::weight::Weight;
use super::{of_cpu, values};

/// Weight `[n, k]` and optional bias `[n]` of a layer.
#[derive(Clone)]
pub struct Linear {
    /// Weight, `[n, k]`.
    pub weight: Weight,
    /// Bias, `[n]`.
    pub bias: Option<Weight>,
}

/// Applies a layer to the last dimension of `x`.
///
/// # Errors
/// When shapes do not fit or a tensor is not contiguous f32 on the CPU.
pub fn linear(x: &Tensor, layer: &Linear) -> Result<Tensor> {
    linears(x, &[layer])
}

/// Applies several layers to the same input and puts their outputs beside each other.
///
/// # Errors
/// The same as [`linear`].
pub fn linears(x: &Tensor, layers: &[&Linear]) -> Result<Tensor> {
    let k = x.dims().last().copied().unwrap_or_default();
    let mut outputs = 0;
    for layer in layers {
        let (n, inputs) = layer.weight.values().dims2()?;
        let bias = layer.bias.as_ref().map(|bias| bias.values().dims());
        if inputs != k || k == 0 || bias.is_some_and(|bias| bias != [n]) {
            candle_core::bail!("linear: input {:?}, weight [{n}, {inputs}], bias {bias:?}", x.dims());
        }
        outputs += n;
    }
    let Some(first) = layers.first() else { candle_core::bail!("linear: no layer") };
    let op = Layers { layers: layers.iter().map(|&layer| layer.clone()).collect(), inputs: k, outputs };
    // Pass a weight as an operand, so that there is a backward pass even if the input needs no gradient.
    x.apply_op2(first.weight.values(), op)
}

struct Layers {
    layers: Vec<Linear>,
    inputs: usize,
    outputs: usize,
}

impl Layers {
    /// Calls `f` for each layer, with the values of its weight, the index of its first output and the number of
    /// its outputs.
    fn each(&self, mut f: impl FnMut(&Linear, &[f32], usize, usize) -> Result<()>) -> Result<()> {
        let mut at = 0;
        for layer in &self.layers {
            at += of_cpu(layer.weight.values(), |weight| {
                let n = weight.len() / self.inputs;
                f(layer, weight, at, n).map(|()| n)
            })??;
        }
        Ok(())
    }

    /// Returns one row of biases: the outputs for an input of zeros.
    fn biases(&self) -> Result<Vec<f32>> {
        let mut row = Vec::with_capacity(self.outputs);
        self.each(|layer, _, at, n| {
            match &layer.bias {
                Some(bias) => of_cpu(bias.values(), |bias| row.extend_from_slice(bias))?,
                None => row.resize(at + n, 0.0),
            }
            Ok(())
        })?;
        Ok(row)
    }
}

impl CustomOp2 for Layers {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = values(s1, l1)?;
        let (k, outputs) = (self.inputs, self.outputs);
        let m = x.len() / k;
        let mut y = self.biases()?.repeat(m);
        self.each(|_, weight, at, n| {
            let y = y.get_mut(at..).unwrap_or_default();
            let target = Target { data: y, row_stride: outputs, add: true };
            multiply(target, 1.0, Matrix::new(x, m, k), Matrix::new(weight, n, k).transposed(), true);
            Ok(())
        })?;
        let mut dims = l1.dims().to_vec();
        if let Some(last) = dims.last_mut() {
            *last = outputs;
        }
        Ok((CpuStorage::F32(y), Shape::from(dims)))
    }

    fn bwd(
        &self,
        x: &Tensor,
        _weight: &Tensor,
        _result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (k, outputs) = (self.inputs, self.outputs);
        let m = x.elem_count() / k;
        // The input of the first layer over frozen embeddings needs no gradient.
        let mut dx = x.track_op().then(Vec::new);
        of_cpu(&gradient.contiguous()?, |g| {
            of_cpu(x, |x| {
                self.each(|layer, weight, at, n| {
                    let g = g.get(at..).unwrap_or_default();
                    let gradient = Matrix::strided(g, m, n, outputs);
                    layer.weight.accumulate(|sums, add| {
                        let target = Target { data: sums, row_stride: k, add };
                        multiply(target, 1.0, gradient.transposed(), Matrix::new(x, m, k), true);
                    });
                    if let Some(bias) = &layer.bias {
                        bias.accumulate(|sums, add| add_rows(sums, add, g, outputs));
                    }
                    if let Some(dx) = &mut dx {
                        let weight = Matrix::new(weight, n, k);
                        if at == 0 {
                            *dx = product(gradient, weight);
                        } else {
                            multiply(Target { data: dx, row_stride: k, add: true }, 1.0, gradient, weight, true);
                        }
                    }
                    Ok(())
                })
            })
        })???;
        let dx = dx.map(|dx| Tensor::from_vec(dx, x.shape(), &Device::Cpu));
        Ok((dx.transpose()?, None))
    }
}

/// Writes the sum of the rows of `g` to `sums`, or adds it. Rows are `stride` elements apart.
fn add_rows(sums: &mut [f32], add: bool, g: &[f32], stride: usize) {
    if !add {
        sums.fill(0.0);
    }
    vectorised(|| {
        for row in g.chunks(stride) {
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += value;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::kernels::gradient_check::{check, random, weight};

    fn layer(weight: &Weight, bias: Option<&Weight>) -> Linear {
        Linear { weight: weight.clone(), bias: bias.cloned() }
    }

    #[test]
    fn gradients_match_finite_differences() {
        let inputs = [random(&[5, 3], 1), random(&[4, 3], 2), random(&[4], 3), random(&[2, 3], 4)];
        check(&inputs[..3], |t| linear(t[0].values(), &layer(&t[1], Some(&t[2]))));
        check(&inputs, |t| linears(t[0].values(), &[&layer(&t[1], Some(&t[2])), &layer(&t[3], None)]));
        // A weight that is used twice gets both gradients.
        check(&inputs[..2], |t| {
            let layer = layer(&t[1], None);
            linear(t[0].values(), &layer)? + linear(&(t[0].values() * 2.0)?, &layer)?
        });
    }

    #[test]
    fn layers_stand_beside_each_other() {
        let (x, a, b) = (random(&[5, 3], 1), layer(&weight(&[4, 3], 2), None), layer(&weight(&[2, 3], 3), None));
        let both = linears(&x, &[&a, &b]).unwrap().to_vec2::<f32>().unwrap();
        let one = |layer| linear(&x, layer).unwrap().to_vec2::<f32>().unwrap();
        for ((both, a), b) in both.iter().zip(one(&a)).zip(one(&b)) {
            assert_eq!(both[..], [a, b].concat());
        }
    }

    #[test]
    fn shapes_that_do_not_fit_are_errors() {
        let (w, b3, b4) = (weight(&[4, 3], 2), weight(&[3], 3), weight(&[4], 3));
        assert!(linear(&random(&[5, 2], 1), &layer(&w, Some(&b4))).is_err());
        assert!(linear(&random(&[5, 3], 1), &layer(&w, Some(&b3))).is_err());
    }
}
