"""Elementwise terms that a VAE loss may consist of, right and mistaken, in nats and NumPy's float64."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vae.weigh.point import Array, Elementwise


@dataclass(frozen=True)
class Likelihood:
    """A reconstruction term per pixel.

    Args:
        words: its name in the report.
        values: the term of (images, reconstruction); of a likelihood, -log p(x|z) up to a constant.
        accepts: what the decoder has to return.
        scale: the name of a Gaussian's or Laplace's width, 1 in `values`; "" without one.
        mistake: what is wrong with it; "" for a likelihood.
    """

    words: str
    values: Elementwise
    accepts: Literal["probabilities", "logits", "means"]
    scale: str = ""
    mistake: str = ""


def _softplus(y: Array) -> Array:
    return np.asarray(np.logaddexp(0.0, y))


def _sigmoid(y: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-y))


_SWAPPED = "the cross-entropy gets images and reconstruction the wrong way round: it takes the images for the {}"

LIKELIHOODS = (
    Likelihood(
        "Bernoulli, cross-entropy of probabilities",
        lambda x, y: -x * np.log(y) - (1.0 - x) * np.log1p(-y),
        "probabilities",
    ),
    Likelihood("Bernoulli, cross-entropy of logits", lambda x, y: _softplus(y) - x * y, "logits"),
    Likelihood("Gaussian, squared error", lambda x, y: 0.5 * np.square(x - y), "means", "sigma"),
    Likelihood("Laplace, absolute error", lambda x, y: np.abs(x - y), "means", "b"),
    Likelihood(
        "Gaussian, squared error of the sigmoid", lambda x, y: 0.5 * np.square(x - _sigmoid(y)), "logits", "sigma"
    ),
    Likelihood(
        "cross-entropy with its arguments swapped",
        lambda x, y: -y * np.log(x) - (1.0 - y) * np.log1p(-x),
        "probabilities",
        mistake=_SWAPPED.format("probabilities"),
    ),
    Likelihood(
        "cross-entropy of logits with its arguments swapped",
        lambda x, y: _softplus(x) - x * y,
        "logits",
        mistake=_SWAPPED.format("logits"),
    ),
)


@dataclass(frozen=True)
class Divergence:
    """A KL term per latent variable, as a function of (mu, log_var).

    Args:
        words: its name in the report.
        values: the term in nats.
        mistake: what is wrong with it; "" for the exact KL.
    """

    words: str
    values: Elementwise
    mistake: str = ""


def exact_kl(mu: Array, log_var: Array) -> Array:
    """Return D[q||p] of N(mu, exp(log_var)) and N(0, 1) in nats (Kingma and Welling 2014, appendix B)."""
    return np.asarray(0.5 * (np.square(mu) + np.exp(log_var) - 1.0 - log_var))


def _reverse_kl(mu: Array, log_var: Array) -> Array:
    """Return D[p||q] in nats."""
    return np.asarray(0.5 * (log_var + (1.0 + np.square(mu)) * np.exp(-log_var) - 1.0))


EXACT = Divergence("D[q||p], the exact KL", exact_kl)
REVERSE = Divergence(
    "D[p||q], the KL in the reverse direction",
    _reverse_kl,
    "the distributions are the wrong way round: the ELBO's KL is D[q||p]",
)
SYMMETRIC = Divergence(
    "the mean of D[q||p] and D[p||q]",
    lambda mu, log_var: 0.5 * (exact_kl(mu, log_var) + _reverse_kl(mu, log_var)),
    "the ELBO's KL is D[q||p] alone",
)

#: What the parameter for the width holds, as a function of log_var, and the log-variance that it stands for.
FROM_LOG_VAR: dict[str, Callable[[Array], Array]] = {
    "log_var": lambda log_var: log_var,
    "var": lambda log_var: np.asarray(np.exp(log_var)),
    "log_std": lambda log_var: 0.5 * log_var,
    "std": lambda log_var: np.asarray(np.exp(0.5 * log_var)),
}
_TO_LOG_VAR: dict[str, Callable[[Array], Array]] = {
    "log_var": lambda held: held,
    "var": lambda held: np.asarray(np.log(held)),
    "log_std": lambda held: 2.0 * held,
    "std": lambda held: np.asarray(np.log(np.square(held))),
}
SPREAD_WORDS = {
    "log_var": "the logarithm of the variance",
    "var": "the variance",
    "log_std": "the logarithm of sigma",
    "std": "sigma",
}


def misread(spread: str, reading: str) -> Elementwise:
    """Return the exact KL of what one takes the width's parameter for, as a function of (mu, the true log_var).

    Args:
        spread: what the parameter holds, one of `SPREADS`.
        reading: what the formula takes it for.
    """
    return lambda mu, log_var: exact_kl(mu, _TO_LOG_VAR[reading](FROM_LOG_VAR[spread](log_var)))


def terms_of(variance_power: float) -> dict[str, Elementwise]:
    """Return the terms of a KL whose variance is exp(variance_power * log_var): twice the KL has each of them once."""
    power = "" if variance_power == 1.0 else f"{variance_power:g} * "
    return {
        "mu^2": lambda mu, _: 0.5 * np.square(mu),
        f"exp({power}log_var)": lambda _, log_var: 0.5 * np.exp(variance_power * log_var),
        "-log_var": lambda _, log_var: -0.5 * log_var,
    }
