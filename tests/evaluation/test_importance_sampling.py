"""The marginal likelihood against independent computations."""

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from scipy.special import logsumexp
from scipy.stats import norm

from vae import VAE
from vae.evaluation import importance_weighted_nll
from vae.likelihoods import GaussianLikelihood

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


@pytest.mark.parametrize(("posterior_scale", "samples", "tolerance"), [(1.0, 50, 1e-3), (1.5, 5000, 0.02)])
def test_nll_of_a_model_with_a_known_marginal(
    posterior_scale: float, samples: int, tolerance: float, make_vae: MakeVAE
) -> None:
    """With the exact posterior every importance weight is p(x), so that one sample would do."""
    vae, variance = linear_gaussian(make_vae, posterior_scale)
    x = np.linspace(-2, 2, 9).astype(np.float32).reshape(-1, 1, 1, 1)
    measured = importance_weighted_nll(vae, tf.constant(x), samples, seed=0).numpy()
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
