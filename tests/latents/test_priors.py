"""Learned priors: densities against scipy, draws against moments, training that moves them."""

from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from scipy.special import logsumexp
from scipy.stats import norm

from vae import VAE
from vae.errors import UserError
from vae.evaluation import measure_model
from vae.kl import Analytic, Backend, MonteCarlo
from vae.latents import CategoricalLatent, Gaussian, GaussianMixture, MixturePrior, Prior, VampPrior
from vae.random import Stream, key

MakeVAE = Callable[..., VAE]
Images = NDArray[np.float32]


@pytest.fixture
def mixture() -> GaussianMixture:
    generator = np.random.default_rng(0)
    return GaussianMixture(*(tf.constant(generator.normal(size=size), tf.float32) for size in (3, (3, 2), (3, 2))))


def densities(mixture: GaussianMixture, z: NDArray[np.float64]) -> NDArray[np.float64]:
    logits, mu, log_var = (mixture.parameters[name].numpy().astype(np.float64) for name in ("logits", "mu", "log_var"))
    by_component = norm.logpdf(z[..., np.newaxis, :], mu, np.exp(log_var / 2)).sum(axis=-1)
    return np.asarray(logsumexp(logits - logsumexp(logits) + by_component, axis=-1))


def test_log_prob_equals_scipy(mixture: GaussianMixture) -> None:
    z = np.random.default_rng(1).normal(size=(4, 5, 2))
    measured = mixture.log_prob(tf.constant(z, tf.float32)).numpy()
    assert measured[..., 0] == pytest.approx(densities(mixture, z), rel=1e-5, abs=1e-5)


def test_draws_have_the_mixture_s_moments(mixture: GaussianMixture) -> None:
    z = mixture.sample(key(0, Stream.PRIOR_SAMPLES, 0), samples=200_000, batch=1).numpy()[0].astype(np.float64)
    logits, mu, log_var = (mixture.parameters[name].numpy().astype(np.float64) for name in ("logits", "mu", "log_var"))
    weight = np.exp(logits - logsumexp(logits))
    mean = weight @ mu
    variance = weight @ (np.exp(log_var) + mu**2) - mean**2
    assert np.all(np.abs(z.mean(axis=0) - mean) < 4 * np.sqrt(variance / len(z)))
    assert z.var(axis=0) == pytest.approx(variance, rel=0.02)
    assert mixture.mean.numpy()[0] == pytest.approx(mean, rel=1e-5)


@pytest.mark.parametrize("direction", ["forward", "reverse", "symmetric"])
def test_monte_carlo_meets_the_mixture(mixture: GaussianMixture, direction: str) -> None:
    """Against a million draws in float64; four standard errors of both."""
    posterior = Gaussian(tf.constant([[0.3, -0.5]]), tf.constant([[-0.4, 0.2]]))
    generator = np.random.default_rng(2)
    q = generator.normal([0.3, -0.5], np.exp([-0.2, 0.1]), size=(1_000_000, 2))
    p = mixture.sample(key(9, Stream.PRIOR_SAMPLES, 0), samples=1_000_000, batch=1).numpy()[0].astype(np.float64)

    def log_q(z: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(norm.logpdf(z, [0.3, -0.5], np.exp([-0.2, 0.1])).sum(axis=-1))

    forward, reverse = log_q(q) - densities(mixture, q), densities(mixture, p) - log_q(p)
    expected = {"forward": forward, "reverse": reverse, "symmetric": (forward + reverse) / 2}[direction]
    samples = 4000
    values = [
        float(
            MonteCarlo(direction, samples)(
                posterior, mixture, posterior.sample(key(seed, Stream.TRAINING_POSTERIOR, 0))
            )
        )
        for seed in range(1)
    ]
    error = expected.std() * (1 / np.sqrt(samples) + 1e-3)
    assert abs(np.mean(values) - expected.mean()) < 4 * error


@pytest.mark.parametrize("prior", [MixturePrior(3), VampPrior(5)], ids=lambda prior: type(prior).__name__)
def test_a_learned_prior_is_trained_saved_and_measured(
    prior: Prior, make_vae: MakeVAE, images: Images, tmp_path_factory: pytest.TempPathFactory
) -> None:
    vae = make_vae(MonteCarlo(), prior=type(prior)(**{"components": prior.get_config()["components"]}))
    before = [variable.numpy() for variable in vae.prior.trainable_variables]
    assert before
    vae.compile(keras.optimizers.Adam(1e-2))
    history = vae.fit(images, batch_size=25, epochs=10, verbose=0).history
    assert history["elbo"][-1] > history["elbo"][0]
    for old, new in zip(before, vae.prior.trainable_variables, strict=True):
        assert not np.allclose(old, new.numpy())
    path = tmp_path_factory.mktemp("learned") / "model.keras"
    vae.save(path)
    again = keras.models.load_model(path)
    assert np.array_equal(again.sample(3, seed=1), vae.sample(3, seed=1))
    figures = measure_model(again, [tf.constant(images)], 50, 0)
    assert figures["elbo"] == pytest.approx(-figures["reconstruction"] - figures["kl"])
    assert figures["nll"] < -figures["elbo"] + 1.0  # the bound is tighter with fifty samples than with one


def test_what_needs_a_closed_form_says_so(make_vae: MakeVAE, images: Images) -> None:
    for kl in (Analytic(), Backend()):
        vae = make_vae(kl, prior=MixturePrior(2))
        with pytest.raises(UserError, match=r"Gaussian and GaussianMixture has no closed form; kl=monte_carlo"):
            vae.train_on_batch(images)


def test_a_learned_prior_needs_gaussians(make_vae: MakeVAE) -> None:
    with pytest.raises(UserError, match="needs latent=gaussian"):
        make_vae(latents=CategoricalLatent(2, 3), prior=MixturePrior(2))
    with pytest.raises(ValueError, match=r"prior.components=0: must be 1 or more"):
        VampPrior(0)
