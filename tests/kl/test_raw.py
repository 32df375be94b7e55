"""The three misuses, against the clipped formula in float64."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import softmax

from tests.kl.conftest import KEY
from vae.errors import UserError
from vae.kl import Raw
from vae.latents import Gaussian

GENERATOR = np.random.default_rng(0)
MU, LOG_VAR = GENERATOR.normal(size=(400, 5)), GENERATOR.normal(scale=0.5, size=(400, 5))
POSTERIOR = Gaussian(tf.constant(MU, tf.float32), tf.constant(LOG_VAR, tf.float32))
PRIOR = Gaussian(tf.zeros([1, 5]), tf.zeros([1, 5]))


def clipped_kl(first: np.ndarray, second: np.ndarray) -> float:
    first, second = np.clip(first, 1e-7, 1.0), np.clip(second, 1e-7, 1.0)
    return float(np.sum(first * np.log(first / second), axis=-1).mean())


ARGUMENTS = {
    "parameters": (MU, LOG_VAR),
    "softmax": (softmax(MU, axis=1), softmax(LOG_VAR, axis=1)),
    "log_var": (LOG_VAR, np.zeros_like(LOG_VAR)),
}


@pytest.mark.parametrize("form", ARGUMENTS)
def test_equals_the_clipped_formula(form: str) -> None:
    first, second = ARGUMENTS[form]
    forward, reverse = clipped_kl(first, second), clipped_kl(second, first)
    for direction, expected in (("forward", forward), ("reverse", reverse), ("symmetric", (forward + reverse) / 2)):
        value = float(Raw(direction, form)(POSTERIOR, PRIOR, POSTERIOR.mean, key=KEY))
        assert value == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_it_can_be_negative_and_blind() -> None:
    """Design: two thirds of the mean's gradient is zero at mu ~ N(0, 1)."""
    mu = tf.constant(GENERATOR.normal(size=(4000, 5)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(mu)
        value = Raw()(Gaussian(mu, tf.fill([4000, 5], 0.5)), PRIOR, mu, key=KEY)
    slope = tape.gradient(value, mu).numpy()
    # mu in [0, 1] alone is not clipped: 34 %; four standard errors of a share over 20,000 are 0.0134
    assert np.mean(slope == 0.0) == pytest.approx(1 - 0.3413, abs=0.0134)
    negative = Gaussian(tf.fill([1, 5], 0.2), tf.fill([1, 5], 0.9))
    assert float(Raw()(negative, PRIOR, negative.mean, key=KEY)) == pytest.approx(5 * 0.2 * np.log(0.2 / 0.9), rel=1e-5)


def test_warns_and_refuses_another_form() -> None:
    assert "is not a divergence from the prior" in Raw().explain_scale(128, 5)
    with pytest.raises(UserError, match=r"form=sigma: .*'parameters', 'softmax' or 'log_var'"):
        Raw(form="sigma")
