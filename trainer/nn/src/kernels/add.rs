//! Sums of tensors.

use candle_core::{Result, Tensor, bail};

use super::vectors::vectorised;
use super::{CHUNK, in_chunks, tensor, values};

/// Adds two tensors.
///
/// # Errors
/// When their shapes differ, or one is not contiguous f32 on the CPU.
pub(super) fn add(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if a.shape() != b.shape() {
        bail!("cannot add tensors of the shapes {:?} and {:?}", a.shape(), b.shape());
    }
    let (of_a, of_b) = (values(a)?, values(b)?);
    let (of_a, of_b): (&[f32], &[f32]) = (&of_a, &of_b);
    let sum = in_chunks(of_a.len(), CHUNK, |start, sum| {
        vectorised(|| {
            for ((sum, &a), &b) in sum.iter_mut().zip(&of_a[start..]).zip(&of_b[start..]) {
                *sum = a + b;
            }
        });
    });
    tensor(sum, a.shape().clone())
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn every_element_is_added() {
        let len = 2 * CHUNK + 3;
        let numbers = |step: f32| (0..len).map(|i| i as f32 * step).collect::<Vec<_>>();
        let of = |step| Tensor::from_vec(numbers(step), (1, len), &Device::Cpu).unwrap();
        let sum = add(&of(1.0), &of(2.0)).unwrap();
        assert_eq!(sum.dims(), [1, len]);
        assert_eq!(sum.flatten_all().unwrap().to_vec1::<f32>().unwrap(), numbers(3.0));
    }

    #[test]
    fn other_shapes_are_refused() {
        let of = |rows| Tensor::zeros((rows, 6 / rows), candle_core::DType::F32, &Device::Cpu).unwrap();
        assert!(add(&of(2), &of(3)).unwrap_err().to_string().contains("cannot add tensors"));
    }
}
