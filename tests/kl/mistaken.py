"""Subclasses of the regularizers' base that break the contract."""

from typing import Any

import tensorflow as tf

from vae.kl import KLRegularizer
from vae.random import Key


class Vector(KLRegularizer):
    """Return a value for each example instead of a scalar."""

    def __init__(self, direction: str = "forward") -> None:
        self.direction = direction

    def __call__(
        self, posterior: Any, prior: Any, z: tf.Tensor, *, key: Key, sample_weight: tf.Tensor | None = None
    ) -> tf.Tensor:
        return tf.reduce_sum(posterior.kl_divergence(prior), axis=-1)


class Failing(KLRegularizer):
    """Ask a distribution for an attribute that it does not have."""

    def __init__(self, direction: str = "forward") -> None:
        self.direction = direction

    def __call__(
        self, posterior: Any, prior: Any, z: tf.Tensor, *, key: Key, sample_weight: tf.Tensor | None = None
    ) -> tf.Tensor:
        return posterior.sigma


class Keyless(KLRegularizer):
    """Do not take the key, as in version 0.1.0."""

    def __call__(  # type: ignore[override]
        self, posterior: Any, prior: Any, z: tf.Tensor, sample_weight: tf.Tensor | None = None
    ) -> tf.Tensor:
        return tf.reduce_mean(posterior.kl_divergence(prior))
