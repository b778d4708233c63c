//! Reverse-mode differentiation: a record of the forward pass, for the backward pass.

use std::collections::HashMap;

use anyhow::Result;
use candle_core::{Tensor, TensorId};

/// Computes the gradients of an operation's inputs, in their order, from the gradient of its result. Gradients of
/// weights are added to the weights.
type Backward = Box<dyn FnOnce(&Tensor) -> candle_core::Result<Vec<Tensor>>>;

struct Node {
    result: TensorId,
    inputs: Vec<TensorId>,
    backward: Backward,
}

/// The operations of a forward pass, in order. In evaluation nothing is recorded.
pub struct Tape {
    nodes: Option<Vec<Node>>,
}

impl Tape {
    /// Creates a tape for training.
    pub fn recording() -> Self {
        Self { nodes: Some(Vec::new()) }
    }

    /// Creates a tape for evaluation. It keeps nothing that a backward pass would need.
    pub fn silent() -> Self {
        Self { nodes: None }
    }

    /// Records that `result` was computed from `inputs`.
    ///
    /// `backward` gets the gradient of the result, contiguous and in its dtype. It must return one gradient per
    /// input, each with the shape and dtype of the input.
    pub fn record(
        &mut self,
        result: &Tensor,
        inputs: &[&Tensor],
        backward: impl FnOnce(&Tensor) -> candle_core::Result<Vec<Tensor>> + 'static,
    ) {
        if let Some(nodes) = &mut self.nodes {
            let inputs = inputs.iter().map(|input| input.id()).collect();
            nodes.push(Node { result: result.id(), inputs, backward: Box::new(backward) });
        }
    }

    /// Computes the gradients of `loss`, a scalar. Every weight that contributed to it gets its gradient. The
    /// memory of the tape is freed step by step. `add` adds two gradients of the same tensor.
    ///
    /// # Errors
    /// When the device fails.
    pub fn backward(self, loss: &Tensor, add: impl Fn(&Tensor, &Tensor) -> Result<Tensor>) -> Result<Gradients> {
        let mut gradients = Gradients(HashMap::from([(loss.id(), loss.ones_like()?)]));
        for node in self.nodes.into_iter().flatten().rev() {
            // The loss does not depend on this result.
            let Some(gradient) = gradients.0.remove(&node.result) else { continue };
            for (input, gradient) in node.inputs.into_iter().zip((node.backward)(&gradient.contiguous()?)?) {
                let sum = match gradients.0.remove(&input) {
                    Some(sum) => add(&sum, &gradient)?,
                    None => gradient,
                };
                gradients.0.insert(input, sum);
            }
        }
        Ok(gradients)
    }
}

/// Gradients of tensors that no operation of the tape computed.
pub struct Gradients(HashMap<TensorId, Tensor>);

impl Gradients {
    /// Returns the gradient of such a tensor, if the loss depends on it.
    pub fn get(&self, tensor: &Tensor) -> Option<&Tensor> {
        self.0.get(&tensor.id())
    }
}
