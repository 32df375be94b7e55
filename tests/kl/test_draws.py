"""Draws that depend on one another: each alone is standard normal, and their mean is unbiased and varies less."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from scipy.stats import kstest, norm

from tests.kl.conftest import KEY
from vae.errors import UserError
from vae.kl import Analytic, MonteCarlo
from vae.kl.draws import Draws, dependent_noise, further_noise
from vae.latents import CategoricalLatent, Gaussian
from vae.random import Key, Rows, Stream, key, normal_like, row_keys

ROWS = 20_000
BOTH: tuple[Draws, ...] = ("antithetic", "stratified")
MU, LOG_VAR = 0.8, -0.5
PRIOR = Gaussian(tf.zeros([1, 1]), tf.zeros([1, 1]))


def noise_of(draws: Draws, samples: int, latents: int = 2) -> NDArray[np.float64]:
    return dependent_noise(draws, tf.zeros([ROWS, latents]), samples, KEY).numpy().astype(np.float64)


@pytest.mark.parametrize("samples", [2, 5])
@pytest.mark.parametrize("draws", BOTH)
def test_each_draw_alone_is_standard_normal(draws: Draws, samples: int) -> None:
    """By Kolmogorov and Smirnov's test; and the latent variables of one draw are independent."""
    noise = noise_of(draws, samples)
    assert noise.shape == (ROWS, samples, 2)
    for draw in range(samples):
        for latent in range(2):
            assert kstest(noise[:, draw, latent], "norm").pvalue > 1e-3
        assert abs(np.mean(noise[:, draw, 0] * noise[:, draw, 1])) < 4 / np.sqrt(ROWS)


