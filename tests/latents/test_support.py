"""The error of the supports against its closed form; their values and gradients are in tests/kl/test_backend.py."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import norm, truncnorm

from tests.kl.conftest import KEY
from vae.kl import Backend
from vae.latents import Gaussian

PRIOR = Gaussian(tf.zeros([1, 1]), tf.zeros([1, 1]))


def error(mu: float, log_sigma: float, points: int) -> float:
    """Return the error of the forward quadrature, from its value in the code and the closed form in float64."""
    posterior = Gaussian(tf.constant([[mu]]), tf.constant([[2 * log_sigma]]))
    exact = (mu**2 + np.exp(2 * log_sigma) - 1) / 2 - log_sigma
    return float(Backend(points=points)(posterior, PRIOR, posterior.mu, key=KEY)) - exact


@pytest.mark.parametrize("points", [8, 32, 64])
@pytest.mark.parametrize(("mu", "log_sigma"), [(0.0, 0.0), (0.5, -1.0), (0.0, -3.0), (1.0, -2.0), (2.0, -2.0)])
def test_the_error_of_the_forward_quadrature(mu: float, log_sigma: float, points: int) -> None:
    """(1 - m) (1 - sigma^2) / 2 - log s: m is the nodes' second moment, and s their density's sum times their width."""
    t = np.linspace(-4, 4, points)
    weights = norm.pdf(t) / norm.pdf(t).sum()
    second_moment, total = np.sum(weights * t**2), norm.pdf(t).sum() * (t[1] - t[0])
    expected = 0.5 * (1 - second_moment) * (1 - np.exp(2 * log_sigma)) - np.log(total)
    assert error(mu, log_sigma, points) == pytest.approx(expected, abs=2e-6)  # float32


@pytest.mark.parametrize("log_sigma", [-3.0, -1.0])
def test_with_many_nodes_the_error_is_that_of_a_truncated_normal(log_sigma: float) -> None:
    expected = 0.5 * (1 - truncnorm(-4, 4).var()) * (1 - np.exp(2 * log_sigma)) - np.log(1 - 2 * norm.cdf(-4))
    # 512 nodes fall short of the limit by a thirtieth, and the float32 width of a node adds as much
    assert error(0.0, log_sigma, 512) == pytest.approx(expected, rel=0.07)


def test_the_reverse_quadrature_is_clipped_at_ordinary_widths() -> None:
    posterior = Gaussian(tf.constant([[1.0]]), tf.constant([[-4.0]]))
    exact = -2.0 - 0.5 + (1 + 1) / (2 * np.exp(-4))  # D[p || q]
    value = float(Backend("reverse")(posterior, PRIOR, posterior.mu, key=KEY))
    t = np.linspace(-4, 4, 32)
    first = norm.pdf(t) / norm.pdf(t).sum()
    second = np.clip(norm.pdf(t, 1, np.exp(-2)) * (t[1] - t[0]), 1e-7, 1)
    assert exact == pytest.approx(52.1, abs=0.01)
    assert value == pytest.approx(np.sum(first * np.log(first / second)), rel=1e-5)
    assert value == pytest.approx(9.41, abs=0.01)
