"""Keras's functional op, on a support."""

from typing import Any

import keras
import tensorflow as tf

from vae.kl.base import DirectedKL


class Backend(DirectedKL):
    """`keras.losses.kl_divergence` of the two distributions' probability vectors, with the canonical reduction.

    The op sums y_true * log(y_true / y_pred) over the last axis and clips both arguments to [1e-7, 1]: no latent
    variable counts for more than 16.118 nats, and where an argument is clipped its gradient is zero.

    Args:
        direction: "forward", D[q || p]; "reverse", D[p || q]; "symmetric", the mean of the two.
        support: "quadrature" or "histogram" (`vae.latents.support`); discrete latents need none and ignore it.
        points: nodes of the quadrature or bins of the histogram; None for the support's own default.

    Raises:
        ValueError: for another direction or support, or fewer than two points.
    """

    def __init__(self, direction: str = "forward", support: str = "quadrature", points: int | None = None) -> None:
        super().__init__(direction)
        if support not in ("quadrature", "histogram"):
            raise ValueError(f"kl.support={support}: must be one of quadrature, histogram")
        if points is not None and points < 2:
            raise ValueError(f"kl.points={points}: must be 2 or more")
        self.support = support
        self.points = points

    def divergence(self, first: Any, second: Any) -> tf.Tensor:
        """D[first || second] in nats, `(batch, latents)`."""
        return keras.losses.kl_divergence(*self.probability_vectors(first, second))

    def function_arguments(self, posterior: Any, prior: Any) -> list[tf.Tensor]:
        """The probability vectors, of every direction that is used."""
        pairs = {
            "forward": [(posterior, prior)],
            "reverse": [(prior, posterior)],
            "symmetric": [(posterior, prior), (prior, posterior)],
        }
        return [vector for pair in pairs[self.direction] for vector in self.probability_vectors(*pair)]

    def probability_vectors(self, first: Any, second: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """Both distributions as vectors on one support: two tensors `(batch, latents, points)`."""
        return first.probability_vectors(second, self.support, self.points)
