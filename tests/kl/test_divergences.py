"""The Jensen-Shannon and Renyi divergences of Gaussians against adaptive quadrature in float64."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.integrate import quad
from scipy.stats import norm

from tests.kl.conftest import KEY
from vae.errors import UserError
from vae.kl import Analytic, JensenShannon, Renyi
from vae.latents import Gaussian

PRIOR = Gaussian(tf.zeros([1, 1]), tf.zeros([1, 1]))
CASES = [(0.0, 0.0), (1.0, 0.0), (2.0, -1.0), (0.0, -3.0), (-0.5, 0.4), (6.0, -1.0)]


def gaussian(mu: float, log_sigma: float) -> Gaussian:
    return Gaussian(tf.constant([[mu]]), tf.constant([[2.0 * log_sigma]]))


def renyi(alpha: float, first: tuple[float, float], second: tuple[float, float]) -> float:
    def integrand(x: float) -> float:
        return float(np.exp(alpha * norm.logpdf(x, *first) + (1 - alpha) * norm.logpdf(x, *second)))

    return float(np.log(quad(integrand, -40, 40, limit=400, points=[first[0], second[0]])[0]) / (alpha - 1))


@pytest.mark.parametrize(("mu", "log_sigma"), CASES)
def test_jensen_shannon(mu: float, log_sigma: float) -> None:
    q, p = (mu, np.exp(log_sigma)), (0.0, 1.0)

    def half(one: tuple[float, float], other: tuple[float, float]) -> float:
        def integrand(x: float) -> float:
            ratio = norm.logpdf(x, *other) - norm.logpdf(x, *one)
            return float(norm.pdf(x, *one) * (np.log(2) - np.logaddexp(0, ratio)))

        return float(quad(integrand, one[0] - 12 * one[1], one[0] + 12 * one[1], limit=400, points=[one[0]])[0])

    expected = (half(q, p) + half(p, q)) / 2
    posterior = gaussian(mu, log_sigma)
    assert float(JensenShannon()(posterior, PRIOR, posterior.mean, key=KEY)) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(("mu", "log_sigma"), CASES)
@pytest.mark.parametrize("alpha", [0.2, 0.5, 0.9])
def test_renyi(mu: float, log_sigma: float, alpha: float) -> None:
    q, p = (mu, float(np.exp(log_sigma))), (0.0, 1.0)
    posterior = gaussian(mu, log_sigma)
    forward, reverse = renyi(alpha, q, p), renyi(alpha, p, q)
    for direction, expected in (("forward", forward), ("reverse", reverse), ("symmetric", (forward + reverse) / 2)):
        value = float(Renyi(direction, alpha)(posterior, PRIOR, posterior.mean, key=KEY))
        assert value == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize(("mu", "log_sigma"), CASES)
def test_renyi_meets_the_kl_at_one(mu: float, log_sigma: float) -> None:
    posterior = gaussian(mu, log_sigma)
    exact = float(Analytic()(posterior, PRIOR, posterior.mean, key=KEY))
    above, below = (float(Renyi(alpha=alpha)(posterior, PRIOR, posterior.mean, key=KEY)) for alpha in (1.001, 0.999))
    assert (above + below) / 2 == pytest.approx(exact, rel=2e-3, abs=1e-3)


@pytest.mark.parametrize("alpha", [0.5, 2.0])
def test_near_the_prior_renyi_is_alpha_times_the_kl(alpha: float) -> None:
    """Its control is therefore kl=analytic with beta.value=alpha. To second order: alpha (mu^2 / 2 + log_var^2 / 4)."""
    near = gaussian(0.02, -0.01)
    expected = alpha * (0.02**2 / 2 + 0.02**2 / 4)
    assert float(Renyi(alpha=alpha)(near, PRIOR, near.mean, key=KEY)) == pytest.approx(expected, rel=0.03)


def test_in_place_of_the_kl_it_gives_no_lower_bound_below_one() -> None:
    """z ~ N(0, 1) and x ~ N(z, s^2) in closed form, with the exact posterior: the ELBO is log p(x)."""
    x, variance = 1.5, 0.1
    mu, spread = x / (1 + variance), variance / (1 + variance)
    posterior = gaussian(mu, float(np.log(spread) / 2))
    reconstruction = norm.logpdf(x, mu, np.sqrt(variance)) - spread / (2 * variance)  # E log N(x; z, s^2)
    log_likelihood = norm.logpdf(x, 0, np.sqrt(1 + variance))

    def objective(kl: Analytic | Renyi) -> float:
        return float(reconstruction - float(kl(posterior, PRIOR, posterior.mean, key=KEY)))

    assert objective(Analytic()) == pytest.approx(log_likelihood, abs=1e-5)
    assert objective(Renyi(alpha=0.5)) > log_likelihood + 0.1
    assert objective(Renyi(alpha=1.05)) < log_likelihood - 0.01


def test_renyi_above_one_is_infinite_for_a_wide_posterior() -> None:
    wide = gaussian(0.0, 1.0)
    assert float(Renyi(alpha=2.0)(wide, PRIOR, wide.mean, key=KEY)) == np.inf
    narrow = gaussian(0.5, -0.5)
    expected = renyi(2.0, (0.5, float(np.exp(-0.5))), (0.0, 1.0))
    assert float(Renyi(alpha=2.0)(narrow, PRIOR, narrow.mean, key=KEY)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("alpha", [1.0, 0.0, -0.5])
def test_refuses_another_alpha(alpha: float) -> None:
    remedy = "kl=analytic" if alpha == 1.0 else "greater than 0"
    with pytest.raises(UserError, match=rf"alpha={alpha}: .*{remedy}"):
        Renyi(alpha=alpha)
