"""Active units and mutual information in cases whose answer is known."""

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from scipy.stats import norm

from vae.evaluation import mutual_information
from vae.latents import Gaussian, active_units

ESTIMATES = {"mutual_information", "mutual_information_error", "marginal_kl", "marginal_kl_error"}
NAMES = ESTIMATES | {"mutual_information_lower", "mutual_information_upper"}


def test_active_units_are_those_whose_mean_varies() -> None:
    generator = np.random.default_rng(0)
    mu = np.stack([generator.normal(scale=scale, size=1000) for scale in (0.0, 0.05, 0.15, 1.0)], axis=1)
    assert active_units(mu, 4).tolist() == [
        False,
        False,
        True,
        True,
    ]  # variances 0, 0.0025, 0.0225, 1; the threshold is 0.01


def channel(
    images: int, latents: int, sigma: float, seed: int = 0
) -> tuple[Gaussian, NDArray[np.float64], NDArray[np.float64]]:
    """Posteriors of width sigma whose aggregate is N(0, 1): I(x; z) = -D log sigma and no marginal KL.

    Returns:
        The posteriors, a sample of each, and the KL of each, 0.5 (sigma^2 - 1 - log sigma^2 + mu^2) summed.
    """
    generator = np.random.default_rng(seed)
    mu = np.sqrt(1 - sigma**2) * generator.normal(size=(images, latents))
    z = mu + sigma * generator.normal(size=mu.shape)
    kl = 0.5 * np.sum(sigma**2 - 1 - 2 * np.log(sigma) + mu**2, axis=1)
    return Gaussian(tf.constant(mu), tf.fill(mu.shape, np.float64(2 * np.log(sigma)))), z, kl


def test_the_bounds_equal_their_formulas() -> None:
    generator = np.random.default_rng(1)
    mu, log_var, z = generator.normal(size=(3, 7, 2))
    density = np.prod(norm.pdf(z[:, np.newaxis], mu, np.exp(log_var / 2)), axis=2)
    own, others = np.diag(density), density.copy()
    np.fill_diagonal(others, 0.0)
    lower = np.mean(np.log(own / density.mean(axis=1)))
    upper = np.mean(np.log(own / (others.sum(axis=1) / 6)))
    posterior = Gaussian(tf.constant(mu), tf.constant(log_var))
    quantities = mutual_information(posterior, z, np.full(7, 100.0))
    assert quantities["mutual_information_lower"] == pytest.approx(lower, rel=1e-9)
    assert quantities["mutual_information_upper"] == pytest.approx(upper, rel=1e-9)


def test_posteriors_equal_to_the_prior_carry_no_information() -> None:
    generator = np.random.default_rng(0)
    nothing, z = tf.zeros([400, 3]), generator.normal(size=(400, 3))
    quantities = mutual_information(Gaussian(nothing, nothing), z, np.zeros(400))
    assert set(quantities) == NAMES
    assert all(value == pytest.approx(0.0, abs=1e-9) for value in quantities.values())


def test_posteriors_far_apart_identify_the_example() -> None:
    """All that is known is that the mutual information is between log n and the KL."""
    mu = 10.0 * np.arange(700, dtype=np.float64)[:, np.newaxis]
    quantities = mutual_information(Gaussian(tf.constant(mu), tf.zeros_like(mu)), mu + 0.3, np.full(700, 40.0))
    assert quantities["mutual_information_lower"] == pytest.approx(np.log(700), rel=1e-9)
    assert quantities["mutual_information_upper"] == pytest.approx(40.0)
    assert {name for name, value in quantities.items() if value is None} == ESTIMATES


def test_a_saturated_estimate_claims_no_marginal_kl() -> None:
    """359 images whose aggregate is the prior: KL = I(x; z) = 36.8 nats, of which log 359 = 5.9 are seen."""
    posterior, z, kl = channel(359, 16, 0.1)
    quantities = mutual_information(posterior, z, kl)
    assert quantities["mutual_information_lower"] == pytest.approx(np.log(359), rel=1e-3)
    assert quantities["mutual_information_upper"] == pytest.approx(kl.mean())
    assert {name for name, value in quantities.items() if value is None} == ESTIMATES


