"""Regularizers with one mistake each, as people make them."""

from typing import Any

import numpy as np
import tensorflow as tf

from vae.kl import DirectedKL, PerLatentRegularizer
from vae.kl.base import canonical_mean
from vae.random import Key


def closed_form(posterior: Any, variance: float = 1.0, logarithm: float = 1.0, constant: float = 1.0) -> tf.Tensor:
    """The formula that people write by hand, with factors where they go wrong."""
    mu, log_var = posterior.mu, posterior.log_var
    return 0.5 * (tf.square(mu) + tf.exp(variance * log_var) - constant - logarithm * log_var)


class MeanOverLatents(PerLatentRegularizer):
    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor, *, key: Key) -> tf.Tensor:
        return closed_form(posterior)

    def reduce(self, values: tf.Tensor, sample_weight: tf.Tensor | None = None) -> tf.Tensor:
        return canonical_mean(tf.reduce_mean(values, axis=-1), sample_weight)


class SumOverBatch(MeanOverLatents):
    def reduce(self, values: tf.Tensor, sample_weight: tf.Tensor | None = None) -> tf.Tensor:
        return tf.reduce_sum(values * (1.0 if sample_weight is None else sample_weight[:, tf.newaxis]))


class WrongAxes(MeanOverLatents):
    def reduce(self, values: tf.Tensor, sample_weight: tf.Tensor | None = None) -> tf.Tensor:
        return tf.reduce_sum(tf.reduce_mean(values, axis=-1))


class IgnoresWeights(MeanOverLatents):
    def reduce(self, values: tf.Tensor, sample_weight: tf.Tensor | None = None) -> tf.Tensor:
        return canonical_mean(tf.reduce_sum(values, axis=-1))


class DividesByExamples(MeanOverLatents):
    def reduce(self, values: tf.Tensor, sample_weight: tf.Tensor | None = None) -> tf.Tensor:
        return tf.reduce_mean(tf.reduce_sum(values, axis=-1) * (1.0 if sample_weight is None else sample_weight))


class MixesRows(MeanOverLatents):
    def reduce(self, values: tf.Tensor, sample_weight: tf.Tensor | None = None) -> tf.Tensor:
        return canonical_mean(
            tf.reduce_sum(values, axis=-1), None if sample_weight is None else tf.reverse(sample_weight, [0])
        )


class Vector(MeanOverLatents):
    def reduce(self, values: tf.Tensor, sample_weight: tf.Tensor | None = None) -> tf.Tensor:
        return tf.reduce_sum(values, axis=-1)


class DoublePrecision(MeanOverLatents):
    def reduce(self, values: tf.Tensor, sample_weight: tf.Tensor | None = None) -> tf.Tensor:
        return canonical_mean(tf.cast(tf.reduce_sum(values, axis=-1), tf.float64), sample_weight)


class Formula(PerLatentRegularizer):
    """Right, and what the following go wrong from."""

    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor, *, key: Key) -> tf.Tensor:
        return closed_form(posterior)


class ReversedSign(Formula):
    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor, *, key: Key) -> tf.Tensor:
        return -closed_form(posterior)


class Halved(Formula):
    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor, *, key: Key) -> tf.Tensor:
        return 0.5 * closed_form(posterior)


class Doubled(Formula):
    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor, *, key: Key) -> tf.Tensor:
        return 2.0 * closed_form(posterior)


class InBits(Formula):
    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor, *, key: Key) -> tf.Tensor:
        return closed_form(posterior) / np.log(2.0)


class SigmaForVariance(Formula):
    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor, *, key: Key) -> tf.Tensor:
        return closed_form(posterior, variance=0.5, logarithm=0.5)


class SigmaInOneTerm(Formula):
    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor, *, key: Key) -> tf.Tensor:
        return closed_form(posterior, variance=0.5)


class LogVarForLogSigma(Formula):
    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor, *, key: Key) -> tf.Tensor:
        return closed_form(posterior, variance=2.0, logarithm=2.0)


class LogVarForLogSigmaInOneTerm(Formula):
    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor, *, key: Key) -> tf.Tensor:
        return closed_form(posterior, logarithm=2.0)


