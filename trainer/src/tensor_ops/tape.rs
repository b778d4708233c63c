//! What happened in a forward pass, to go back over it: reverse-mode differentiation.

use std::collections::HashMap;

use candle_core::{Result, Tensor, TensorId};

/// From the gradient of an operation's result to those of its inputs, in their order; gradients of weights go to the
/// weights.
type Backward = Box<dyn FnOnce(&Tensor) -> Result<Vec<Tensor>>>;

struct Node {
    result: TensorId,
    inputs: Vec<TensorId>,
    backward: Backward,
}

/// The operations of a pass in the order in which they were done; nothing is kept in evaluation.
pub struct Tape {
    nodes: Option<Vec<Node>>,
}

impl Tape {
    /// For training.
    pub fn recording() -> Self {
        Self { nodes: Some(Vec::new()) }
    }

    /// For evaluation: what an operation needs for its backward pass is freed at once.
    pub fn silent() -> Self {
        Self { nodes: None }
    }

    /// Notes that `result` was made of `inputs`. `backward` gets the gradient of the result, contiguous and in its
    /// dtype, and answers with one gradient per input, each in the shape and dtype of the input.
    pub fn record(
        &mut self,
        result: &Tensor,
        inputs: &[&Tensor],
        backward: impl FnOnce(&Tensor) -> Result<Vec<Tensor>> + 'static,
    ) {
        if let Some(nodes) = &mut self.nodes {
            let inputs = inputs.iter().map(|input| input.id()).collect();
            nodes.push(Node { result: result.id(), inputs, backward: Box::new(backward) });
        }
    }

    /// Goes back from `loss`, a scalar; every weight that had a part in it gets its gradient. What the tape kept is
    /// freed on the way.
    ///
    /// # Errors
    /// When the device fails.
    pub fn backward(self, loss: &Tensor) -> Result<Gradients> {
        let mut gradients = Gradients(HashMap::from([(loss.id(), loss.ones_like()?)]));
        for node in self.nodes.into_iter().flatten().rev() {
            // Nothing that counts hangs on it.
            let Some(gradient) = gradients.0.remove(&node.result) else { continue };
            for (input, gradient) in node.inputs.into_iter().zip((node.backward)(&gradient.contiguous()?)?) {
                let sum = match gradients.0.remove(&input) {
                    Some(sum) => (sum + gradient)?,
                    None => gradient,
                };
                gradients.0.insert(input, sum);
            }
        }
        Ok(gradients)
    }
}

/// Gradients of what no operation of the tape had made.
pub struct Gradients(HashMap<TensorId, Tensor>);

impl Gradients {
    /// The gradient of such a tensor, if the loss hangs on it.
    pub fn get(&self, tensor: &Tensor) -> Option<&Tensor> {
        self.0.get(&tensor.id())
    }
}
