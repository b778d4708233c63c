//! Compares analytic gradients with central differences.

use candle_core::{Device, Result, Tensor, Var};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::weight::{Part, Weight};

/// Returns a tensor of seeded random numbers in −1..1.
pub fn random(shape: &[usize], seed: u64) -> Tensor {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| rng.random_range(-1.0..1.0)).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// Returns the same numbers as a weight.
pub fn weight(shape: &[usize], seed: u64) -> Weight {
    trained(&random(shape, seed))
}

fn trained(values: &Tensor) -> Weight {
    Weight::trained(&Var::from_tensor(values).unwrap())
}

/// Checks d(Σ uneven·f(inputs))/d(input) for every element of every input. `f` may use an input as a weight or,
/// through `values()`, as a tensor.
pub fn check(inputs: &[Tensor], f: impl Fn(&[Weight]) -> Result<Tensor>) {
    let weights = |inputs: &[Tensor]| -> Vec<Weight> { inputs.iter().map(trained).collect() };
    let original = weights(inputs);
    // Uneven factors, so that a gradient with a constant error is noticed.
    let uneven = random(f(&original).unwrap().dims(), 99);
    let loss = |t: &[Weight]| -> Tensor { (f(t).unwrap() * &uneven).unwrap().sum_all().unwrap() };
    let gradients = loss(&original).backward().unwrap();
    const STEP: f32 = 1e-2;
    for (which, input) in inputs.iter().enumerate() {
        let written = original[which].gradient().unwrap();
        let analytic = match written.part() {
            Part::None => {
                let of_tensor = gradients.get(original[which].values()).expect("a gradient");
                of_tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap()
            }
            Part::All | Part::Rows(_) => written.sums().to_vec(),
        };
        let values = input.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for (i, &found) in analytic.iter().enumerate() {
            let at = |delta: f32| {
                let mut values = values.clone();
                values[i] += delta;
                let mut changed = inputs.to_vec();
                changed[which] = Tensor::from_vec(values, input.dims(), &Device::Cpu).unwrap();
                f64::from(loss(&weights(&changed)).to_scalar::<f32>().unwrap())
            };
            let numeric = (at(STEP) - at(-STEP)) / f64::from(2.0 * STEP);
            let found = f64::from(found);
            let tolerance = 2e-3 * (1.0 + numeric.abs());
            assert!((found - numeric).abs() < tolerance, "input {which}, element {i}: {found} against {numeric}");
        }
    }
}
