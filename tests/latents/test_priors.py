"""Learned priors: densities against scipy, draws against moments, training that moves them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

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
from vae.kl import Analytic, Backend, JensenShannon, KLRegularizer, MonteCarlo, Renyi
from vae.latents import CategoricalLatent, Gaussian, GaussianMixture, LatentFamily, MixturePrior, Prior, VampPrior
from vae.random import Stream, key, row_keys

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


@pytest.mark.parametrize(("samples", "batch", "shape"), [(None, None, (1, 2)), (3, None, (1, 3, 2)), (3, 4, (4, 3, 2))])
def test_a_draw_for_each_example(
    samples: int | None, batch: int | None, shape: tuple[int, ...], mixture: GaussianMixture
) -> None:
    z = mixture.sample(key(0, Stream.PRIOR_SAMPLES, 0), samples=samples, batch=batch)
    assert z.shape == shape
    assert len(np.unique(z)) == z.numpy().size


def test_the_component_of_a_draw_says_nothing_about_its_noise() -> None:
    """Two equal components far apart: within each, the draws have the component's own mean, as they are independent."""
    means = np.array([[-50.0], [50.0]], np.float32)
    mixture = GaussianMixture(tf.zeros([2]), tf.constant(means), tf.zeros([2, 1]))
    z = mixture.sample(key(0, Stream.PRIOR_SAMPLES, 0), samples=40_000, batch=1).numpy().ravel().astype(np.float64)
    for sign in (-1, 1):
        noise = z[np.sign(z) == sign] - 50.0 * sign
        assert abs(noise.mean()) < 4 / np.sqrt(len(noise))
        assert noise.std() == pytest.approx(1.0, rel=0.02)


POSTERIOR = Gaussian(tf.constant([[0.3, -0.5]]), tf.constant([[-0.4, 0.2]]))


def integrated(mixture: GaussianMixture, direction: str) -> float:
    """The KL of `POSTERIOR` and the mixture in nats, by the trapezoidal rule on a grid in float64."""
    axis = np.linspace(-14, 14, 1401)
    z = np.stack(np.meshgrid(axis, axis), axis=-1)
    log_q = norm.logpdf(z, [0.3, -0.5], np.exp([-0.2, 0.1])).sum(axis=-1)
    log_p = densities(mixture, z)

    def kl(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
        return float(np.sum(np.exp(first) * (first - second)) * (axis[1] - axis[0]) ** 2)

    forward, reverse = kl(log_q, log_p), kl(log_p, log_q)
    return {"forward": forward, "reverse": reverse, "symmetric": (forward + reverse) / 2}[direction]


@pytest.mark.thorough
@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("by_row", [False, True])
@pytest.mark.parametrize("direction", ["forward", "reverse", "symmetric"])
def test_monte_carlo_meets_the_mixture(mixture: GaussianMixture, direction: str, by_row: bool, samples: int) -> None:
    """Against quadrature; the mean of 4,000 rows, with one key or with a key for each, within four standard errors."""
    rows = 4000
    posterior = Gaussian(tf.repeat(POSTERIOR.mu, rows, axis=0), tf.repeat(POSTERIOR.log_var, rows, axis=0))
    z = posterior.sample(key(0, Stream.TRAINING_POSTERIOR, 0))
    single, several = key(1, Stream.TRAINING_REGULARIZER, 0), row_keys(1, Stream.EVALUATION_REGULARIZER, 0, rows)
    estimate = MonteCarlo(direction, samples).per_latent(posterior, mixture, z, key=several if by_row else single)
    values = estimate.numpy().astype(np.float64)
    assert values.shape == (rows, 1)
    assert len(np.unique(values)) > 0.99 * rows  # every row has draws of its own
    assert abs(values.mean() - integrated(mixture, direction)) < 4 * values.std() / np.sqrt(rows)


@pytest.mark.parametrize(
    ("draws", "bound"), [pytest.param("antithetic", 1.0, marks=pytest.mark.thorough), ("stratified", 0.8)]
)
def test_dependent_draws_of_the_mixture(mixture: GaussianMixture, draws: Any, bound: float) -> None:
    """Against quadrature: the mean of 4,000 rows within four standard errors, and less noise than independent draws."""
    rows = 4000
    posterior = Gaussian(tf.repeat(POSTERIOR.mu, rows, axis=0), tf.repeat(POSTERIOR.log_var, rows, axis=0))
    found = [
        MonteCarlo("reverse", 4, draws=kind)
        .per_latent(posterior, mixture, posterior.mean, key=key(1, Stream.TRAINING_REGULARIZER, 0))
        .numpy()
        .astype(np.float64)
        for kind in (draws, None)
    ]
    values, independent = found
    assert abs(values.mean() - integrated(mixture, "reverse")) < 4 * values.std() / np.sqrt(rows)
    assert values.std() < bound * independent.std()


@pytest.mark.thorough
@pytest.mark.parametrize("direction", ["reverse", "symmetric"])
@pytest.mark.parametrize("prior", [MixturePrior, VampPrior])
def test_the_reverse_direction_is_evaluated(
    prior: type[MixturePrior | VampPrior], direction: str, make_vae: MakeVAE, images: Images
) -> None:
    """Evaluation has a key for each image: the value does not depend on the batch size."""
    vae = make_vae(MonteCarlo(direction, samples=2), prior=prior(3))
    whole, ragged = (vae.evaluate(images, batch_size=size, verbose=0, return_dict=True) for size in (50, 7))
    assert np.isfinite(whole["regularizer"])
    assert ragged == pytest.approx(whole, rel=1e-4)
    vae.fit(images, batch_size=25, validation_data=(images,), verbose=0)


@pytest.mark.thorough
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


NEED_A_CLOSED_FORM = [Analytic(), Analytic("reverse"), Backend("reverse"), Renyi("reverse"), JensenShannon()]


@pytest.mark.parametrize("kl", NEED_A_CLOSED_FORM, ids=lambda kl: type(kl).__name__)
def test_without_a_closed_form_the_message_names_both_distributions(
    kl: KLRegularizer, make_vae: MakeVAE, images: Images
) -> None:
    vae = make_vae(kl, prior=MixturePrior(2))
    with pytest.raises(
        UserError, match=r"divergence of Gaussian\w* and Gaussian\w* has no closed form; kl=monte_carlo"
    ):
        vae.train_on_batch(images)


def test_a_learned_prior_needs_gaussians(make_vae: MakeVAE) -> None:
    with pytest.raises(UserError, match=r"MixturePrior .* needs latent=gaussian, not CategoricalLatent$"):
        make_vae(latents=CategoricalLatent(2, 3), prior=MixturePrior(2))
    with pytest.raises(UserError, match=r"components=0: .*greater than 0"):
        VampPrior(0)


def test_a_prior_of_the_user_is_saved_and_loaded(make_vae: MakeVAE, images: Images, tmp_path: Path) -> None:
    """The base registers it with Keras."""

    class Narrow(Prior):
        def __init__(self, log_var: float = -1.0, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.log_var = log_var

        def distribution(self, latent: LatentFamily, encode: Any) -> Gaussian:
            return Gaussian(tf.zeros([1, latent.size]), tf.fill([1, latent.size], self.log_var))

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "log_var": self.log_var}

    vae = make_vae(prior=Narrow(-2.0))
    vae.train_on_batch(images)
    vae.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.prior.log_var == -2.0
    assert np.array_equal(again.sample(2, seed=0), vae.sample(2, seed=0))
    with pytest.raises(UserError, match="log_var=wide"):
        Narrow("wide")  # type: ignore[arg-type]
