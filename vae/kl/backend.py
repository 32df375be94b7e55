"""Keras's functional op, on a support."""

from typing import Any

import keras
import tensorflow as tf

from vae.kl.arguments import Direction, Support, ordered_pairs
from vae.kl.base import DirectedKL
from vae.options import AtLeastTwo


class Backend(DirectedKL):
    """`keras.losses.kl_divergence` of the two distributions' probability vectors, with the canonical reduction.

    The op sums y_true * log(y_true / y_pred) over the last axis and clips both arguments to [1e-7, 1]: no latent
    variable counts for more than 16.118 nats, and a clipped argument has no gradient.

    Args:
        direction: "forward", D[q || p]; "reverse", D[p || q]; "symmetric", the mean of the two.
        support: "quadrature" or "histogram" (`vae.latents.support`). Discrete latent variables ignore it.
        points: nodes of the quadrature or bins of the histogram; None for the support's own default.
    """

    def __init__(
        self, direction: Direction = "forward", support: Support = "quadrature", points: AtLeastTwo | None = None
    ) -> None:
        super().__init__(direction)
        self.support = support
        self.points = points

    def divergence(self, first: Any, second: Any) -> tf.Tensor:
        """Return D[first || second] in nats, `(batch, latents)`."""
        return keras.losses.kl_divergence(*self.probability_vectors(first, second))

    def function_arguments(self, posterior: Any, prior: Any) -> list[tf.Tensor]:
        """Return the probability vectors of every pair of this regularizer's direction."""
        pairs = ordered_pairs(self.direction, posterior, prior)
        return [vectors for pair in pairs for vectors in self.probability_vectors(*pair)]

    def probability_vectors(self, first: Any, second: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """Return both distributions as vectors on one support: two tensors `(batch, latents, points)`."""
        return first.probability_vectors(second, self.support, self.points)
