"""Diagonal Gaussians."""

import math

import tensorflow as tf

from vae.latents import support as supports
from vae.serialization import Configurable

LOG_VAR_BOUNDS = (-20.0, 10.0)


class Gaussian:
    """Independent normal distributions N(mu, exp(log_var)), one per example and latent variable.

    Args:
        mu: means, `(batch, latents)`, float32.
        log_var: logarithms of the variances, the same shape.
    """

    def __init__(self, mu: tf.Tensor, log_var: tf.Tensor) -> None:
        self.mu = mu
        self.log_var = log_var

    @property
    def mean(self) -> tf.Tensor:
        """The mean, `(batch, latents)`."""
        return self.mu

    def sample(self, noise: tf.Tensor) -> tf.Tensor:
        """The sample mu + sigma * noise that standard normal noise becomes (Kingma and Welling 2014, section 2.4)."""
        return self.mu + tf.exp(0.5 * self.log_var) * noise

    def log_prob(self, z: tf.Tensor, extra_axes: int = 0) -> tf.Tensor:
        """Log N(z; mu, sigma^2) in nats, in z's shape; z may have `extra_axes` further axes at its end."""
        mu, log_var = self.mu, self.log_var
        for _ in range(extra_axes):
            mu, log_var = mu[..., tf.newaxis], log_var[..., tf.newaxis]
        return -0.5 * (tf.square(z - mu) * tf.exp(-log_var) + log_var + math.log(2.0 * math.pi))

    def kl_divergence(self, other: "Gaussian") -> tf.Tensor:
        """The exact D[self || other] in nats, `(batch, latents)`."""
        log_ratio = self.log_var - other.log_var
        # expm1: near equal variances exp(r) - 1 would cancel
        variance = tf.math.expm1(log_ratio) - log_ratio
        return 0.5 * (variance + tf.square(self.mu - other.mu) * tf.exp(-other.log_var))

    def probability_vectors(self, other: "Gaussian", support: str, points: int | None) -> tuple[tf.Tensor, tf.Tensor]:
        """The vectors that stand for D[self || other] on a support: two tensors `(batch, latents, points)`."""
        build = {"quadrature": supports.quadrature, "histogram": supports.histogram}[support]
        return build(self, other, points)


class GaussianLatent(Configurable):
    """The family of latent variables with a Gaussian posterior and the standard normal prior.

    Args:
        size: the number of latent variables.
    """

    def __init__(self, size: int) -> None:
        self.size = size

    @property
    def parameter_count(self) -> int:
        """How many numbers the encoder gives for one example: mu, then log_var."""
        return 2 * self.size

    def posterior(self, parameters: tf.Tensor) -> Gaussian:
        """q(z|x) from the encoder's output `(batch, 2 * size)`, in float32 whatever its precision."""
        mu, log_var = tf.split(tf.cast(parameters, tf.float32), 2, axis=-1)
        return Gaussian(mu, soft_bound(log_var, *LOG_VAR_BOUNDS))

    def prior(self) -> Gaussian:
        """p(z) = N(0, 1): parameters of shape `(1, size)`, which broadcast against any posterior."""
        return Gaussian(tf.zeros([1, self.size]), tf.zeros([1, self.size]))

    def probe(self, batch_size: int, distance: float) -> Gaussian:
        """A posterior `(batch_size, size)` as wide as the prior, so D[q || p] = D[p || q], its means this far off."""
        shape = [batch_size, self.size]
        return Gaussian(tf.fill(shape, distance), tf.zeros(shape))


def soft_bound(value: tf.Tensor, low: float, high: float) -> tf.Tensor:
    """Keeps a value in (low, high): the identity well inside, and with a gradient everywhere, which a clip has not."""
    value = low + tf.nn.softplus(value - low)
    return high - tf.nn.softplus(high - value)
