"""beta-TCVAE's decomposition against NumPy and known answers."""

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from scipy.special import logsumexp
from scipy.stats import norm

from tests.kl.conftest import KEY
from vae.errors import UserError
from vae.kl import Analytic, TotalCorrelation
from vae.latents import Gaussian
from vae.random import Stream, key

PRIOR = Gaussian(tf.zeros([1, 2]), tf.zeros([1, 2]))


def drawn(batch: int, seed: int = 0) -> tuple[Gaussian, tf.Tensor]:
    generator = np.random.default_rng(seed)
    mu = tf.constant(generator.normal(size=(batch, 2)), tf.float32)
    log_var = tf.constant(generator.uniform(-1, 0, size=(batch, 2)), tf.float32)
    posterior = Gaussian(mu, log_var)
    return posterior, posterior.sample(key(seed, Stream.TRAINING_POSTERIOR, 0))


def reference(posterior: Gaussian, z: tf.Tensor, size: int) -> tuple[NDArray[np.float64], ...]:
    """The three parts by minibatch-stratified sampling, its weights averaged over which other example is the last."""
    mu, sigma = posterior.mu.numpy().astype(float), np.exp(posterior.log_var.numpy().astype(float) / 2)
    batch, points = len(mu), z.numpy().astype(float)
    pairs = norm.logpdf(points[:, np.newaxis], mu[np.newaxis], sigma[np.newaxis])
    others = batch - 1
    stratified = ((others - 1) / others + (size - others) / (size * others)) / others
    share = np.log(np.where(np.eye(batch) > 0, 1 / size, stratified))
    joint = logsumexp(share + pairs.sum(axis=2), axis=1)
    marginals = logsumexp(share[..., np.newaxis] + pairs, axis=1).sum(axis=1)
    own = norm.logpdf(points, mu, sigma).sum(axis=1)
    return own - joint, joint - marginals, marginals - norm.logpdf(points).sum(axis=1)


def test_the_parts_equal_the_formula() -> None:
    posterior, z = drawn(9)
    for measured, expected in zip(
        TotalCorrelation(dataset_size=500).parts(posterior, PRIOR, z), reference(posterior, z, 500), strict=True
    ):
        assert measured.numpy() == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_the_weights_weigh_the_parts() -> None:
    posterior, z = drawn(9)
    information, correlation, marginal = (part.mean() for part in reference(posterior, z, 500))
    value = float(TotalCorrelation(0.5, 6.0, 2.0, dataset_size=500)(posterior, PRIOR, z, key=KEY))
    assert value == pytest.approx(0.5 * information + 6 * correlation + 2 * marginal, rel=1e-4)


def test_with_all_weights_one_it_is_an_estimate_of_the_kl() -> None:
    """The parts add up to log q(z|x) - log p(z), whatever the densities between them."""
    posterior, z = drawn(2000)
    value = float(TotalCorrelation(1.0, 1.0, 1.0)(posterior, PRIOR, z, key=KEY))
    terms = tf.reduce_sum(posterior.log_prob(z) - PRIOR.log_prob(z), axis=1).numpy().astype(float)
    assert value == pytest.approx(terms.mean(), rel=1e-4)
    exact = float(Analytic()(posterior, PRIOR, z, key=KEY))
    assert abs(value - exact) < 4 * terms.std() / np.sqrt(2000)


def test_independent_variables_have_no_total_correlation() -> None:
    """And variables that are one and the same have that of a Gaussian: -log(1 - r^2) / 2."""
    generator = np.random.default_rng(3)
    common, noise = generator.normal(size=(1500, 1)), generator.normal(size=(1500, 2))
    for mu, expected in ((generator.normal(size=(1500, 2)), 0.0), (np.repeat(common, 2, axis=1), None)):
        posterior = Gaussian(tf.constant(mu, tf.float32), tf.fill([1500, 2], float(np.log(0.25))))
        z = tf.constant(mu + 0.5 * noise, tf.float32)
        correlation = float(tf.reduce_mean(TotalCorrelation().parts(posterior, PRIOR, z)[1]))
        r = 1 / 1.25
        # 1,500 draws, and the density of a mixture of 1,500
        assert correlation == pytest.approx(-0.5 * np.log(1 - r**2) if expected is None else expected, abs=0.06)


def test_a_batch_of_one_is_its_own_aggregate() -> None:
    posterior, z = drawn(1)
    information, correlation, _ = TotalCorrelation(dataset_size=100).parts(posterior, PRIOR, z)
    assert (float(information[0]), float(correlation[0])) == pytest.approx((0.0, 0.0), abs=1e-5)


def test_refuses_less_than_one_example() -> None:
    with pytest.raises(UserError, match=r"dataset_size=0: .*greater than 0"):
        TotalCorrelation(dataset_size=0)
