//! Analytic gradients against central differences.

use candle_core::{Device, Result, Tensor, Var};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A tensor of seeded numbers in −1..1.
pub fn random(shape: &[usize], seed: u64) -> Tensor {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| rng.random_range(-1.0..1.0)).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// Checks d(Σ weights·f(inputs))/d(input) for every element of every input.
pub fn check(inputs: &[Tensor], f: impl Fn(&[Tensor]) -> Result<Tensor>) {
    let vars: Vec<Var> = inputs.iter().map(|t| Var::from_tensor(t).unwrap()).collect();
    let tensors: Vec<Tensor> = vars.iter().map(|v| v.as_tensor().clone()).collect();
    let output = f(&tensors).unwrap();
    // Uneven weights, so that a gradient that is wrong by a constant cannot hide.
    let weights = random(output.dims(), 99);
    let loss = |t: &[Tensor]| -> Tensor { (f(t).unwrap() * &weights).unwrap().sum_all().unwrap() };
    let gradients = loss(&tensors).backward().unwrap();
    const STEP: f32 = 1e-2;
    for (which, input) in inputs.iter().enumerate() {
        let analytic = gradients.get(&tensors[which]).expect("a gradient").flatten_all().unwrap();
        let analytic = analytic.to_vec1::<f32>().unwrap();
        let original = input.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for i in 0..original.len() {
            let at = |delta: f32| {
                let mut values = original.clone();
                values[i] += delta;
                let mut changed = inputs.to_vec();
                changed[which] = Tensor::from_vec(values, input.dims(), &Device::Cpu).unwrap();
                f64::from(loss(&changed).to_scalar::<f32>().unwrap())
            };
            let numeric = (at(STEP) - at(-STEP)) / f64::from(2.0 * STEP);
            let found = f64::from(analytic[i]);
            let tolerance = 2e-3 * (1.0 + numeric.abs());
            assert!((found - numeric).abs() < tolerance, "input {which}, element {i}: {found} against {numeric}");
        }
    }
}
