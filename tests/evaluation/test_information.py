"""Active units and mutual information in cases whose answer is known."""

import numpy as np
import pytest
import tensorflow as tf

from vae.evaluation import mutual_information
from vae.latents import Gaussian, active_units


def test_active_units_are_those_whose_mean_varies() -> None:
    generator = np.random.default_rng(0)
    mu = np.stack([generator.normal(scale=scale, size=1000) for scale in (0.0, 0.05, 0.15, 1.0)], axis=1)
    assert active_units(mu, 4).tolist() == [
        False,
        False,
        True,
        True,
    ]  # variances 0, 0.0025, 0.0225, 1; the threshold is 0.01


def test_posteriors_equal_to_the_prior_carry_no_information() -> None:
    generator = np.random.default_rng(0)
    nothing, z = tf.zeros([400, 3]), generator.normal(size=(400, 3))
    quantities = mutual_information(Gaussian(nothing, nothing), z, kl=0.0)
    assert quantities["mutual_information"] == pytest.approx(0.0, abs=1e-9)
    assert quantities["marginal_kl"] == pytest.approx(0.0, abs=1e-9)


def test_posteriors_far_apart_identify_the_example() -> None:
    mu = 10.0 * np.arange(700, dtype=np.float64)[:, np.newaxis]
    quantities = mutual_information(Gaussian(tf.constant(mu), tf.zeros_like(mu)), mu + 0.3, kl=50.0)
    assert quantities["mutual_information"] == pytest.approx(np.log(700), rel=1e-9)
    assert quantities["marginal_kl"] == pytest.approx(50.0 - np.log(700), rel=1e-9)


def test_a_linear_gaussian_channel() -> None:
    """x ~ N(0, s^2), z = x + N(0, 1): I(x; z) = log(1 + s^2) / 2 nats."""
    generator = np.random.default_rng(0)
    mu = 1.5 * generator.normal(size=(4000, 1))
    z = mu + generator.normal(size=mu.shape)
    posterior = Gaussian(tf.constant(mu), tf.zeros_like(mu))
    quantities = mutual_information(posterior, z, kl=float(np.mean(mu**2) / 2))
    assert quantities["mutual_information"] == pytest.approx(0.5 * np.log(1 + 1.5**2), abs=0.03)  # 4,000 draws
