"""The marginal likelihood against independent computations."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from scipy.special import logsumexp
from scipy.stats import norm

from vae import VAE
from vae.evaluation import ImportanceSampler, importance_sampling, importance_weighted_nll
from vae.evaluation.importance_sampling import SAMPLES_A_PASS
from vae.likelihoods import GaussianLikelihood
from vae.networks import Conv
from vae.random import Stream, normal_like, row_keys

MakeVAE = Callable[..., VAE]


def linear_gaussian(make_vae: MakeVAE, posterior_scale: float) -> tuple[VAE, float]:
    """Return a VAE of one pixel and one latent variable, x = z + N(0, 0.5^2), and the variance of x, 1.25.

    Its posterior is the exact one, N(0.8 x, 0.2), with its standard deviation times `posterior_scale`.
    """
    vae = make_vae(image_shape=(1, 1, 1), latents=1, likelihood=GaussianLikelihood(0.5))
    for model in (vae.encoder, vae.decoder):
        for weight in model.weights:
            weight.assign(tf.zeros_like(weight))
    small = 1e-3  # tanh is linear to a millionth there

    def pass_through(model: tf.keras.Model, output: str, scale: float, bias: float) -> None:
        dense = [layer for layer in model.layers if hasattr(layer, "kernel")]
        kernel, last = dense[0].kernel.numpy(), dense[-1].kernel.numpy()
        kernel[0, 0], last[0, 0] = small, scale / small
        dense[0].kernel.assign(kernel)
        model.get_layer(output).kernel.assign(last)
        biases = np.zeros(last.shape[1], np.float32)
        biases[-1] += bias
        model.get_layer(output).bias.assign(biases)

    pass_through(vae.encoder, "posterior", 0.8, np.log(0.2 * posterior_scale**2))
    pass_through(vae.decoder, "likelihood", 1.0, 0.0)
    return vae, 1.25


@pytest.mark.thorough
@pytest.mark.parametrize(("posterior_scale", "samples", "tolerance"), [(1.0, 50, 1e-3), (1.5, 5000, 0.02)])
def test_nll_of_a_model_with_a_known_marginal(
    posterior_scale: float, samples: int, tolerance: float, make_vae: MakeVAE
) -> None:
    """With the exact posterior every importance weight is p(x), so that one sample would do."""
    vae, variance = linear_gaussian(make_vae, posterior_scale)
    x = np.linspace(-2, 2, 9).astype(np.float32).reshape(-1, 1, 1, 1)
    measured = importance_weighted_nll(vae, tf.constant(x), samples, seed=0)
    assert measured == pytest.approx(-norm.logpdf(x.ravel(), 0, np.sqrt(variance)), abs=tolerance)


def test_nll_is_the_log_mean_of_the_importance_weights(make_vae: MakeVAE, images: NDArray[np.float32]) -> None:
    """Compare with an estimate from NumPy's samples and formulas, within their standard errors."""
    vae = make_vae()
    image, samples = images[:1], 3000
    posterior = vae.encode(image)
    mu, sigma = posterior.mu.numpy()[0], np.exp(posterior.log_var.numpy()[0] / 2)
    z = mu + sigma * np.random.default_rng(1).normal(size=(samples, 4))
    logits = vae.decode(z.astype(np.float32)).numpy().astype(np.float64)
    log_likelihood = np.sum(image * logits - np.logaddexp(0, logits), axis=(1, 2, 3))
    log_weights = log_likelihood + (norm.logpdf(z) - norm.logpdf(z, mu, sigma)).sum(axis=1)
    expected = -(logsumexp(log_weights) - np.log(samples))
    weights = np.exp(log_weights - log_weights.max())
    error = weights.std() / weights.mean() / np.sqrt(samples)
    measured = float(importance_weighted_nll(vae, tf.constant(image), samples, seed=0)[0])
    assert abs(measured - expected) < 5 * np.sqrt(2) * error


@pytest.mark.thorough
def test_nll_is_that_of_all_weights_at_once_in_float64(make_vae: MakeVAE, images: NDArray[np.float32]) -> None:
    """The running sums against one logsumexp over the same draws; 1,030 samples end within a pass of the third call."""
    vae, samples, first = make_vae(), 1030, 7
    passes = math.ceil(samples / SAMPLES_A_PASS)
    posterior = vae.encode(images)
    mu, log_var = (value.numpy().astype(np.float64) for value in (posterior.mu, posterior.log_var))
    keys = row_keys(5, Stream.IMPORTANCE_SAMPLES, first * passes, len(images) * passes)
    noise = normal_like(tf.zeros([len(images) * passes, SAMPLES_A_PASS, 4]), keys).numpy().astype(np.float64)
    z = mu[:, np.newaxis] + np.exp(log_var / 2)[:, np.newaxis] * noise.reshape(len(images), -1, 4)[:, :samples]
    logits = vae.decode(z.reshape(-1, 4).astype(np.float32)).numpy().astype(np.float64).reshape(*z.shape[:2], -1)
    x = images.reshape(len(images), 1, -1)
    log_likelihood = np.sum(x * logits - np.logaddexp(0, logits), axis=-1)
    log_ratio = norm.logpdf(z) - norm.logpdf(z, mu[:, np.newaxis], np.exp(log_var / 2)[:, np.newaxis])
    expected = -(logsumexp(log_likelihood + log_ratio.sum(axis=-1), axis=1) - np.log(samples))
    measured = ImportanceSampler(vae, samples, 5).bounds(images, first)
    assert measured.nll == pytest.approx(expected, rel=2e-6)  # float32 has 6e-8; 64 pixels and two densities are summed
    weights = np.exp(log_likelihood + log_ratio.sum(axis=-1) + expected[:, np.newaxis])
    effective = weights.sum(axis=1) ** 2 / (weights**2).sum(axis=1)
    assert 1.0 < effective.min() < effective.max() < samples
    assert measured.effective_samples == pytest.approx(effective, rel=1e-3)


@pytest.mark.thorough
def test_the_parts_of_a_batch_do_not_change_the_result(
    make_vae: MakeVAE, images: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts of images and of samples; and the steps of the progress bar add up to the images, in equal steps."""
    vae, steps = make_vae(), []
    whole = ImportanceSampler(vae, 700, 0).nll(images)
    monkeypatch.setattr(importance_sampling, "_UNITS_A_PASS", 50 * 64 * 20)  # twenty images
    monkeypatch.setattr(importance_sampling, "PASSES_A_CALL", 4)
    parts = ImportanceSampler(vae, 700, 0).nll(images, advance=steps.append)
    assert parts == pytest.approx(whole, rel=1e-6)
    assert len(steps) == 3 * 4  # parts of images, and calls of 4, 4, 4 and 2 passes
    assert sum(steps) == pytest.approx(50)
    expected = [size * passes / 14 for size in (17, 17, 16) for passes in (4, 4, 4, 2)]
    assert sorted(steps) == pytest.approx(sorted(expected))  # two parts are measured at a time


def test_the_largest_layer_limits_the_images_of_a_pass(
    make_vae: MakeVAE, images: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In convolutions that is a hidden layer: here of 8x8 pixels and 3 channels, three times the output."""
    steps: list[float] = []
    monkeypatch.setattr(importance_sampling, "_UNITS_A_PASS", 50 * 3 * 64 * 10)
    ImportanceSampler(make_vae(network=Conv((3,), 4)), 50, 0).nll(images, advance=steps.append)
    assert steps == [10.0] * 5
