"""The Gaussian family against scipy, and its bounds."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import norm

from vae.latents import Gaussian, GaussianLatent
from vae.latents.gaussian import LOG_VAR_BOUNDS, soft_bound
from vae.latents.support import histogram, quadrature
from vae.random import Stream, key


def test_log_prob_equals_scipy() -> None:
    generator = np.random.default_rng(0)
    mu, log_var, z = (generator.normal(size=(3, 4)) for _ in range(3))
    measured = Gaussian(tf.constant(mu, tf.float32), tf.constant(log_var, tf.float32)).log_prob(z.astype(np.float32))
    assert np.allclose(measured, norm.logpdf(z, mu, np.exp(log_var / 2)), rtol=1e-5, atol=1e-5)


def test_pairwise_log_prob_equals_scipy() -> None:
    """Of each z under each posterior: five rows and three posteriors of four latent variables."""
    draw = np.random.default_rng(1)
    mu, log_var, z = draw.normal(0, 2, (3, 4)), draw.normal(0, 1.5, (3, 4)), draw.normal(0, 3, (5, 4))
    expected = norm.logpdf(z[:, np.newaxis], mu, np.exp(0.5 * log_var)).sum(axis=-1)
    measured = Gaussian(tf.constant(mu), tf.constant(log_var)).pairwise_log_prob(tf.constant(z))
    assert measured.shape == (5, 3)
    np.testing.assert_allclose(measured, expected, rtol=1e-12)


def test_samples_have_the_distribution_s_moments() -> None:
    one = Gaussian(tf.constant([[1.5]]), tf.constant([[-1.0]]))
    z = one.sample(key(0, Stream.PRIOR_SAMPLES, 0), samples=200_000).numpy().astype(np.float64).ravel()
    error = np.exp(-0.5) / np.sqrt(len(z))
    assert abs(z.mean() - 1.5) < 4 * error
    assert z.std() == pytest.approx(np.exp(-0.5), rel=1e-2)


def test_posterior_splits_the_encoder_s_output_and_is_float32() -> None:
    latent = GaussianLatent(2)
    assert latent.parameter_count == 4
    posterior = latent.posterior(tf.constant([[1.0, 2.0, -3.0, 0.5]], tf.float16))
    assert posterior.mu.dtype == posterior.log_var.dtype == tf.float32
    assert np.allclose(posterior.mu, [[1.0, 2.0]])
    assert np.allclose(posterior.log_var, [[-3.0, 0.5]], atol=1e-3)


def test_soft_bound_bounds_and_keeps_a_gradient() -> None:
    low, high = LOG_VAR_BOUNDS
    values = tf.Variable([-1000.0, low - 3, -10.0, 0.0, 5.0, high + 3, 1000.0])
    with tf.GradientTape() as tape:
        bounded = soft_bound(values, low, high)
    assert np.all((bounded >= low) & (bounded <= high))
    assert np.allclose(bounded[2:5], values[2:5], atol=1e-2)  # the identity inside
    gradient = tape.gradient(bounded, values).numpy()
    assert np.allclose(gradient[2:5], 1.0, atol=1e-2)
    assert np.all(gradient[[1, 5]] > 0.01)  # three past the bound there is still a way back
    assert np.isfinite(tf.exp(tf.cast(bounded, tf.float16))).all()


def test_quadrature_weights_the_first_distribution_fully_and_the_second_by_density() -> None:
    q, p = Gaussian(tf.constant([[1.0]]), tf.constant([[-2.0]])), Gaussian(tf.zeros([1, 1]), tf.zeros([1, 1]))
    weights, masses = (vector.numpy()[0, 0].astype(np.float64) for vector in quadrature(q, p, 5))
    t = np.linspace(-4, 4, 5)
    assert weights == pytest.approx(norm.pdf(t) / norm.pdf(t).sum(), rel=1e-5)
    assert masses == pytest.approx(norm.pdf(1.0 + np.exp(-1.0) * t) * 2.0 * np.exp(-1.0), rel=1e-4)


@pytest.mark.parametrize(("bins", "error"), [(12, 2e-7), (15, 5e-7)])
def test_histogram_holds_the_masses_between_fixed_edges(bins: int, error: float) -> None:
    """The edges of 12 bins are whole numbers; those of 15 are rounded to float32, which adds to the error."""
    q, p = Gaussian(tf.constant([[1.0]]), tf.constant([[-2.0]])), Gaussian(tf.zeros([1, 1]), tf.zeros([1, 1]))
    edges = np.linspace(-6, 6, bins + 1)
    first, second = (vector.numpy()[0, 0] for vector in histogram(q, p, bins))
    assert first == pytest.approx(np.diff(norm.cdf(edges, 1.0, np.exp(-1.0))), abs=error)
    assert second == pytest.approx(np.diff(norm.cdf(edges)), abs=error)


def test_a_histogram_is_a_lower_bound() -> None:
    """Masses in bins lose information: their divergence is below the continuous one (data processing inequality)."""
    q = Gaussian(tf.random.stateless_normal([40, 1], [0, 1]), tf.random.stateless_uniform([40, 1], [0, 2], -2.0, 0.0))
    p = Gaussian(tf.zeros([1, 1]), tf.zeros([1, 1]))
    first, second = (vector.numpy().astype(np.float64) for vector in histogram(q, p, 64))
    terms = np.zeros_like(first)
    np.log(first / np.maximum(second, 1e-12), out=terms, where=first > 1e-9)
    binned = np.sum(first * terms, axis=-1)
    assert np.all(binned <= q.kl_divergence(p).numpy() + 1e-4)
