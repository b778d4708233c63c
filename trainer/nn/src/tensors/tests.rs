//! Tests of single tensor operations. Whole models are compared with the CPU kernels in `trainer/src/model`.

use candle_core::{DType, Device, Tensor};

use super::*;
use crate::Dropout;
use crate::gradient_check::{check, random};
use crate::kernels;

fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn masks_are_windows_of_their_rate() {
    let pool = MaskPool::new(&Device::Cpu);
    let mask =
        |rate, seed, shape: &[usize]| flat(&pool.mask(Dropout { rate, seed, first: 0 }, shape, DType::F32).unwrap());
    let (a, b) = (mask(0.2, 1 << 40, &[300, 400]), mask(0.2, 77, &[300, 400]));
    assert_eq!(a, mask(0.2, 1 << 40, &[400, 300]), "the same seed, the same window");
    let dropped = |m: &[f32]| m.iter().filter(|&&v| v == 0.0).count();
    // 24,000 of 120,000 are expected; four standard deviations are 555.
    assert!(dropped(&a).abs_diff(24_000) < 555, "{}", dropped(&a));
    assert!(a.iter().all(|&v| v == 0.0 || v == 1.25));
    let both = a.iter().zip(&b).filter(|&(&a, &b)| a == 0.0 && b == 0.0).count();
    assert!(both.abs_diff(4_800) < 300, "masks of two seeds are independent: {both}");
    // Another rate in between, or a mask that needs a longer pool, has no effect.
    assert!(mask(0.5, 3, &[1000]).iter().all(|&v| v == 0.0 || v == 2.0));
    mask(0.2, 5, &[9_000_000]);
    assert_eq!(a, mask(0.2, 1 << 40, &[300, 400]));
}

#[test]
fn gradients_match_finite_differences() {
    // Operations that the models of the trainer do not use.
    check(&[random(&[3, 4], 1)], |tape, t| activation::gelu_tanh(tape, &t[0].tensor));
    check(&[random(&[3, 4], 2)], |tape, t| activation::relu(tape, &t[0].tensor, None));
}

#[test]
fn attention_sees_nothing_of_padding() {
    let (blocks, length, heads, d) = (2, 4, 2, 3);
    let padding = Padding::new(&[4, 2], length, &Device::Cpu).unwrap();
    let mask = ((random(&[blocks, heads, length, length], 7) + 1.0).unwrap()).sqr().unwrap();
    let qkv = random(&[blocks * length, 3 * heads * d], 3);
    let real = Tensor::new(&[1f32, 1., 1., 1., 1., 1., 0., 0.], &Device::Cpu).unwrap().reshape((8, 1)).unwrap();
    // Look only at rows that count.
    let seen = |tape: &mut Tape, qkv: &Tensor| {
        let y = attention::attention(tape, qkv, heads, &padding, Some(mask.clone()))?;
        let kept = y.broadcast_mul(&real)?;
        let real = real.clone();
        tape.record(&kept, &[&y], move |g| Ok(vec![g.broadcast_mul(&real)?]));
        Ok(kept)
    };
    check(std::slice::from_ref(&qkv), |tape, t| seen(tape, &t[0].tensor));
    // Changing the padding has no effect, and its gradient is 0.
    let changed =
        (qkv.broadcast_mul(&real).unwrap() + random(&[8, 18], 5).broadcast_mul(&(1.0 - &real).unwrap())).unwrap();
    let of = |qkv: &Tensor| flat(&seen(&mut Tape::silent(), qkv).unwrap());
    assert_eq!(of(&qkv), of(&changed));
}

#[test]
fn inverse_indices_find_all_copies() {
    const NONE: u32 = u32::MAX;
    // Row 1 is copied twice, row 0 once, row 2 never.
    assert_eq!(gather::inverse(&[1, NONE, 0, 1], 3), [2, 0, NONE, NONE, 3, NONE]);
    assert_eq!(gather::inverse(&[], 2), [NONE, NONE]);
    let g = Tensor::new(&[[1f32], [10.], [100.], [1000.]], &Device::Cpu).unwrap();
    assert_eq!(flat(&gather::sum_of_copies(&g, &[1, NONE, 0, 1], 3).unwrap()), [100., 1001., 0.]);
}

#[test]
fn cosines_are_those_of_the_kernels() {
    let vectors = random(&[6, 5], 8);
    let chosen = [true, false, false, true, false, false];
    let expected = kernels::sums_of_cosines(&flat(&vectors), &chosen).unwrap();
    for (a, b) in similarity::sums_of_cosines(&vectors, &chosen).unwrap().iter().zip(expected) {
        assert!((a - b).abs() < 1e-6);
    }
}
