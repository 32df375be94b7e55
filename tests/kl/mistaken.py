"""Classes that are no regularizers, though they say so."""

from typing import Any

import tensorflow as tf

from vae.kl import KLRegularizer


class Vector(KLRegularizer):
    """Returns a value for each example."""

    def __init__(self, direction: str = "forward") -> None:
        self.direction = direction

    def __call__(self, posterior: Any, prior: Any, z: tf.Tensor, sample_weight: tf.Tensor | None = None) -> tf.Tensor:
        return tf.reduce_sum(posterior.kl_divergence(prior), axis=-1)


class Failing(KLRegularizer):
    """Asks a distribution for what it has not."""

    def __init__(self, direction: str = "forward") -> None:
        self.direction = direction

    def __call__(self, posterior: Any, prior: Any, z: tf.Tensor, sample_weight: tf.Tensor | None = None) -> tf.Tensor:
        return posterior.sigma
