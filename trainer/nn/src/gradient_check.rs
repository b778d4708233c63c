//! Compares analytic gradients with central differences.

use std::sync::Arc;

use candle_core::{Device, Result, Tensor};
use rand::RngExt;

use super::kernels::KernelWeight;
use super::{Group, Tape};
use crate::random::stream;

/// Returns a tensor of seeded random numbers in −1..1.
pub fn random(shape: &[usize], seed: u64) -> Tensor {
    let mut rng = stream(seed, "tensor");
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| rng.random_range(-1.0..1.0)).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// Returns the same numbers as a weight of the kernels.
pub fn weight(shape: &[usize], seed: u64) -> Arc<KernelWeight> {
    trained(&random(shape, seed))
}

fn trained(values: &Tensor) -> Arc<KernelWeight> {
    Arc::new(KernelWeight::new(values, Some(Group::Head)).unwrap())
}

/// An input of the function under test, which may use it as a tensor or as a weight of the kernels.
pub struct Input {
    pub tensor: Tensor,
    pub weight: Arc<KernelWeight>,
}

/// Checks d(Σ uneven·f(inputs))/d(input) for every element of every input.
pub fn check(inputs: &[Tensor], f: impl Fn(&mut Tape, &[Input]) -> Result<Tensor>) {
    let as_inputs = |inputs: &[Tensor]| -> Vec<Input> {
        inputs.iter().map(|t| Input { tensor: t.clone(), weight: trained(t) }).collect()
    };
    let original = as_inputs(inputs);
    // Uneven factors, so that a gradient with a constant error is noticed.
    let uneven = random(f(&mut Tape::silent(), &original).unwrap().dims(), 99);
    let loss = |tape: &mut Tape, inputs: &[Input]| -> Tensor {
        let y = f(tape, inputs).unwrap();
        let loss = (&y * &uneven).unwrap().sum_all().unwrap();
        let uneven = uneven.clone();
        tape.record(&loss, &[&y], move |g| Ok(vec![uneven.broadcast_mul(g)?]));
        loss
    };
    let mut tape = Tape::recording();
    let value = loss(&mut tape, &original);
    let gradients = tape.backward(&value, |a, b| Ok((a + b)?)).unwrap();
    const STEP: f32 = 1e-2;
    for (which, input) in inputs.iter().enumerate() {
        let analytic = match gradients.get(&original[which].tensor) {
            Some(of_tensor) => of_tensor.flatten_all().unwrap().to_vec1().unwrap(),
            None => original[which].weight.gradient(),
        };
        let values = input.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(analytic.len(), values.len(), "input {which} has no gradient");
        for (i, &found) in analytic.iter().enumerate() {
            let at = |delta: f32| {
                let mut values = values.clone();
                values[i] += delta;
                let mut changed = inputs.to_vec();
                changed[which] = Tensor::from_vec(values, input.dims(), &Device::Cpu).unwrap();
                f64::from(loss(&mut Tape::silent(), &as_inputs(&changed)).to_scalar::<f32>().unwrap())
            };
            let numeric = (at(STEP) - at(-STEP)) / f64::from(2.0 * STEP);
            let found = f64::from(found);
            let tolerance = 2e-3 * (1.0 + numeric.abs());
            assert!((found - numeric).abs() < tolerance, "input {which}, element {i}: {found} against {numeric}");
        }
    }
}
