"""Classes that are not regularizers, although they derive from the base class."""

from typing import Any

import tensorflow as tf

from vae.kl import KLRegularizer
from vae.random import Key


class Vector(KLRegularizer):
    """Returns a value for each example."""

    def __call__(
        self, posterior: Any, prior: Any, z: tf.Tensor, *, key: Key, sample_weight: tf.Tensor | None = None
    ) -> tf.Tensor:
        return tf.reduce_sum(posterior.kl_divergence(prior), axis=-1)


class Failing(KLRegularizer):
    """Asks a distribution for an attribute that it does not have."""

    def __call__(
        self, posterior: Any, prior: Any, z: tf.Tensor, *, key: Key, sample_weight: tf.Tensor | None = None
    ) -> tf.Tensor:
        return posterior.sigma


class WithoutKey(KLRegularizer):
    """Has the signature of version 0.1.0."""

    def __call__(self, posterior: Any, prior: Any, z: tf.Tensor, sample_weight: tf.Tensor | None = None) -> tf.Tensor:
        return tf.reduce_mean(posterior.kl_divergence(prior))


class OfTwoExamples(KLRegularizer):
    """Works for two examples only, so that only a training step finds out."""

    def __call__(
        self, posterior: Any, prior: Any, z: tf.Tensor, *, key: Key, sample_weight: tf.Tensor | None = None
    ) -> tf.Tensor:
        return tf.reduce_sum(tf.ensure_shape(posterior.kl_divergence(prior), [2, None]))
