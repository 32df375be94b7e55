"""The measures of a model against independent computations."""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from matplotlib.image import imread
from numpy.typing import NDArray
from scipy.special import logsumexp
from scipy.stats import norm

from vae import VAE
from vae.evaluation import importance_weighted_nll, measure
from vae.evaluation.pictures import save_figures
from vae.latents import BernoulliLatent, CategoricalLatent, LatentFamily
from vae.likelihoods import GaussianLikelihood

MakeVAE = Callable[..., VAE]


def linear_gaussian(make_vae: MakeVAE, posterior_scale: float) -> tuple[VAE, float]:
    """A VAE of one pixel and one latent variable, x = z + N(0, 0.5^2), whose marginal is N(0, 1.25).

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
def test_nll_of_a_model_whose_marginal_is_known(
    posterior_scale: float, samples: int, tolerance: float, make_vae: MakeVAE
) -> None:
    """With the exact posterior every importance weight is p(x): one sample would do."""
    vae, variance = linear_gaussian(make_vae, posterior_scale)
    x = np.linspace(-2, 2, 9).astype(np.float32).reshape(-1, 1, 1, 1)
    measured = importance_weighted_nll(vae, tf.constant(x), samples, seed=0).numpy()
    assert measured == pytest.approx(-norm.logpdf(x.ravel(), 0, np.sqrt(variance)), abs=tolerance)


def test_nll_is_the_log_mean_of_the_importance_weights(make_vae: MakeVAE, images: NDArray[np.float32]) -> None:
    """Against NumPy's own samples and formulas: an estimate with its standard error."""
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


def test_more_samples_bound_more_tightly(make_vae: MakeVAE, images: NDArray[np.float32]) -> None:
    vae = make_vae()
    vae.fit(images, epochs=5, batch_size=10, verbose=0)
    one, many = (measure(vae, [tf.constant(images)], samples, seed=0) for samples in (1, 500))
    assert many["nll"] < one["nll"]
    assert many["nll"] < -many["elbo"]
    # one sample: the nll is an ELBO by another sample; their difference is the noise of fifty images
    assert one["nll"] == pytest.approx(-one["elbo"], abs=1.0)


def test_measure_agrees_with_keras_evaluate_and_with_itself(make_vae: MakeVAE, images: NDArray[np.float32]) -> None:
    vae = make_vae(seed=3)
    vae.fit(images, epochs=2, verbose=0)
    evaluated = vae.evaluate(images, batch_size=16, verbose=0, return_dict=True)
    whole = measure(vae, [tf.constant(images)], 60, seed=3)
    split = measure(vae, [tf.constant(images[:20]), tf.constant(images[20:])], 60, seed=3)
    for name in ("elbo", "reconstruction", "kl"):
        assert whole[name] == pytest.approx(evaluated[name], rel=1e-5)
    assert sum(whole["kl_per_latent"]) == pytest.approx(whole["kl"])
    assert whole["mutual_information"] + whole["marginal_kl"] == pytest.approx(whole["kl"])
    assert whole["bits_per_dim"] == pytest.approx(whole["nll"] / 64 / np.log(2))
    assert whole["images"] == 50
    assert {name: split[name] for name in ("nll", "elbo")} == pytest.approx(
        {name: whole[name] for name in ("nll", "elbo")}, rel=1e-6
    )
    assert measure(vae, [tf.constant(images)], 60, seed=3) == whole
    assert measure(vae, [tf.constant(images)], 60, seed=4)["nll"] != whole["nll"]


@pytest.mark.parametrize("count", [3, 24, 50])
def test_figures_are_pictures(count: int, make_vae: MakeVAE, images: NDArray[np.float32], tmp_path: Path) -> None:
    paths = save_figures(make_vae(), images[:count], tmp_path, seed=0)
    assert [path.name for path in paths] == ["reconstructions.png", "samples.png"]
    for path in paths:
        picture = imread(path)
        assert min(picture.shape[:2]) > 100
        assert np.ptp(picture) > 0.5


@pytest.mark.parametrize("latents", [BernoulliLatent(4), CategoricalLatent(2, 3)], ids=lambda one: type(one).__name__)
def test_discrete_models_are_measured_with_true_draws(
    latents: LatentFamily, make_vae: MakeVAE, images: NDArray[np.float32]
) -> None:
    """All values of z can be gone through: log p(x) exactly, in float64. The ELBO is below it, the NLL estimates it."""
    vae = make_vae(latents=latents)
    vae.fit(images, batch_size=25, epochs=3, verbose=0)
    parts = np.eye(3) if isinstance(latents, CategoricalLatent) else np.array([[0.0], [1.0]])
    every = np.array([np.concatenate(choice) for choice in itertools.product(parts, repeat=latents.size)], np.float32)
    logits = vae.decode(every).numpy().astype(np.float64).reshape(len(every), 1, -1)
    x = images.reshape(1, len(images), -1)
    log_likelihood = np.sum(x * logits - np.logaddexp(0, logits), axis=-1)  # (values of z, images)
    exact = logsumexp(log_likelihood, axis=0) - np.log(len(every))
    posterior = vae.encode(images)
    q = np.exp(posterior.pairwise_log_prob(every).numpy())
    kl = np.sum(q * (np.log(q) + np.log(len(every))), axis=0)
    elbo = np.sum(q * log_likelihood, axis=0) - kl

    figures = measure(vae, [tf.constant(images)], 2000, 0)
    assert set(np.unique(vae(images)["z"])) == {0.0, 1.0}
    assert figures["kl"] == pytest.approx(kl.mean(), rel=1e-4)
    # One draw an image: four standard errors of the reconstruction's mean
    spread = np.sqrt(np.sum(q * log_likelihood**2, axis=0) - np.sum(q * log_likelihood, axis=0) ** 2)
    assert abs(figures["elbo"] - elbo.mean()) < 4 * np.sqrt(np.sum(spread**2)) / len(images)
    assert elbo.mean() < exact.mean()
    assert figures["nll"] == pytest.approx(-exact.mean(), abs=0.02)  # 2,000 of 16 or 9 values
    information = np.sum(q * (np.log(q) - np.log(q.mean(axis=1, keepdims=True))), axis=0).mean()
    assert figures["mutual_information"] == pytest.approx(information, abs=0.5)  # of one draw an image