def test_one_image_tells_nothing() -> None:
    posterior, z, kl = channel(1, 2, 0.5)
    quantities = mutual_information(posterior, z, kl)
    assert (quantities["mutual_information_lower"], quantities["mutual_information_upper"]) == (0.0, kl[0])
    assert {name for name, value in quantities.items() if value is None} == ESTIMATES


def test_an_aggregate_that_is_the_prior_has_no_marginal_kl() -> None:
    posterior, z, kl = channel(2000, 3, 0.5)
    quantities = mutual_information(posterior, z, kl)
    assert abs(quantities["mutual_information"] - 3 * np.log(2)) < 4 * quantities["mutual_information_error"]
    assert abs(quantities["marginal_kl"]) < 4 * quantities["marginal_kl_error"]
    assert quantities["mutual_information"] + quantities["marginal_kl"] == pytest.approx(kl.mean())


def test_a_linear_gaussian_channel() -> None:
    """x ~ N(0, s^2), z = x + N(0, 1): I(x; z) = log(1 + s^2) / 2 nats, and q(z) = N(0, 1 + s^2)."""
    generator = np.random.default_rng(0)
    mu = 1.5 * generator.normal(size=(2000, 1))
    z = mu + generator.normal(size=mu.shape)
    posterior = Gaussian(tf.constant(mu), tf.zeros_like(mu))
    quantities = mutual_information(posterior, z, mu[:, 0] ** 2 / 2)
    information, marginal = 0.5 * np.log(1 + 1.5**2), 0.5 * (1.5**2 - np.log(1 + 1.5**2))
    assert abs(quantities["mutual_information"] - information) < 4 * quantities["mutual_information_error"]
    assert abs(quantities["marginal_kl"] - marginal) < 4 * quantities["marginal_kl_error"]


def test_the_bounds_enclose_the_truth_and_their_mean_is_nearly_unbiased() -> None:
    """In expectation: over 60 sets of 200 images. The standard errors are those of the sets."""
    truth = -3 * np.log(0.45)
    sets = [mutual_information(*channel(200, 3, 0.45, seed)) for seed in range(60)]
    lower, upper, mean, error, marginal, marginal_error = (
        np.array([each[name] for each in sets])
        for name in (
            "mutual_information_lower",
            "mutual_information_upper",
            "mutual_information",
            "mutual_information_error",
            "marginal_kl",
            "marginal_kl_error",
        )
    )
    error_of_mean = np.std(mean) / np.sqrt(60)
    assert np.mean(lower) + 4 * error_of_mean < truth < np.mean(upper) - 4 * error_of_mean
    assert abs(np.mean(mean) - truth) < 4 * error_of_mean + 0.03  # 0.03 for the second order
    assert np.mean(error) == pytest.approx(np.std(mean), rel=0.3)  # sixty sets give it to a tenth
    assert np.mean(marginal_error) == pytest.approx(np.std(marginal), rel=0.3)


def test_the_distance_of_the_bounds_is_that_of_the_first_order() -> None:
    """Their biases are -(C - 1) / 2n and (C - 1) / 2(n - 1), C = E[q(z|x) / q(z)] = sigma^-2D here."""
    images, latents, sigma = 300, 6, 0.9  # the ratio has a finite variance if sigma^2 > 1/2
    distances = []
    for seed in range(100):
        quantities = mutual_information(*channel(images, latents, sigma, seed))
        distances.append(quantities["mutual_information_upper"] - quantities["mutual_information_lower"])
    excess = sigma ** (-2 * latents) - 1
    expected = excess / (2 * images) + excess / (2 * (images - 1))
    error = np.std(distances) / np.sqrt(len(distances))
    assert error < 0.03 * expected
    assert abs(np.mean(distances) - expected) < 4 * error + 0.02 * expected  # a fiftieth for the second order
