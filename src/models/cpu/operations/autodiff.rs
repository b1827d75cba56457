//! The backward passes, for any backend that has the operations.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend};

use super::Operations;

/// The backward pass of an operation on one tensor: what it keeps, and what it makes of a gradient.
trait Pass<B: Backend>: Clone + std::fmt::Debug + Send + 'static {
    fn back(self, gradient: FloatTensor<B>) -> FloatTensor<B>;
}

#[derive(Clone, Debug)]
struct Gelu<T> {
    input: T,
}

impl<B: Operations> Pass<B> for Gelu<FloatTensor<B>> {
    fn back(self, gradient: FloatTensor<B>) -> FloatTensor<B> {
        B::gelu_exact_backward(self.input, gradient)
    }
}

#[derive(Clone, Debug)]
struct Attention<T> {
    weights: T,
    scale: f32,
}

impl<B: Operations> Pass<B> for Attention<FloatTensor<B>> {
    fn back(self, gradient: FloatTensor<B>) -> FloatTensor<B> {
        B::attention_weights_backward(self.weights, gradient, self.scale)
    }
}

#[derive(Clone, Debug)]
struct DropOut {
    seed: u64,
    drop: f32,
}

impl<B: Operations> Pass<B> for DropOut {
    fn back(self, gradient: FloatTensor<B>) -> FloatTensor<B> {
        B::drop_out(gradient, self.seed, self.drop)
    }
}

/// A step of the graph whose state is a [`Pass`].
#[derive(Debug)]
struct Node<P>(std::marker::PhantomData<fn() -> P>);

impl<B: Backend, P: Pass<B>> Backward<B, 1> for Node<P> {
    type State = P;

    fn backward(self, ops: Ops<P, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        unary::<B, _>(ops.parents, ops.node, gradients, |gradient| {
            ops.state.back(gradient)
        });
    }
}

/// Runs `forward` on `x`, which also gives what the backward pass keeps.
fn differentiable<B: Operations, C: CheckpointStrategy, P: Pass<B>>(
    x: FloatTensor<Autodiff<B, C>>,
    forward: impl FnOnce(FloatTensor<B>, Keep) -> (FloatTensor<B>, Option<P>),
) -> FloatTensor<Autodiff<B, C>> {
    let node = Node::<P>(std::marker::PhantomData);
    let (x, guard) = x.into_parts();
    match node.prepare::<C>([guard]).compute_bound().stateful() {
        OpsKind::Tracked(prepared) => {
            let (output, pass) = forward(x, Keep::Yes);
            let Some(pass) = pass else {
                unreachable!("asked to keep what the backward pass needs");
            };
            prepared.finish(pass, output)
        }
        OpsKind::UnTracked(prepared) => prepared.finish(forward(x, Keep::No).0),
    }
}

/// Whether a backward pass will follow.
#[derive(Clone, Copy, PartialEq)]
enum Keep {
    Yes,
    No,
}

impl<B: Operations, C: CheckpointStrategy> Operations for Autodiff<B, C> {
    fn gelu_exact(x: FloatTensor<Self>) -> FloatTensor<Self> {
        differentiable::<B, C, Gelu<_>>(x, |x, keep| {
            let pass = (keep == Keep::Yes).then(|| Gelu { input: x.clone() });
            (B::gelu_exact(x), pass)
        })
    }

    fn gelu_exact_backward(_: FloatTensor<Self>, _: FloatTensor<Self>) -> FloatTensor<Self> {
        unreachable!("there are no second derivatives")
    }

    fn attention_weights(
        scores: FloatTensor<Self>,
        mask: FloatTensor<Self>,
        scale: f32,
    ) -> FloatTensor<Self> {
        let mask = mask.into_primitive();
        differentiable::<B, C, Attention<_>>(scores, |scores, keep| {
            let weights = B::attention_weights(scores, mask, scale);
            let pass = (keep == Keep::Yes).then(|| Attention {
                weights: weights.clone(),
                scale,
            });
            (weights, pass)
        })
    }

    fn attention_weights_backward(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: f32,
    ) -> FloatTensor<Self> {
        unreachable!("there are no second derivatives")
    }

    fn drop_out(x: FloatTensor<Self>, seed: u64, drop: f32) -> FloatTensor<Self> {
        differentiable::<B, C, DropOut>(x, |x, _| {
            (B::drop_out(x, seed, drop), Some(DropOut { seed, drop }))
        })
    }
}
