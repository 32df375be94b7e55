"""Densities in nats against scipy."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from scipy.stats import bernoulli, norm

from vae.errors import UserError
from vae.likelihoods import BernoulliLikelihood, GaussianLikelihood, Likelihood

SHAPE = (3, 4, 5, 2)


def test_bernoulli_log_prob_is_summed_over_pixels() -> None:
    generator = np.random.default_rng(0)
    logits, images = generator.normal(size=SHAPE), (generator.random(SHAPE) < 0.5).astype(np.float64)
    expected = bernoulli.logpmf(images, 1 / (1 + np.exp(-logits))).sum(axis=(1, 2, 3))
    measured = BernoulliLikelihood().log_prob(images.astype(np.float32), tf.constant(logits, tf.float32))
    assert measured.shape == (3,)
    assert np.allclose(measured, expected, rtol=1e-5)


@pytest.mark.parametrize(("scale", "sigma"), [(0.3, 0.3), ("learned", 0.1), (2, 2.0)])
def test_gaussian_log_prob_is_a_proper_density(scale: float | str, sigma: float) -> None:
    generator = np.random.default_rng(0)
    means, images = generator.random(SHAPE), generator.random(SHAPE)
    expected = norm.logpdf(images, means, sigma).sum(axis=(1, 2, 3))
    likelihood = GaussianLikelihood(scale)
    measured = likelihood.log_prob(images.astype(np.float32), tf.constant(means, tf.float32))
    # softplus moves the learned scale's start by 0.024 in its logarithm
    assert np.allclose(measured, expected, rtol=0.06 if scale == "learned" else 1e-5)
    if scale == "learned":
        exact = norm.logpdf(images, means, float(tf.exp(likelihood.log_scale))).sum(axis=(1, 2, 3))
        assert np.allclose(measured, exact, rtol=1e-5)


def test_the_learned_scale_is_trainable_and_bounded() -> None:
    likelihood = GaussianLikelihood()
    assert [weight.name for weight in likelihood.trainable_weights] == ["log_scale"]
    likelihood.trainable_weights[0].assign(-1000.0)
    assert float(likelihood.log_scale) == pytest.approx(-6.0)
    assert GaussianLikelihood(0.5).trainable_weights == []


@pytest.mark.parametrize("scale", [0, -1.0, "wide", None])
def test_refuses_another_scale(scale: object) -> None:
    with pytest.raises(UserError, match=r"scale=.*'learned' or .*(number|greater than 0)"):
        GaussianLikelihood(scale)  # type: ignore[arg-type]


def test_a_likelihood_of_the_user_is_registered_and_checked() -> None:
    class Laplace(Likelihood):
        def __init__(self, width: float = 0.1, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.width = width

        def log_prob(self, images: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
            return -tf.reduce_sum(tf.abs(images - parameters), axis=(1, 2, 3)) / self.width

        def call(self, parameters: tf.Tensor) -> tf.Tensor:
            return parameters

        def initial_parameters(self, mean_image: NDArray[np.float32]) -> NDArray[np.float32]:
            return mean_image

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "width": self.width}

    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(Laplace(0.2)))
    assert again.width == 0.2
    with pytest.raises(UserError, match="width=wide"):
        Laplace("wide")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="abstract"):
        Likelihood()  # type: ignore[abstract]


def test_means_are_images() -> None:
    outputs = tf.constant(np.random.default_rng(0).normal(scale=3, size=SHAPE), tf.float32)
    for likelihood in (BernoulliLikelihood(), GaussianLikelihood(0.1)):
        images = likelihood(outputs).numpy()
        assert images.shape == SHAPE
        assert images.min() >= 0
        assert images.max() <= 1


def test_initial_parameters_give_back_the_mean() -> None:
    mean = np.random.default_rng(0).uniform(0.05, 0.95, size=(4, 5, 2)).astype(np.float32)
    for likelihood in (BernoulliLikelihood(), GaussianLikelihood()):
        again = likelihood(likelihood.initial_parameters(mean)[np.newaxis])
        assert np.allclose(again[0], mean, atol=1e-6)
    assert np.isfinite(BernoulliLikelihood().initial_parameters(np.zeros((2, 2, 1), np.float32))).all()


@pytest.mark.parametrize("likelihood", [BernoulliLikelihood(), GaussianLikelihood(), GaussianLikelihood(0.25)])
def test_comes_back_from_its_configuration(likelihood: keras.layers.Layer) -> None:
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(likelihood))
    assert again.get_config() == likelihood.get_config()
