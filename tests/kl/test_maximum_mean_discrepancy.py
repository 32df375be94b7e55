"""InfoVAE's discrepancy against NumPy and known answers."""

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from tests.kl.conftest import KEY
from vae.errors import UserError
from vae.kl import MaximumMeanDiscrepancy
from vae.latents import Gaussian
from vae.random import Stream, key

PRIOR = Gaussian(tf.zeros([1, 2]), tf.zeros([1, 2]))


def mmd(z: NDArray[np.float64], y: NDArray[np.float64], bandwidth: float) -> float:
    def kernel(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.exp(-((a[:, None] - b[None]) ** 2).sum(axis=-1) / (2 * bandwidth)))

    n = len(z)
    among = [(kernel(one, one).sum() - n) / (n * (n - 1)) for one in (z, y)]
    return float(among[0] + among[1] - 2 * kernel(z, y).mean())


def test_discrepancy_equals_the_formula() -> None:
    z = tf.constant(np.random.default_rng(0).normal(size=(40, 2)), tf.float32)
    posterior = Gaussian(z, tf.zeros([40, 2]))
    draw = key(4, Stream.TRAINING_REGULARIZER, 0)
    y = PRIOR.sample(draw, batch=40).numpy().astype(float)
    for bandwidth in (None, 0.7):
        value = float(MaximumMeanDiscrepancy(bandwidth)(posterior, PRIOR, z, key=draw))
        assert value == pytest.approx(mmd(z.numpy().astype(float), y, bandwidth or 2.0), abs=1e-5)


def test_discrepancy_is_unbiased_at_the_prior_and_sees_a_shift() -> None:
    at_prior = Gaussian(tf.zeros([64, 2]), tf.zeros([64, 2]))
    values = []
    for seed in range(200):
        z, own_key = at_prior.sample(key(seed, Stream.PRIOR_SAMPLES, 1)), key(seed, Stream.TRAINING_REGULARIZER, 0)
        values.append(float(MaximumMeanDiscrepancy()(at_prior, PRIOR, z, key=own_key)))
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(200)
    shifted = Gaussian(tf.fill([64, 2], 1.0), tf.zeros([64, 2]))
    z = shifted.sample(key(0, Stream.PRIOR_SAMPLES, 1))
    assert float(MaximumMeanDiscrepancy()(shifted, PRIOR, z, key=KEY)) > np.mean(values) + 5 * np.std(values)


def test_refuses_a_bandwidth_of_zero() -> None:
    with pytest.raises(UserError, match=r"bandwidth=0: .*greater than 0"):
        MaximumMeanDiscrepancy(0)
