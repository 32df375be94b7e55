"""Diagonal Gaussians."""

import math
from typing import Any

import tensorflow as tf

from vae.latents import support as supports
from vae.latents.distribution import Distribution, LatentFamily, spread
from vae.options import Width
from vae.random import Key, normal_like

LOG_VAR_BOUNDS = (-20.0, 10.0)
JS_POINTS = 64
JS_REACH = 8.0


class Gaussian(Distribution):
    """Independent normal distributions N(mu, exp(log_var)), one per example and latent variable.

    Args:
        mu: means, `(batch, latents)`, float32.
        log_var: logarithms of the variances, the same shape.
    """

    def __init__(self, mu: tf.Tensor, log_var: tf.Tensor) -> None:
        super().__init__(mu=mu, log_var=log_var)
        self.mu = mu
        self.log_var = log_var

    @property
    def mean(self) -> tf.Tensor:
        """The mean, `(batch, latents)`."""
        return self.mu

    def sample(self, key: Key, samples: int | None = None, batch: Any = None) -> tf.Tensor:
        """Return mu + sigma * noise, differentiable with respect to both (Kingma and Welling 2014)."""
        shape = self._sample_shape(self.mu, samples, batch)
        each = self if samples is None else self.with_sample_axis()
        return each.transformed(normal_like(tf.zeros(shape), key))

    def transformed(self, noise: tf.Tensor) -> tf.Tensor:
        """Return mu + sigma * noise, in the shape of the noise, which must broadcast against the parameters."""
        return self.mu + tf.exp(0.5 * self.log_var) * noise

    def log_prob(self, z: tf.Tensor, extra_axes: int = 0) -> tf.Tensor:
        """Return log N(z; mu, sigma^2) in nats, in the shape of z, which may have `extra_axes` further axes."""
        mu, log_var = self.mu, self.log_var
        for _ in range(extra_axes):
            mu, log_var = mu[..., tf.newaxis], log_var[..., tf.newaxis]
        return -0.5 * (tf.square(z - mu) * tf.exp(-log_var) + log_var + math.log(2.0 * math.pi))

    def kl_divergence(self, other: Distribution) -> tf.Tensor:
        """Return the exact D[self || other] in nats, `(batch, latents)`: Kingma and Welling 2014, appendix B."""
        second: Gaussian = self._same_family(other)
        log_ratio = self.log_var - second.log_var
        # expm1: near equal variances exp(r) - 1 would cancel
        variance = tf.math.expm1(log_ratio) - log_ratio
        return 0.5 * (variance + tf.square(self.mu - second.mu) * tf.exp(-second.log_var))

    def renyi_divergence(self, other: Distribution, alpha: float) -> tf.Tensor:
        """Return the Renyi divergence of order alpha, D_alpha[self || other], in nats, `(batch, latents)`.

        Gil, Alajaji and Linder 2013, "Renyi divergence measures for commonly used univariate continuous distributions".
        It is infinite if alpha * var_other + (1 - alpha) * var_self is not positive.
        """
        second: Gaussian = self._same_family(other)
        ratio = tf.exp(self.log_var - second.log_var)
        mixed = alpha + (1.0 - alpha) * ratio  # the mixed variance over the other's
        finite = mixed > 0.0
        mixed = tf.where(finite, mixed, 1.0)
        distance = tf.square(self.mu - second.mu) * tf.exp(-second.log_var)
        spread = ((1.0 - alpha) * (self.log_var - second.log_var) - tf.math.log(mixed)) / (2.0 * (alpha - 1.0))
        return tf.where(finite, 0.5 * alpha * distance / mixed + spread, math.inf)

    def probability_vectors(self, other: Distribution, support: str, points: int | None) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the probability vectors for D[self || other] on a support: two tensors `(batch, latents, points)`."""
        build = {"quadrature": supports.quadrature, "histogram": supports.histogram}[support]
        return build(self, self._same_family(other), points)

    def js_divergence(self, other: Distribution) -> tf.Tensor:
        """Return the Jensen-Shannon divergence in nats, `(batch, latents)`, at most log 2, by quadrature.

        There is no closed form. With n the narrower of the two and r the density of the wider over that of n, it is
        log 2 - E_n[log(1 + r) + r log(1 + 1 / r)] / 2. The expectation is taken on 64 nodes out to 8 standard
        deviations of n, with log-densities, so that nothing is clipped. Lin 1991, "Divergence measures based on the
        Shannon entropy".
        """
        second: Gaussian = self._same_family(other)
        is_narrower = self.log_var < second.log_var
        narrow, wide = (
            Gaussian(tf.where(mask, self.mu, second.mu), tf.where(mask, self.log_var, second.log_var))
            for mask in (is_narrower, tf.logical_not(is_narrower))
        )
        t = tf.linspace(-JS_REACH, JS_REACH, JS_POINTS)
        nodes = narrow.mu[..., tf.newaxis] + tf.exp(0.5 * narrow.log_var)[..., tf.newaxis] * t
        log_ratio = wide.log_prob(nodes, extra_axes=1) - narrow.log_prob(nodes, extra_axes=1)
        # Far out the ratio is huge, and r log(1 + 1 / r) tends to 1
        other_half = tf.exp(tf.minimum(log_ratio, 20.0)) * tf.nn.softplus(-tf.minimum(log_ratio, 20.0))
        weights = tf.nn.softmax(-0.5 * tf.square(t))
        return math.log(2.0) - 0.5 * tf.reduce_sum(weights * (tf.nn.softplus(log_ratio) + other_half), axis=-1)

    def pairwise_log_prob(self, z: tf.Tensor) -> tf.Tensor:
        """Return log q(z_i | x_j), summed over latent variables, `(rows of z, batch)`, in float64."""
        mu, log_var, z = (tf.cast(value, tf.float64) for value in (self.mu, self.log_var, z))
        precision = tf.exp(-log_var)
        constant = tf.reduce_sum(log_var + tf.square(mu) * precision + math.log(2.0 * math.pi), axis=1)
        # (z - mu)^2 / sigma^2, multiplied out into matrix products
        square = tf.matmul(tf.square(z), precision, transpose_b=True)
        square -= 2.0 * tf.matmul(z, mu * precision, transpose_b=True)
        return -0.5 * (square + constant)


class GaussianLatent(LatentFamily):
    """The family of latent variables with a Gaussian posterior and the standard normal prior.

    >>> latent = GaussianLatent(2)
    >>> posterior = latent.posterior(tf.constant([[1.0, 0.0, 0.0, 0.0]]))  # the encoder's output: mu, then log_var
    >>> posterior.kl_divergence(latent.prior()).numpy().round(4).tolist()
    [[0.5, 0.0]]

    Args:
        size: the number of latent variables.
    """

    def __init__(self, size: Width) -> None:
        self.size = size

    @property
    def parameter_count(self) -> int:
        """The number of parameters of one example, mu followed by log_var."""
        return 2 * self.size

    @property
    def z_size(self) -> int:
        """The number of values in z."""
        return self.size

    def posterior(self, parameters: tf.Tensor) -> Gaussian:
        """Return q(z|x) in float32 for the encoder's output `(batch, 2 * size)`, whatever its precision."""
        mu, log_var = tf.split(tf.cast(parameters, tf.float32), 2, axis=-1)
        return Gaussian(mu, soft_bound(log_var, *LOG_VAR_BOUNDS))

    def prior(self) -> Gaussian:
        """Return p(z) = N(0, 1): parameters of shape `(1, size)`, which broadcast against any posterior."""
        return Gaussian(tf.zeros([1, self.size]), tf.zeros([1, self.size]))

    def probe(self, batch_size: int, distance: float) -> Gaussian:
        """Return a posterior `(batch_size, size)` with means up to `distance` and log-variances down to -2 `distance`.

        At distance 1 its standard deviations lie between 0.37 and 1, as those of ordinary posteriors do.
        """
        shape = [batch_size, self.size]
        return Gaussian(distance * spread(shape), distance * (spread(shape, math.sqrt(2.0)) - 1.0))


def soft_bound(value: tf.Tensor, low: float, high: float) -> tf.Tensor:
    """Return a value kept in (low, high): the identity well inside, and unlike a clip with a gradient everywhere."""
    value = low + tf.nn.softplus(value - low)
    return high - tf.nn.softplus(high - value)
