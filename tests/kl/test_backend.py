"""The functional op on its two supports: what it says, where it clips, what is left of its gradient."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.kl.conftest import KEY
from vae.errors import UserError
from vae.kl import Analytic, Backend
from vae.latents import Gaussian

# mu, log sigma; value; gradient with respect to (mu, log sigma), as measured with TensorFlow 2.21 and Keras 3.15.
QUADRATURE_32 = [
    (1.0, 0.0, 0.5000, (1.0, -0.001)),
    (2.0, -2.0, 3.5095, (2.0, -0.982)),
    (0.0, -3.0, 2.5016, (0.0, -0.998)),
    (0.0, 1.0, 1.9031, (0.0, 4.704)),
    (6.0, -1.0, 13.342, (0.024, -0.030)),
]
HISTOGRAM_64 = [
    (1.0, 0.0, 0.4985, (0.997, 0.0)),
    (2.0, -2.0, 3.4320, (1.993, -0.844)),
    (0.0, -3.0, 1.9040, (0.0, -0.022)),
    (0.0, 1.0, 1.5813, (0.0, 2.635)),
    (6.0, -1.0, 6.9965, (-15.7, -0.56)),
]
HISTOGRAM_256 = [(1.0, 0.0, 0.4999), (2.0, -2.0, 3.5039), (0.0, -3.0, 2.4656), (0.0, 1.0, 1.5372), (6.0, -1.0, 6.3177)]


def value_and_gradient(regularizer: Backend, mu: float, log_sigma: float) -> tuple[float, list[float]]:
    mean, log_scale = tf.Variable([[mu]], dtype=tf.float32), tf.Variable([[log_sigma]], dtype=tf.float32)
    with tf.GradientTape() as tape:
        posterior = Gaussian(tf.identity(mean), 2.0 * log_scale)
        value = regularizer(posterior, Gaussian(tf.zeros([1, 1]), tf.zeros([1, 1])), posterior.mean, key=KEY)
    return float(value), [slope.numpy().item() for slope in tape.gradient(value, [mean, log_scale])]


@pytest.mark.parametrize(("mu", "log_sigma", "value", "gradient"), QUADRATURE_32)
def test_quadrature(mu: float, log_sigma: float, value: float, gradient: tuple[float, float]) -> None:
    measured, slopes = value_and_gradient(Backend(points=32), mu, log_sigma)
    assert measured == pytest.approx(value, abs=6e-4)
    assert slopes == pytest.approx(gradient, abs=2e-3)


@pytest.mark.parametrize(("mu", "log_sigma", "value", "gradient"), HISTOGRAM_64)
def test_histogram(mu: float, log_sigma: float, value: float, gradient: tuple[float, float]) -> None:
    measured, slopes = value_and_gradient(Backend(support="histogram", points=64), mu, log_sigma)
    assert measured == pytest.approx(value, abs=2e-3)
    # Two digits are given at mu = 6, where the float32 masses are a few roundings wide
    assert slopes == pytest.approx(gradient, abs=1e-2 if mu == 6.0 else 2e-3, rel=5e-3)


@pytest.mark.parametrize(("mu", "log_sigma", "value"), HISTOGRAM_256)
def test_fine_histogram(mu: float, log_sigma: float, value: float) -> None:
    assert value_and_gradient(Backend(support="histogram", points=256), mu, log_sigma)[0] == pytest.approx(
        value, abs=2e-3
    )


def test_no_latent_variable_counts_for_more_than_the_clip_allows() -> None:
    """Both arguments are clipped to [1e-7, 1]: log(1 / 1e-7) = 16.118 nats."""
    posterior = Gaussian(tf.constant([[50.0]]), tf.constant([[-10.0]]))
    prior = Gaussian(tf.zeros([1, 1]), tf.zeros([1, 1]))
    assert float(Analytic()(posterior, prior, posterior.mean, key=KEY)) > 1000
    clipped = float(Backend(points=2)(posterior, prior, posterior.mean, key=KEY))
    assert clipped == pytest.approx(np.log(0.5 / 1e-7), rel=1e-5)
    assert float(keras.losses.kl_divergence(np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32)[::-1])[0]) == (
        pytest.approx(np.log(1e7), rel=1e-5)
    )


@pytest.mark.parametrize("mu", [0.0, 0.7, -1.0])
@pytest.mark.parametrize(
    ("direction", "log_sigma"),
    # D[p || q] of a narrower q is clipped: the prior's outer nodes lie too many of q's standard deviations away
    [("forward", -1.0), *itertools.product(["forward", "reverse", "symmetric"], [-0.3, 0.2])],
)
def test_quadrature_meets_the_closed_form(mu: float, log_sigma: float, direction: str) -> None:
    """To a hundredth of a nat if nothing is clipped; the nodes follow the distribution of the expectation."""
    exact = value_and_gradient(Analytic(direction), mu, log_sigma)[0]  # type: ignore[arg-type]
    assert value_and_gradient(Backend(direction), mu, log_sigma)[0] == pytest.approx(exact, abs=1e-2)


def test_infinite_edges_are_not_used() -> None:
    """A posterior far outside the histogram still has a finite value and gradient."""
    value, slopes = value_and_gradient(Backend(support="histogram"), 30.0, -2.0)
    assert np.isfinite([value, *slopes]).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"direction": "sideways"}, "direction=sideways: .*'forward', 'reverse' or 'symmetric'"),
        ({"support": "line"}, "support=line: .*'quadrature' or 'histogram'"),
        ({"points": 1}, "points=1: .*2"),
    ],
)
def test_refuses_other_values(options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Backend(**options)  # type: ignore[arg-type]
