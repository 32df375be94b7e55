"""The estimator: unbiased, within stated standard errors, in each direction and in its gradient."""

import numpy as np
import pytest
import tensorflow as tf

from tests.kl.conftest import KEY
from vae.errors import UserError
from vae.kl import Analytic, MonteCarlo
from vae.latents import Gaussian
from vae.random import Stream, key, row_keys

PRIOR = Gaussian(tf.zeros([1, 2]), tf.zeros([1, 2]))
MU, LOG_VAR = np.array([[0.8, -0.3]]), np.array([[-0.5, 0.3]])


@pytest.mark.parametrize("samples", [1, 5])
@pytest.mark.parametrize("direction", ["forward", "reverse", "symmetric"])
def test_is_unbiased(direction: str, samples: int) -> None:
    """The same posterior in 100,000 rows: the mean over rows within four of its standard errors of the exact value."""
    rows = 100_000
    posterior = Gaussian(*(tf.tile(tf.constant(value, tf.float32), [rows, 1]) for value in (MU, LOG_VAR)))
    z = posterior.sample(key(2, Stream.TRAINING_POSTERIOR, 0))
    values = MonteCarlo(direction, samples).per_latent(posterior, PRIOR, z, key=KEY).numpy().astype(np.float64)
    one = Gaussian(tf.constant(MU, tf.float32), tf.constant(LOG_VAR, tf.float32))
    exact = Analytic(direction).per_latent(one, PRIOR, one.mean, key=KEY).numpy()[0]
    error = values.std(axis=0) / np.sqrt(rows)
    assert np.all(np.abs(values.mean(axis=0) - exact) < 4 * error)
    assert np.all(error < 0.02)


@pytest.mark.parametrize(
    ("direction", "estimator"),
    [("forward", None), ("reverse", None), ("symmetric", None), ("forward", "stl"), ("symmetric", "stl")],
)
def test_its_gradient_is_unbiased(direction: str, estimator: str | None) -> None:
    rows = 100_000
    slopes = {}
    for name, regularizer in (("exact", Analytic(direction)), ("estimate", MonteCarlo(direction, 2, estimator))):
        parameters = [tf.tile(tf.constant(value, tf.float32), [rows, 1]) for value in (MU, LOG_VAR)]
        with tf.GradientTape() as tape:
            tape.watch(parameters)
            posterior = Gaussian(*parameters)
            z = posterior.sample(key(2, Stream.TRAINING_POSTERIOR, 0))
            value = tf.reduce_sum(regularizer.per_latent(posterior, PRIOR, z, key=KEY))
        slopes[name] = np.stack([slope.numpy().astype(np.float64) for slope in tape.gradient(value, parameters)])
    error = slopes["estimate"].std(axis=1) / np.sqrt(rows)
    assert np.all(np.abs(slopes["estimate"].mean(axis=1) - slopes["exact"].mean(axis=1)) < 4 * error)


