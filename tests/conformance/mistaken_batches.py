"""Regularizers with a mistake in the weights, the mask or the axes of a batch."""

from typing import Any

import keras
import tensorflow as tf

from tests.conformance.mistaken import Formula, closed_form
from vae.kl.base import canonical_mean
from vae.random import Key


class AlignsWithLatents(Formula):
    """Multiplies values `(batch, latents)` by weights `(batch,)`: an error, unless the axes have one length."""

    def reduce(self, values: tf.Tensor, sample_weight: tf.Tensor | None = None) -> tf.Tensor:
        if sample_weight is None:
            return super().reduce(values)
        return tf.math.divide_no_nan(tf.reduce_sum(values * sample_weight), tf.reduce_sum(sample_weight))


class AtLeastOne(Formula):
    """Keeps the sum of the weights from 0."""

    def reduce(self, values: tf.Tensor, sample_weight: tf.Tensor | None = None) -> tf.Tensor:
        weight = tf.ones_like(values[:, 0]) if sample_weight is None else sample_weight
        return tf.reduce_sum(weight * tf.reduce_sum(values, axis=-1)) / tf.maximum(tf.reduce_sum(weight), 1.0)


class ClipsWeights(Formula):
    def reduce(self, values: tf.Tensor, sample_weight: tf.Tensor | None = None) -> tf.Tensor:
        return super().reduce(values, None if sample_weight is None else tf.minimum(sample_weight, 10.0))


class DividesByTheSum(Formula):
    def reduce(self, values: tf.Tensor, sample_weight: tf.Tensor | None = None) -> tf.Tensor:
        weight = tf.ones_like(values[:, 0]) if sample_weight is None else sample_weight
        return tf.reduce_sum(weight * tf.reduce_sum(values, axis=-1)) / tf.reduce_sum(weight)


class HonoursTheMask(Formula):
    """Sums the squares of the means by a Keras loss class, which applies the mask of its y_pred."""

    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor, *, key: Key) -> tf.Tensor:
        mean_square = keras.losses.MeanSquaredError(reduction="none")(tf.zeros_like(posterior.mu), posterior.mu)
        return closed_form(posterior) + 0.5 * (mean_square[:, tf.newaxis] - tf.square(posterior.mu))


class SqueezesLatents(Formula):
    """(batch, 1) and (batch,) broadcast to (batch, batch)."""

    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor, *, key: Key) -> tf.Tensor:
        log_var = tf.squeeze(posterior.log_var)
        return 0.5 * (tf.square(posterior.mu) + tf.exp(log_var) - 1.0 - log_var)


class SqueezesExamples(Formula):
    def reduce(self, values: tf.Tensor, sample_weight: tf.Tensor | None = None) -> tf.Tensor:
        per_example = tf.squeeze(values)
        return canonical_mean(
            tf.reduce_sum(per_example, axis=-1) if per_example.shape.rank == 2 else per_example, sample_weight
        )
