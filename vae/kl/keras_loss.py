"""The Keras loss class, with its own reduction."""

from typing import Any

import keras
import tensorflow as tf

from vae.kl.arguments import Direction, Reduction, Support
from vae.kl.backend import Backend
from vae.options import AtLeastTwo
from vae.random import Key


class KerasLoss(Backend):
    """`keras.losses.KLDivergence` of the two distributions' probability vectors.

    On these vectors, which are float32 tensors of one shape without a mask, the unreduced class equals `Backend` to the
    bit; the two differ in the reduction. The class's default reduction averages over every axis but the last. On
    `(batch, latents, points)` that is the canonical KL divided by the number of latent variables: a hidden beta of
    1 / latents.

    >>> from vae.latents import GaussianLatent
    >>> latent = GaussianLatent(16)
    >>> round(KerasLoss().scale(latent, batch_size=128).factor, 4)  # times beta: the effective beta
    0.0625
    >>> round(KerasLoss(calibrate=True).scale(latent, batch_size=128).factor, 2)
    1.0

    Args:
        direction: "forward", D[q || p]; "reverse", D[p || q]; "symmetric", the mean of the two.
        support: "quadrature" or "histogram" (`vae.latents.support`). Discrete latent variables ignore it.
        points: nodes of the quadrature or bins of the histogram; None for the support's own default.
        reduction: the class's own. With "none" the class returns a value per latent variable, and the canonical
            reduction follows.
        calibrate: whether to rescale the result to the canonical KL, by the factor known from the shapes.
    """

    def __init__(
        self,
        direction: Direction = "forward",
        support: Support = "quadrature",
        points: AtLeastTwo | None = None,
        reduction: Reduction = "sum_over_batch_size",
        calibrate: bool = False,
    ) -> None:
        super().__init__(direction, support, points)
        self.reduction = reduction
        self.calibrate = calibrate
        self._loss = keras.losses.KLDivergence(reduction=reduction, dtype="float32")
        self._unreduced = keras.losses.KLDivergence(reduction="none", dtype="float32")

    def divergence(self, first: Any, second: Any) -> tf.Tensor:
        """Return the unreduced class's D[first || second] in nats, `(batch, latents)`."""
        return self._unreduced(*self.probability_vectors(first, second))

    def __call__(
        self, posterior: Any, prior: Any, z: tf.Tensor, *, key: Key, sample_weight: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Return the class's own result, or with `calibrate` the canonical KL: a float32 scalar in nats."""
        if self.reduction == "none":
            return super().__call__(posterior, prior, z, key=key, sample_weight=sample_weight)
        # (batch, 1): Keras would align (batch,) with the last axis, the latent variables
        weight = None if sample_weight is None else sample_weight[:, tf.newaxis]
        value = self.directed(
            lambda first, second: self._loss(*self.probability_vectors(first, second), sample_weight=weight),
            posterior,
            prior,
        )
        return value * self._factor(posterior.shape, sample_weight) if self.calibrate else value

    def reduce(self, values: tf.Tensor, sample_weight: tf.Tensor | None = None) -> tf.Tensor:
        """Return the class's reduction of values `(batch, latents)`: a float32 scalar in nats."""
        canonical = super().reduce(values, sample_weight)
        if self.reduction == "none" or self.calibrate:
            return canonical
        return tf.math.divide_no_nan(canonical, self._factor(tf.shape(values), sample_weight))

    def explain_scale(self, batch_size: int, latents: int) -> str:
        """Return the axes of the class's reduction, and the override that makes it canonical."""
        if self.direction != "forward" or self.reduction == "none" or self.calibrate:
            return super().explain_scale(batch_size, latents)
        axes = f"the {batch_size} examples and the {latents} latent variables"
        verb = f"sums over {axes}" if self.reduction == "sum" else f"averages over {axes}"
        return (
            f"KLDivergence(reduction='{self.reduction}') {verb}, but the canonical KL sums over latent variables "
            "and averages over examples; kl.calibrate=true makes it canonical"
        )

    def _factor(self, shape: tf.Tensor, sample_weight: tf.Tensor | None) -> tf.Tensor:
        """Return the canonical KL over the class's own result, for values of `shape` (batch, latents)."""
        batch, latents = tf.unstack(tf.cast(shape, tf.float32))
        weight = batch if sample_weight is None else tf.reduce_sum(tf.cast(sample_weight, tf.float32))
        if self.reduction == "sum":
            return tf.math.divide_no_nan(1.0, weight)
        if self.reduction == "mean_with_sample_weight" and sample_weight is not None:
            return tf.constant(1.0)  # the class divides by the sum of the (batch, 1) weights: already canonical
        return latents * tf.math.divide_no_nan(batch, weight)