@pytest.mark.parametrize("uniform", [0.0, np.nextafter(np.float32(1.0), np.float32(0.0))])
def test_stratified_draws_are_finite_at_the_ends_of_the_unit_interval(
    uniform: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The quantile of the first interval is 0 then, and that of the last one is rounded to 1."""
    monkeypatch.setattr("vae.kl.draws.uniform_like", lambda zeros, key: zeros + uniform)
    for first in (-5.0, 0.1, 5.0):
        draws = further_noise("stratified", tf.constant([[first]]), 5, KEY)
        assert np.isfinite(draws).all()
        assert np.abs(draws).max() < 6.0


@pytest.mark.parametrize("samples", [2, 5])
def test_antithetic_draws_are_mirror_images(samples: int) -> None:
    """Every draw but the last of an odd number has one."""
    noise = noise_of("antithetic", samples)
    mirrored = (noise[:, :, np.newaxis] == -noise[:, np.newaxis]).sum(axis=2)
    assert mirrored.max() == 1
    assert np.all(mirrored.sum(axis=1) == samples - samples % 2)


@pytest.mark.parametrize("samples", [2, 5])
def test_stratified_draws_have_one_quantile_in_each_interval(samples: int) -> None:
    """The intervals of a draw's two latent variables are independent: a Latin hypercube, not its diagonal."""
    strata = np.floor(norm.cdf(noise_of("stratified", samples)) * samples).astype(int)
    hits = np.stack([np.bincount(row, minlength=samples) for row in strata[:500, :, 0]])
    assert np.array_equal(hits, np.ones((500, samples)))
    same = strata[:, :, 0] == strata[:, :, 1]
    assert np.mean(same[:, -1]) == pytest.approx(1 / samples, abs=4 * np.sqrt(1 / samples / ROWS))


@pytest.mark.parametrize("draws", [pytest.param("antithetic", marks=pytest.mark.thorough), "stratified"])
def test_a_part_of_a_batch_has_the_draws_of_the_whole(draws: Draws) -> None:
    first = normal_like(tf.zeros([8, 3]), key(1, Stream.TRAINING_POSTERIOR, 0))
    whole = further_noise(draws, first, 4, KEY)
    part = further_noise(draws, first[2:6], 4, Key(KEY.value, Rows(2, 8)))
    assert np.array_equal(part, whole[2:6])
    several = further_noise(draws, first, 4, row_keys(0, Stream.EVALUATION_REGULARIZER, 0, 8))
    alone = further_noise(draws, first[2:6], 4, row_keys(0, Stream.EVALUATION_REGULARIZER, 2, 4))
    assert np.allclose(alone, several[2:6])


def estimates(regularizer: Any, rows: int = 100_000) -> NDArray[np.float64]:
    """Return the value and the gradients with respect to mu and log_var of many equal posteriors, `(3, rows)`."""
    parameters = [tf.fill([rows, 1], value) for value in (MU, LOG_VAR)]
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        posterior = Gaussian(*parameters)
        z = posterior.sample(key(2, Stream.TRAINING_POSTERIOR, 0))
        values = regularizer.per_latent(posterior, PRIOR, z, key=KEY)
    found = [values, *tape.gradient(values, parameters)]
    return np.stack([one.numpy()[:, 0].astype(np.float64) for one in found])


@pytest.mark.parametrize(
    ("direction", "estimator"),
    [
        ("forward", None),
        ("reverse", None),
        ("forward", "stl"),
        pytest.param("symmetric", None, marks=pytest.mark.thorough),
        pytest.param("symmetric", "stl", marks=pytest.mark.thorough),
    ],
)
@pytest.mark.parametrize("draws", BOTH)
def test_value_and_gradient_are_unbiased(draws: Draws, direction: Any, estimator: Any) -> None:
    """The means over 100,000 rows lie within four standard errors of the closed form's, for an odd number of draws."""
    found = estimates(MonteCarlo(direction, 3, estimator, draws))
    exact = estimates(Analytic(direction), rows=1)[:, 0]
    assert np.all(np.abs(found.mean(axis=1) - exact) < 4 * found.std(axis=1) / np.sqrt(found.shape[1]))


def test_antithetic_draws_cancel_what_is_odd_in_the_noise() -> None:
    """Of four draws, two pairs: mu's gradient is exact, and log_var's has the variance sigma^4 / 4."""
    _, by_mu, by_log_var = estimates(MonteCarlo(samples=4, draws="antithetic"))
    assert by_mu == pytest.approx(MU, abs=1e-6)
    assert by_log_var.var() == pytest.approx(np.exp(2 * LOG_VAR) / 4, rel=0.03)  # e^4 has long tails: error 0.7 %


def test_the_variance_of_stratified_draws() -> None:
    """Of four draws, the mean of the variances within four intervals over 4, by quadrature on 4,000 quantiles each."""
    samples, sigma = 4, np.exp(LOG_VAR / 2)
    noise = norm.ppf((np.arange(4000 * samples) + 0.5) / (4000 * samples))
    z = MU + sigma * noise
    exact = np.stack([norm.logpdf(z, MU, sigma) - norm.logpdf(z), z, z * sigma * noise / 2 - 0.5])
    within = exact.reshape(3, samples, -1).var(axis=2).mean(axis=1) / samples
    found = estimates(MonteCarlo(samples=samples, draws="stratified"))
    assert found.var(axis=1) == pytest.approx(within, rel=0.05)
    independent = estimates(MonteCarlo(samples=samples))
    assert np.all(found.var(axis=1) < 0.5 * independent.var(axis=1))


def test_stratified_draws_from_the_prior_have_less_noise() -> None:
    kinds: tuple[Draws | None, ...] = ("stratified", None)
    stratified, independent = (estimates(MonteCarlo("reverse", 4, draws=draws), 10_000) for draws in kinds)
    assert np.all(stratified.std(axis=1) < 0.7 * independent.std(axis=1))


def test_the_second_antithetic_draw_is_the_mirror_image_of_z() -> None:
    """Whatever z is: against the densities in float64."""
    sigma, z = np.exp(LOG_VAR / 2), np.array([[-0.6], [1.9]])
    posterior = Gaussian(tf.fill([2, 1], MU), tf.fill([2, 1], LOG_VAR))
    found = MonteCarlo(samples=2, draws="antithetic").per_latent(posterior, PRIOR, tf.constant(z, tf.float32), key=KEY)
    pairs = np.concatenate([z, 2 * MU - z], axis=1)
    expected = (norm.logpdf(pairs, MU, sigma) - norm.logpdf(pairs)).mean(axis=1)
    assert found.numpy()[:, 0] == pytest.approx(expected, rel=1e-5)


def test_the_noise_of_z_is_a_constant_for_further_draws() -> None:
    """With a detached z, log q(z) has the slope (z - mu) / sigma^2, and the mirror image, under p, its own value."""
    mu, z = tf.constant([[MU]]), tf.constant([[1.9]])
    with tf.GradientTape() as tape:
        tape.watch(mu)
        posterior = Gaussian(mu, tf.constant([[LOG_VAR]]))
        value = MonteCarlo(samples=2, draws="antithetic").per_latent(posterior, PRIOR, z, key=KEY)
    expected = ((1.9 - MU) / np.exp(LOG_VAR) + 2 * MU - 1.9) / 2
    assert float(tape.gradient(value, mu)[0, 0]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("draws", BOTH)
def test_one_sample_is_refused(draws: Draws) -> None:
    with pytest.raises(UserError, match=rf"^kl\.draws={draws}: .*kl\.samples=2"):
        MonteCarlo(draws=draws)


def test_a_prior_that_is_not_gaussian_is_refused_in_the_reverse_direction(gaussians: Any) -> None:
    posterior, _, z = gaussians()
    with pytest.raises(UserError, match=r"^kl\.draws=stratified .*Gaussian.*Categorical"):
        MonteCarlo("reverse", 2, draws="stratified").per_latent(posterior, CategoricalLatent(5).prior(), z, key=KEY)


def test_a_configuration_of_before_draws_is_read() -> None:
    assert MonteCarlo.from_config({"direction": "forward", "samples": 2}).draws is None