class ConstantLeftOut(Formula):
    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor, *, key: Key) -> tf.Tensor:
        return closed_form(posterior, constant=0.0)


class MeansLeftOut(Formula):
    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor, *, key: Key) -> tf.Tensor:
        return closed_form(posterior) - 0.5 * tf.square(posterior.mu)


class TwoMistakes(MeanOverLatents):
    """As in much public code: `-tf.reduce_mean(1 + log_var - mu**2 - tf.exp(log_var))`."""

    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor, *, key: Key) -> tf.Tensor:
        return 2.0 * closed_form(posterior)


class WrongWayAround(DirectedKL):
    def divergence(self, first: Any, second: Any) -> tf.Tensor:
        return second.kl_divergence(first)


class FromThePrior(Formula):
    """Forward, its expectation under the prior."""

    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor, *, key: Key) -> tf.Tensor:
        drawn = prior.sample(key, batch=z.shape[0])
        return posterior.log_prob(drawn) - prior.log_prob(drawn)


class AlwaysFromThePosterior(DirectedKL):
    """Every direction from z: reverse is minus forward, and symmetric is nothing."""

    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor, *, key: Key) -> tf.Tensor:
        return self.directed(lambda first, second: first.log_prob(z) - second.log_prob(z), posterior, prior)

    def divergence(self, first: Any, second: Any) -> tf.Tensor:
        raise NotImplementedError


class TooWide(Formula):
    """Draws z of its own with a sigma 8 % too large: a bias of a few percent."""

    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor, *, key: Key) -> tf.Tensor:
        drawn = posterior.mu + 1.08 * (posterior.sample(key) - posterior.mu)
        return posterior.log_prob(drawn) - prior.log_prob(drawn)


class HiddenNoise(Formula):
    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor, *, key: Key) -> tf.Tensor:
        drawn = posterior.mu + tf.exp(0.5 * posterior.log_var) * tf.random.normal(tf.shape(z))
        return posterior.log_prob(drawn) - prior.log_prob(drawn)


class Capped(Formula):
    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor, *, key: Key) -> tf.Tensor:
        return tf.minimum(closed_form(posterior), 10.0)


class ClippedLogVar(Formula):
    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor, *, key: Key) -> tf.Tensor:
        return closed_form(type(posterior)(posterior.mu, tf.clip_by_value(posterior.log_var, -8.0, 8.0)))


class Stopped(Formula):
    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor, *, key: Key) -> tf.Tensor:
        return tf.stop_gradient(closed_form(posterior))


class OfDensities(Formula):
    """The logarithm of a density that is 0 in float32 far from the prior."""

    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor, *, key: Key) -> tf.Tensor:
        return tf.math.log(tf.exp(posterior.log_prob(z)) / tf.exp(prior.log_prob(z)))


class InNumPy(Formula):
    def __call__(
        self, posterior: Any, prior: Any, z: tf.Tensor, *, key: Key, sample_weight: tf.Tensor | None = None
    ) -> Any:
        return closed_form(posterior).numpy().sum(axis=-1).mean()


class OnlyEager(Formula):
    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor, *, key: Key) -> tf.Tensor:
        assert np.isfinite(posterior.mu.numpy()).all()
        return closed_form(posterior)


class InTheTypeOfWeights(Formula):
    def reduce(self, values: tf.Tensor, sample_weight: tf.Tensor | None = None) -> tf.Tensor:
        if sample_weight is None:
            return super().reduce(values)
        values = tf.cast(tf.reduce_sum(values, axis=-1), sample_weight.dtype)
        return tf.cast(tf.reduce_sum(values * sample_weight) / tf.reduce_sum(sample_weight), tf.float32)


class ChangesItsArgument(Formula):
    def __init__(self, strength: float = 1.0) -> None:
        self.strength = 2.0 * strength

    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor, *, key: Key) -> tf.Tensor:
        return 0.5 * self.strength * closed_form(posterior)


class ForgetsItsArgument(Formula):
    def __init__(self, strength: float = 1.0) -> None:
        pass
