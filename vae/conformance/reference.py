"""The KL of Gaussians by quadrature in float64, without TensorFlow.

The closed form is not used, so that the reference cannot share a mistake with the class that is checked.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Self, get_args

import numpy as np
from numpy.typing import NDArray

from vae.kl.arguments import Direction, mean_over_pairs

Array = NDArray[np.float64]

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(8)


@dataclass(frozen=True)
class Gaussians:
    """Independent normal distributions.

    Args:
        mu: means, `(batch, latents)`.
        log_var: logarithms of the variances, the same shape.
    """

    mu: Array
    log_var: Array

    @classmethod
    def rounded(cls, mu: Array, log_var: Array) -> Self:
        """Return distributions whose parameters float32 can hold, so that a regularizer gets the same numbers."""
        return cls(mu.astype(np.float32).astype(np.float64), log_var.astype(np.float32).astype(np.float64))

    @classmethod
    def drawn(cls, batch: int, latents: int) -> Self:
        """Return distributions of a plausible spread: means from N(0, 1), log-variances from -1.5 to 0.5."""
        generator = np.random.default_rng([batch, latents])
        shape = (batch, latents)
        return cls.rounded(generator.normal(size=shape), generator.uniform(-1.5, 0.5, size=shape))

    @classmethod
    def equal(cls, mu: float, log_var: float) -> Self:
        """Return four equal distributions over one latent variable."""
        return cls.rounded(np.full((4, 1), mu), np.full((4, 1), log_var))

    @property
    def prior(self) -> "Gaussians":
        """N(0, 1) in the same shape."""
        return Gaussians(np.zeros_like(self.mu), np.zeros_like(self.mu))

    def log_prob(self, z: Array) -> Array:
        """Return the log-density in nats at nodes `(batch, latents, nodes)`."""
        mu, log_var = self.mu[..., np.newaxis], self.log_var[..., np.newaxis]
        return np.asarray(-0.5 * (np.square(z - mu) * np.exp(-log_var) + log_var + math.log(2.0 * math.pi)))


def log_ratio(first: Gaussians, second: Gaussians, under: Gaussians) -> Array:
    """Return the expectation of log first(z) - log second(z) in nats for z of the third, `(batch, latents)`.

    By Gauss-Hermite quadrature, which is exact here: the integrand is a polynomial of degree two.
    """
    z = under.mu[..., np.newaxis] + np.exp(0.5 * under.log_var)[..., np.newaxis] * _NODES
    return np.asarray((first.log_prob(z) - second.log_prob(z)) @ _WEIGHTS / math.sqrt(2.0 * math.pi))


def exact_kl(direction: str, q: Gaussians) -> Array:
    """Return the KL of posteriors and the prior N(0, 1) in a direction, in nats, `(batch, latents)`."""
    values = mean_over_pairs(direction, lambda first, second: log_ratio(first, second, under=first), q, q.prior)
    return np.asarray(values)


Divergence = Callable[[Gaussians], Array]
DIVERGENCES: dict[str, Divergence] = {direction: partial(exact_kl, direction) for direction in get_args(Direction)}


def canonical(values: Array) -> float:
    """Return the mean over examples of the sum over latent variables of values `(batch, latents)`."""
    return float(values.sum(axis=1).mean())
