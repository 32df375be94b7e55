"""Regularizers that draw samples, or differentiate, with one mistake each."""

from typing import Any

import tensorflow as tf

from tests.conformance.mistaken import Formula, closed_form
from vae.kl import DirectedKL, MonteCarlo, PerLatentRegularizer
from vae.kl.monte_carlo import _mean_log_ratio
from vae.latents import Gaussian
from vae.random import Key, Stream, fold_in, normal_like
from vae.random import key as key_of


class LogOfAMean(Formula):
    """Minus the logarithm of the mean of p/q over draws, as in the IWAE's bound: at most the KL."""

    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor, *, key: Key) -> tf.Tensor:
        draws = posterior.sample(key, 8)
        ratios = prior.with_sample_axis().log_prob(draws) - posterior.with_sample_axis().log_prob(draws)
        return -tf.reduce_logsumexp(ratios, axis=1) + tf.math.log(8.0)


class DensityOfTheBatch(Formula):
    """log q(z|x) with a density that is the mean over the batch, which is an estimate of log q(z)."""

    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor, *, key: Key) -> tf.Tensor:
        pairs = Gaussian(posterior.mu[tf.newaxis], posterior.log_var[tf.newaxis]).log_prob(z[:, tf.newaxis])
        batch = tf.cast(tf.shape(z)[0], tf.float32)
        return tf.reduce_logsumexp(pairs, axis=1) - tf.math.log(batch) - prior.log_prob(z)


class ClippedAtZero(MonteCarlo):
    """A noisy estimate of the whole batch that may not be negative: biased only close to the prior."""

    def reduce(self, values: tf.Tensor, sample_weight: tf.Tensor | None = None) -> tf.Tensor:
        return tf.nn.relu(super().reduce(values, sample_weight))


class AbsoluteValue(MonteCarlo):
    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor, *, key: Key) -> tf.Tensor:
        return tf.abs(super().per_latent(posterior, prior, z, key=key))


class Estimate(PerLatentRegularizer):
    """Right: the mean over z and over further draws of the posterior. The following go wrong from it."""

    def __init__(self, samples: int = 2) -> None:
        self.samples = samples

    def noise(self, mu: tf.Tensor, key: Key, number: int) -> tf.Tensor:
        return normal_like(mu, fold_in(key, number))

    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor, *, key: Key) -> tf.Tensor:
        sigma = tf.exp(0.5 * posterior.log_var)
        drawn = [posterior.mu + sigma * self.noise(posterior.mu, key, number) for number in range(1, self.samples)]
        return _mean_log_ratio(posterior, prior, tf.stack([z, *drawn], axis=1))


class RepeatsZ(Estimate):
    """Makes a key from the seed and the step, which is that of z."""

    def noise(self, mu: tf.Tensor, key: Key, number: int) -> tf.Tensor:
        return normal_like(mu, key_of(0, Stream.TRAINING_POSTERIOR, key.value[1]))


class OneKeyForAll(Estimate):
    def noise(self, mu: tf.Tensor, key: Key, number: int) -> tf.Tensor:
        return normal_like(mu, key)


class ConstantKey(Estimate):
    def noise(self, mu: tf.Tensor, key: Key, number: int) -> tf.Tensor:
        return normal_like(mu, key_of(0, Stream.PROBE, number))


class IgnoresTheStep(Estimate):
    def noise(self, mu: tf.Tensor, key: Key, number: int) -> tf.Tensor:
        return normal_like(mu, fold_in(Key(tf.stack([key.value[0], tf.constant(0, tf.int64)])), number))


class IgnoresTheStream(Estimate):
    def noise(self, mu: tf.Tensor, key: Key, number: int) -> tf.Tensor:
        return tf.random.stateless_normal(tf.shape(mu), tf.stack([number, tf.cast(key.value[1], tf.int32)]))


class StoppedLogVar(DirectedKL):
    """Exact in value, and without a gradient of log_var in one direction."""

    def divergence(self, first: Any, second: Any) -> tf.Tensor:
        return first.kl_divergence(Gaussian(second.mu, tf.stop_gradient(second.log_var)))


class DetachedSample(MonteCarlo):
    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor, *, key: Key) -> tf.Tensor:
        return super().per_latent(posterior, prior, tf.stop_gradient(z), key=key)


class GradientOfForward(DirectedKL):
    """The right value in every direction, and the forward direction's gradient."""

    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor, *, key: Key) -> tf.Tensor:
        forward = closed_form(posterior)
        return forward + tf.stop_gradient(super().per_latent(posterior, prior, z, key=key) - forward)

    def divergence(self, first: Any, second: Any) -> tf.Tensor:
        return first.kl_divergence(second)


class HalfStopped(DirectedKL):
    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor, *, key: Key) -> tf.Tensor:
        return 0.5 * (posterior.kl_divergence(prior) + tf.stop_gradient(prior.kl_divergence(posterior)))

    def divergence(self, first: Any, second: Any) -> tf.Tensor:
        raise NotImplementedError


class StoppedEntropy(Formula):
    """log q(z|x) without a gradient."""

    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor, *, key: Key) -> tf.Tensor:
        return tf.stop_gradient(posterior.log_prob(z)) - prior.log_prob(z)


class StickingTheLanding(Formula):
    """Right: log q(z|x) with a gradient through z alone (Roeder, Wu and Duvenaud 2017)."""

    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor, *, key: Key) -> tf.Tensor:
        stopped = Gaussian(tf.stop_gradient(posterior.mu), tf.stop_gradient(posterior.log_var))
        return stopped.log_prob(z) - prior.log_prob(z)


class ForLogSigma(Formula):
    """The right value, with the gradient of log sigma for that of log_var."""

    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor, *, key: Key) -> tf.Tensor:
        log_var = 2.0 * posterior.log_var - tf.stop_gradient(posterior.log_var)
        return closed_form(Gaussian(posterior.mu, log_var))
