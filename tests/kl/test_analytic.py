"""The closed form against quadrature in float64 and against Monte Carlo, in all three directions."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.integrate import quad
from scipy.stats import norm

from tests.kl.conftest import KEY
from vae.kl import Analytic
from vae.latents import Gaussian

CASES = [(0.0, 0.0), (1.0, 0.0), (2.0, -2.0), (0.0, -3.0), (0.0, 1.0), (-1.5, 0.4), (0.3, -0.7)]


def distributions(mu: float, log_sigma: float) -> tuple[tf.Variable, tf.Variable, Gaussian, Gaussian]:
    mean, log_scale = tf.Variable([[mu]], dtype=tf.float32), tf.Variable([[log_sigma]], dtype=tf.float32)
    return mean, log_scale, Gaussian(mean, 2.0 * log_scale), Gaussian(tf.zeros([1, 1]), tf.zeros([1, 1]))


def integrated(first: tuple[float, float], second: tuple[float, float]) -> float:
    """D[N(first) || N(second)] in nats by adaptive quadrature in float64."""
    (mean, scale) = first

    def integrand(t: float) -> float:
        x = mean + scale * t
        return float(norm.pdf(t) * (norm.logpdf(x, mean, scale) - norm.logpdf(x, *second)))

    return quad(integrand, -12, 12, epsabs=1e-12, epsrel=1e-12)[0]


def sampled(first: tuple[float, float], second: tuple[float, float]) -> tuple[float, float]:
    """D[N(first) || N(second)] by a million samples in float64, and its standard error."""
    x = np.random.default_rng(0).normal(*first, size=1_000_000)
    values = norm.logpdf(x, *first) - norm.logpdf(x, *second)
    return float(values.mean()), float(values.std() / 1000)


@pytest.mark.parametrize(("mu", "log_sigma"), CASES)
@pytest.mark.parametrize("direction", ["forward", "reverse", "symmetric"])
def test_equals_quadrature(mu: float, log_sigma: float, direction: str) -> None:
    _, _, posterior, prior = distributions(mu, log_sigma)
    q, p = (mu, np.exp(log_sigma)), (0.0, 1.0)
    forward, reverse = integrated(q, p), integrated(p, q)
    expected = {"forward": forward, "reverse": reverse, "symmetric": (forward + reverse) / 2}[direction]
    assert float(Analytic(direction)(posterior, prior, posterior.mean, key=KEY)) == pytest.approx(
        expected, rel=2e-6, abs=1e-7
    )


@pytest.mark.parametrize(("mu", "log_sigma"), [case for case in CASES if case != (0.0, 0.0)])
def test_equals_monte_carlo(mu: float, log_sigma: float) -> None:
    _, _, posterior, prior = distributions(mu, log_sigma)
    q, p = (mu, float(np.exp(log_sigma))), (0.0, 1.0)
    for direction, (mean, error) in {"forward": sampled(q, p), "reverse": sampled(p, q)}.items():
        value = float(Analytic(direction)(posterior, prior, posterior.mean, key=KEY))
        assert abs(value - mean) < 4 * error  # four standard errors: once in 16,000 by chance, and the seed is fixed


@pytest.mark.parametrize(
    ("mu", "log_sigma", "value", "gradient"),
    [
        (1.0, 0.0, 0.5000, (1.0, 0.0)),
        (2.0, -2.0, 3.5092, (2.0, -0.982)),
        (0.0, -3.0, 2.5012, (0.0, -0.998)),
        (0.0, 1.0, 2.1945, (0.0, 6.389)),
        (6.0, -1.0, 18.568, (6.0, -0.865)),
    ],
)
def test_values_and_gradients(mu: float, log_sigma: float, value: float, gradient: tuple[float, float]) -> None:
    with tf.GradientTape() as tape:
        mean, log_scale, posterior, prior = distributions(mu, log_sigma)
        loss = Analytic()(posterior, prior, posterior.mean, key=KEY)
    assert float(loss) == pytest.approx(value, abs=5e-4)
    slopes = [slope.numpy().item() for slope in tape.gradient(loss, [mean, log_scale])]
    assert slopes == pytest.approx(gradient, abs=1e-3)


def test_near_the_prior_nothing_cancels() -> None:
    for log_var in (1e-3, -1e-3):
        posterior = Gaussian(tf.zeros([1, 1]), tf.constant([[log_var]]))
        prior = Gaussian(tf.zeros([1, 1]), tf.zeros([1, 1]))
        exact = 0.5 * (np.expm1(np.float64(np.float32(log_var))) - np.float64(np.float32(log_var)))
        # exp(x) - 1 - x would be off by a tenth here; with expm1 float32 loses one part in a thousand
        assert float(posterior.kl_divergence(prior)[0, 0]) == pytest.approx(exact, rel=2e-3)
