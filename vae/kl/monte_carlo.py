"""An estimate from samples."""

from typing import Any

import tensorflow as tf

from vae.kl.base import DirectedKL, check_gaussian
from vae.latents import GaussianMixture
from vae.random import own_key


class MonteCarlo(DirectedKL):
    """The mean of log first(z) - log second(z) over draws of the first: unbiased, and needs no closed form.

    Each direction draws from the distribution that its expectation is under: forward from the posterior, where z, the
    sample that the decoder sees, is the first of the draws; reverse from the prior. Gradients go through the draws
    (Kingma and Welling 2014, section 2.3, equation 6). Where the prior is a mixture, the reverse direction draws from
    every component and weights the draws by the components' weights, which so have a gradient, too.

    A draw's standard error falls with the square root of `samples` times the batch.

    Args:
        direction: "forward", D[q || p]; "reverse", D[p || q]; "symmetric", the mean of the two.
        samples: draws for each example.

    Raises:
        ValueError: for another direction, or less than one sample.
    """

    def __init__(self, direction: str = "forward", samples: int = 1) -> None:
        super().__init__(direction)
        if samples < 1:
            raise ValueError(f"kl.samples={samples}: must be 1 or more")
        self.samples = samples

    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor) -> tf.Tensor:
        """The estimate in nats, `(batch, latents)`; under a mixture `(batch, 1)`, for all latent variables at once."""
        check_gaussian("kl=monte_carlo", "differentiates through the draws of a Gaussian", posterior)
        batch = tf.shape(z)[0] if z.shape[0] is None else z.shape[0]
        values = []
        if self.direction != "reverse":
            draws = z[:, tf.newaxis]
            if self.samples > 1:
                draws = tf.concat([draws, posterior.sample(own_key(), self.samples - 1)], axis=1)
            values.append(_mean_log_ratio(posterior, prior, draws))
        if self.direction != "forward":
            values.append(self._reverse(posterior, prior, batch))
        return tf.add_n(values) / len(values)

    def divergence(self, first: Any, second: Any) -> tf.Tensor:
        """D[first || second] in nats, `(batch, latents)`, all draws its own."""
        batch = tf.maximum(tf.shape(first.mean)[0], tf.shape(second.mean)[0])
        return _mean_log_ratio(first, second, first.sample(own_key(), self.samples, batch))

    def _reverse(self, posterior: Any, prior: Any, batch: Any) -> tf.Tensor:
        if not isinstance(prior, GaussianMixture):
            return _mean_log_ratio(prior, posterior, prior.sample(own_key(), self.samples, batch))
        weights = tf.nn.softmax(prior.logits)
        draws = prior.components.sample(own_key() + 2**32, self.samples)  # (components, samples, latents)
        flat = tf.reshape(draws, [1, -1, draws.shape[-1]])
        ratio = _log_ratio(prior, posterior, flat)  # (batch, components * samples, 1)
        return tf.reduce_sum(tf.repeat(weights / self.samples, self.samples)[:, tf.newaxis] * ratio, axis=1)

    def scale(self, near: Any, far: Any, prior: Any) -> float:
        """1: the estimate is unbiased, so that its expectation is the canonical KL."""
        return 1.0


def _mean_log_ratio(first: Any, second: Any, draws: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(_log_ratio(first, second, draws), axis=1)


def _log_ratio(first: Any, second: Any, draws: tf.Tensor) -> tf.Tensor:
    """Log first(z) - log second(z) for draws `(batch, samples, latents)`; summed over latents where one is joint."""
    terms = [
        distribution.with_sample_axis().log_prob(draws) if distribution.factorized else distribution.log_prob(draws)
        for distribution in (first, second)
    ]
    if not (first.factorized and second.factorized):
        terms = [tf.reduce_sum(term, axis=-1, keepdims=True) for term in terms]
    return terms[0] - terms[1]