@pytest.mark.parametrize("draws", [None, "antithetic"])
@pytest.mark.parametrize("direction", ["forward", "reverse", "symmetric"])
def test_a_program_for_batches_of_any_size_draws_the_same(direction: str, draws: str | None) -> None:
    regularizer = MonteCarlo(direction, 4, draws=draws)

    def per_latent(mu: tf.Tensor, log_var: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
        return regularizer.per_latent(Gaussian(mu, log_var), PRIOR, z, key=KEY)

    program = tf.function(per_latent, [tf.TensorSpec([None, 2])] * 3, autograph=False)
    for batch in (1, 3):
        mu, log_var = (tf.tile(tf.constant(value, tf.float32), [batch, 1]) for value in (MU, LOG_VAR))
        np.testing.assert_allclose(program(mu, log_var, mu + 0.5), per_latent(mu, log_var, mu + 0.5), rtol=1e-5)


def gradients_of(
    estimator: str | None, mu: float, log_var: float, rows: int = 4
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the draws of one latent variable, and the value's gradients with respect to mu and log_var."""
    parameters = [tf.fill([rows, 1], value) for value in (mu, log_var)]
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        posterior = Gaussian(*parameters)
        z = posterior.sample(key(2, Stream.TRAINING_POSTERIOR, 0))
        prior = Gaussian(tf.zeros([1, 1]), tf.zeros([1, 1]))
        value = tf.reduce_sum(MonteCarlo(estimator=estimator).per_latent(posterior, prior, z, key=KEY))
    return (z.numpy(), *(slope.numpy() for slope in tape.gradient(value, parameters)))


def test_stl_is_the_path_derivative() -> None:
    """With z = mu + sigma e, d/dz (log q - log p) = z - e / sigma, times dz/dmu = 1 and dz/dlog_var = sigma e / 2."""
    mu, log_var = 0.8, -0.5
    sigma = np.exp(log_var / 2)
    z, by_mu, by_log_var = gradients_of("stl", mu, log_var)
    noise = (z - mu) / sigma
    assert by_mu == pytest.approx(z - noise / sigma, abs=1e-5)
    assert by_log_var == pytest.approx((z - noise / sigma) * sigma * noise / 2, abs=1e-5)
    _, total_by_mu, total_by_log_var = gradients_of(None, mu, log_var)
    assert total_by_mu == pytest.approx(z, abs=1e-5)  # log q of its own draws does not depend on mu
    assert total_by_log_var == pytest.approx(z * sigma * noise / 2 - 0.5, abs=1e-5)


def test_stl_has_no_noise_where_the_posterior_is_the_prior() -> None:
    _, *slopes = gradients_of("stl", 0.0, 0.0)
    assert np.allclose(slopes, 0.0, atol=1e-6)
    _, *slopes = gradients_of(None, 0.0, 0.0)
    assert np.abs(slopes).min() > 1e-3


def test_stl_needs_draws_from_the_posterior() -> None:
    with pytest.raises(UserError, match=r"kl\.estimator=stl: .* must be null"):
        MonteCarlo("reverse", estimator="stl")


def test_more_samples_have_a_smaller_error() -> None:
    posterior = Gaussian(*(tf.tile(tf.constant(value, tf.float32), [20_000, 1]) for value in (MU, LOG_VAR)))
    z = posterior.sample(key(2, Stream.TRAINING_POSTERIOR, 0))
    spread = [MonteCarlo(samples=n).per_latent(posterior, PRIOR, z, key=KEY).numpy().std(axis=0) for n in (1, 16)]
    assert spread[0] / spread[1] == pytest.approx([4.0, 4.0], rel=0.05)  # the square root of 16


def test_forward_uses_the_decoder_s_sample() -> None:
    posterior = Gaussian(tf.constant(MU, tf.float32), tf.constant(LOG_VAR, tf.float32))
    z = tf.constant([[2.0, -1.0]])
    expected = (posterior.log_prob(z) - PRIOR.log_prob(z)).numpy()
    assert MonteCarlo().per_latent(posterior, PRIOR, z, key=KEY).numpy() == pytest.approx(expected, rel=1e-6)


def test_refuses_less_than_one_sample() -> None:
    with pytest.raises(UserError, match=r"samples=0: .*greater than 0"):
        MonteCarlo(samples=0)


@pytest.mark.parametrize("direction", ["forward", "reverse", "symmetric"])
def test_row_keys_are_as_good_as_one(direction: str) -> None:
    """With a key for each of 20,000 rows: unbiased, and a row's estimate depends on its own key only."""
    rows = 20_000
    posterior = Gaussian(*(tf.tile(tf.constant(value, tf.float32), [rows, 1]) for value in (MU, LOG_VAR)))
    z = posterior.sample(key(2, Stream.TRAINING_POSTERIOR, 0))
    keys = row_keys(1, Stream.EVALUATION_REGULARIZER, 0, rows)
    values = MonteCarlo(direction, 2).per_latent(posterior, PRIOR, z, key=keys).numpy().astype(np.float64)
    one = Gaussian(tf.constant(MU, tf.float32), tf.constant(LOG_VAR, tf.float32))
    exact = Analytic(direction).per_latent(one, PRIOR, one.mean, key=KEY).numpy()[0]
    assert np.all(np.abs(values.mean(axis=0) - exact) < 4 * values.std(axis=0) / np.sqrt(rows))
    part = Gaussian(posterior.mu[5:9], posterior.log_var[5:9])
    keys = row_keys(1, Stream.EVALUATION_REGULARIZER, 5, 4)
    alone = MonteCarlo(direction, 2).per_latent(part, PRIOR, z[5:9], key=keys)
    assert alone.numpy() == pytest.approx(values[5:9], rel=1e-6)
