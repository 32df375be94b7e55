"""The quantities of a model against independent computations."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from scipy.special import logsumexp

from vae import VAE
from vae.evaluation import importance_weighted_nll, measure_model
from vae.latents import BernoulliLatent, CategoricalLatent, LatentFamily
from vae.likelihoods import (
    DequantizedGaussianLikelihood,
    DiscretizedLogisticLikelihood,
    GaussianLikelihood,
    Likelihood,
)

MakeVAE = Callable[..., VAE]


@pytest.mark.thorough
def test_more_samples_give_a_tighter_bound(make_vae: MakeVAE, images: NDArray[np.float32]) -> None:
    vae = make_vae()
    vae.fit(images, epochs=5, batch_size=10, verbose=0)
    one, many = (measure_model(vae, [tf.constant(images)], samples, seed=0) for samples in (1, 500))
    assert many["nll"] < one["nll"]
    assert many["nll"] < -many["elbo"]
    # one sample: the nll is an ELBO by another sample; their difference is the noise of fifty images
    assert one["nll"] == pytest.approx(-one["elbo"], abs=1.0)


@pytest.mark.thorough
def test_the_quantities_are_those_of_keras_evaluate(make_vae: MakeVAE, images: NDArray[np.float32]) -> None:
    vae = make_vae(seed=3)
    vae.fit(images, epochs=2, verbose=0)
    evaluated = vae.evaluate(images, batch_size=16, verbose=0, return_dict=True)
    whole = measure_model(vae, [tf.constant(images)], 60, seed=3)
    split = measure_model(vae, [tf.constant(images[:20]), tf.constant(images[20:])], 60, seed=3)
    for name in ("elbo", "reconstruction", "kl"):
        assert whole[name] == pytest.approx(evaluated[name], rel=1e-5)
    assert sum(whole["kl_per_latent"]) == pytest.approx(whole["kl"])
    assert whole["mutual_information_lower"] <= whole["mutual_information_upper"]
    nll = importance_weighted_nll(vae, images, 60, seed=3)
    assert whole["nll_error"] == pytest.approx(nll.std(ddof=1) / np.sqrt(50), rel=1e-5)
    assert measure_model(vae, [tf.constant(images[:1])], 60, seed=3)["nll_error"] is None
    assert whole["nll_kind"] == "probability"
    assert whole["bits_per_dim"] == pytest.approx(whole["nll"] / 64 / np.log(2))
    assert whole["images"] == 50
    assert {name: split[name] for name in ("nll", "elbo")} == pytest.approx(
        {name: whole[name] for name in ("nll", "elbo")}, rel=1e-6
    )
    assert measure_model(vae, [tf.constant(images)], 60, seed=3) == whole
    assert measure_model(vae, [tf.constant(images)], 60, seed=4)["nll"] != whole["nll"]


TWO_PIXELS = (np.indices((5, 5)).reshape(2, 25).T / 4).astype(np.float32).reshape(25, 1, 2, 1)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("likelihood", "kind", "lowest", "highest"),
    [
        (DiscretizedLogisticLikelihood(5, 0.1), "probability", 0.99, 1.01),
        (DequantizedGaussianLikelihood(5, 0.15), "probability", 0.2, 1.0),
        (GaussianLikelihood(0.02), "density", 5.0, np.inf),
    ],
    ids=lambda case: type(case).__name__,
)
def test_only_a_code_satisfies_kraft(
    likelihood: Likelihood, kind: str, lowest: float, highest: float, make_vae: MakeVAE
) -> None:
    """Over all 25 images of two pixels with five levels, 2^-length sums to at most 1: to 1 if nothing is wasted."""
    vae = make_vae(image_shape=(1, 2, 1), likelihood=likelihood, latents=2)
    images = tf.constant((np.round(TWO_PIXELS * 255) / 255).astype(np.float32))
    measured = measure_model(vae, [images], 4000, seed=0)
    nll = importance_weighted_nll(vae, images, 4000, seed=0).astype(np.float64)
    assert measured["nll_kind"] == kind
    assert measured["nll"] == pytest.approx(nll.mean(), rel=1e-4)
    if kind == "probability":
        assert measured["bits_per_dim"] == pytest.approx(nll.mean() / np.log(2) / 2, rel=1e-4)
    else:
        assert measured["bits_per_dim"] is None
    assert lowest < np.exp(-nll).sum() < highest


@pytest.mark.thorough
def test_one_grey_image_makes_the_whole_nll_a_cross_entropy(make_vae: MakeVAE, images: NDArray[np.float32]) -> None:
    """Whichever batch it is in."""
    grey = images.copy()
    grey[30, 2, 3] = 0.5
    for batches in (grey[:25], grey[25:]), (grey[25:], grey[:25]):
        measured = measure_model(make_vae(), [tf.constant(batch) for batch in batches], 2, seed=0)
        assert (measured["nll_kind"], measured["bits_per_dim"]) == ("cross_entropy", None)


def test_the_cross_entropy_bound_is_that_of_binarized_images(make_vae: MakeVAE) -> None:
    """No smaller than the mean -log p(b) of binary images b drawn from the grey one, exactly over all b."""
    vae = make_vae(image_shape=(2, 2, 1), latents=1)
    grey = np.array([0.1, 0.4, 0.8, 1.0], np.float32)
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)  # of the prior
    logits = vae.decode(nodes[:, np.newaxis].astype(np.float32)).numpy().reshape(60, 4).astype(np.float64)
    binary = np.array(list(itertools.product([0.0, 1.0], repeat=4)))
    log_likelihood = binary @ logits.T - np.logaddexp(0, logits).sum(axis=1)
    nll = -logsumexp(log_likelihood, b=weights / weights.sum(), axis=1)
    assert np.exp(-nll).sum() == pytest.approx(1.0, rel=1e-6)
    mean_nll = np.prod(np.where(binary == 1, grey, 1 - grey), axis=1) @ nll
    bound = -logsumexp(grey @ logits.T - np.logaddexp(0, logits).sum(axis=1), b=weights / weights.sum())
    measured = measure_model(vae, [tf.constant(grey.reshape(1, 2, 2, 1))], 4000, seed=0)
    assert measured["nll_kind"] == "cross_entropy"
    assert measured["nll"] == pytest.approx(bound, abs=0.01)
    assert mean_nll < bound


@pytest.mark.thorough
@pytest.mark.parametrize("latents", [BernoulliLatent(4), CategoricalLatent(2, 3)], ids=lambda one: type(one).__name__)
def test_discrete_models_are_measured_with_samples_that_are_not_relaxed(
    latents: LatentFamily, make_vae: MakeVAE, images: NDArray[np.float32]
) -> None:
    """A sum over all values of z gives log p(x) in float64; the ELBO is below it, and the NLL estimates it."""
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

    quantities = measure_model(vae, [tf.constant(images)], 2000, 0)
    assert set(np.unique(vae(images)["z"])) == {0.0, 1.0}
    assert quantities["kl"] == pytest.approx(kl.mean(), rel=1e-4)
    # One draw an image: four standard errors of the reconstruction's mean
    spread = np.sqrt(np.sum(q * log_likelihood**2, axis=0) - np.sum(q * log_likelihood, axis=0) ** 2)
    assert abs(quantities["elbo"] - elbo.mean()) < 4 * np.sqrt(np.sum(spread**2)) / len(images)
    assert elbo.mean() < exact.mean()
    assert quantities["nll"] == pytest.approx(-exact.mean(), abs=0.02)  # 2,000 of 16 or 9 values
    information = np.sum(q * (np.log(q) - np.log(q.mean(axis=1, keepdims=True))), axis=0).mean()
    assert quantities["mutual_information"] == pytest.approx(information, abs=0.5)  # of one draw an image
