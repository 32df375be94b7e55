"""The inference gap of linear Gaussian models, whose true posterior, gaps and log p(x) have closed forms."""

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from tests.conftest import run_script
from vae import VAE
from vae.errors import UserError
from vae.evaluation import ImportanceSampler, PosteriorOptimizer, inference_gap, measure_inference_gap
from vae.kl import Analytic, MonteCarlo
from vae.latents import BernoulliLatent, GaussianLatent, MixturePrior
from vae.likelihoods import GaussianLikelihood
from vae.networks import Conv

MakeVAE = Callable[..., VAE]
SCALE = 0.5
#: Of three pixels and two latent variables: in the first, the true posterior's variables are correlated, but so that
#: the best diagonal Gaussian is more than half as wide, without which importance weights have no variance
CORRELATED = np.array([[1.0, 0.4], [0.4, 0.9], [0.5, 0.5]])
ORTHOGONAL = np.array([[1.0, 0.5], [0.5, -1.0], [0.0, 0.0]])


@dataclass
class LinearModel:
    """x = W z + N(0, 0.5^2), in float64. The encoder's posterior is off from the best by a shift and a factor.

    Args:
        weights: W, `(3, 2)`.
        shift: what the encoder's mean is off by.
        log_ratio: what the encoder's log-variance is off by.
    """

    weights: NDArray[np.float64]
    shift: float = 0.0
    log_ratio: float = 0.0

    @property
    def precision(self) -> NDArray[np.float64]:
        """The inverse of the true posterior's covariance."""
        return np.eye(2) + self.weights.T @ self.weights / SCALE**2

    @property
    def log_var(self) -> NDArray[np.float64]:
        """The best log-variances of a diagonal Gaussian: of the diagonal of the precision."""
        return -np.log(np.diag(self.precision))

    @property
    def approximation_gap(self) -> float:
        """The KL of the best diagonal Gaussian and the true posterior, whose means agree."""
        return 0.5 * float(np.sum(np.log(np.diag(self.precision))) - np.linalg.slogdet(self.precision)[1])

    @property
    def amortization_gap(self) -> float:
        """The KL of the encoder's posterior and the true one, minus that of the best."""
        shift, ratio = np.full(2, self.shift), math.exp(self.log_ratio)
        return float(0.5 * shift @ self.precision @ shift + (ratio - 1.0 - self.log_ratio))

    def log_p(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """The marginal log-density of images `(n, 3)`, `(n,)`."""
        covariance = self.weights @ self.weights.T + SCALE**2 * np.eye(3)
        square = np.sum(x * np.linalg.solve(covariance, x.T).T, axis=1)
        return -0.5 * (square + np.linalg.slogdet(2 * np.pi * covariance)[1])

    def vae(self, **options: Any) -> VAE:
        """The same model as a VAE."""
        images, z = keras.Input((1, 3, 1)), keras.Input((2,))
        encoder = keras.Model(images, keras.layers.Dense(4)(keras.layers.Flatten()(images)))
        decoder = keras.Model(z, keras.layers.Reshape((1, 3, 1))(keras.layers.Dense(3)(z)))
        mean = np.linalg.solve(self.precision, self.weights.T) / SCALE**2
        kernel = np.concatenate([mean.T, np.zeros((3, 2))], axis=1)
        encoder.layers[-1].set_weights(
            [kernel, np.concatenate([np.full(2, self.shift), self.log_var + self.log_ratio])]
        )
        decoder.layers[1].set_weights([self.weights.T, np.zeros(3)])
        options = {"kl": Analytic(), **options}
        return VAE(encoder, decoder, GaussianLatent(2), GaussianLikelihood(SCALE), **options)


def images_of(model: LinearModel, count: int) -> tuple[NDArray[np.float64], tf.Tensor]:
    """Images drawn from a model, `(count, 3)`, and as its VAE takes them."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(count, 2)) @ model.weights.T + SCALE * generator.normal(size=(count, 3))
    return x, tf.constant(x.reshape(count, 1, 3, 1), tf.float32)


@pytest.mark.parametrize(
    ("model", "tolerance"),
    [
        (LinearModel(CORRELATED, shift=0.7, log_ratio=-1.0), 0.02),
        pytest.param(LinearModel(CORRELATED), 0.02, marks=pytest.mark.thorough),
        pytest.param(LinearModel(CORRELATED, shift=-3.0, log_ratio=2.0), 0.05, marks=pytest.mark.thorough),
        pytest.param(LinearModel(ORTHOGONAL, shift=1.0, log_ratio=1.0), 0.02, marks=pytest.mark.thorough),
    ],
    ids=["correlated, wrong encoder", "best encoder", "encoder far off", "posterior in the family"],
)
def test_the_gaps_of_a_linear_model(model: LinearModel, tolerance: float) -> None:
    """The approximation gap depends on W alone, the amortization gap on what the encoder is off by."""
    x, images = images_of(model, 60)
    measured = measure_inference_gap(model.vae(), [images], images=60, steps=300, samples=1000, seed=0)
    log_p = model.log_p(x)
    expected = {
        "encoder_elbo": log_p.mean() - model.approximation_gap - model.amortization_gap,
        "optimized_elbo": log_p.mean() - model.approximation_gap,
        "optimized_nll": -log_p.mean(),
        "amortization_gap": model.amortization_gap,
        "approximation_gap": model.approximation_gap,
        "inference_gap": model.amortization_gap + model.approximation_gap,
    }
    assert {name: measured[name] for name in expected} == pytest.approx(expected, abs=tolerance)
    # The gaps are the same for all images, so that the bounds vary as log p(x) does
    assert measured["optimized_elbo_error"] == pytest.approx(log_p.std(ddof=1) / np.sqrt(60), rel=0.05)
    assert measured["gap_images"] == 60


@pytest.mark.thorough
def test_the_best_posterior_of_a_linear_model() -> None:
    """The mean is the true one's, and the variances are the inverses of the precision's diagonal."""
    model = LinearModel(CORRELATED, shift=0.7, log_ratio=-1.0)
    x, images = images_of(model, 40)
    found = GaussianLatent(2).posterior(PosteriorOptimizer(model.vae(), 300, 200, seed=0).parameters(images))
    mean = x @ model.weights @ np.linalg.inv(model.precision) / SCALE**2
    assert found.mu.numpy() == pytest.approx(mean, abs=0.03)  # a tenth of the posterior's standard deviations
    assert found.log_var.numpy() == pytest.approx(np.tile(model.log_var, (40, 1)), abs=0.1)


@pytest.mark.thorough
def test_the_encoder_s_posterior_stays_if_it_is_the_best() -> None:
    """Steps that lead away from it change nothing, and the amortization gap is exactly 0."""
    model = LinearModel(ORTHOGONAL)
    _, images = images_of(model, 10)
    vae = model.vae()
    own = vae.encoder(images).numpy()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inference_gap, "LEARNING_RATE", -0.5)
        assert np.array_equal(PosteriorOptimizer(vae, 3, 50, seed=0).parameters(images), own)
        assert measure_inference_gap(vae, [images], 10, 3, 50, seed=0)["amortization_gap"] == 0.0


@pytest.mark.thorough
def test_an_image_s_figures_depend_on_its_index_and_the_seed_alone() -> None:
    model = LinearModel(CORRELATED, shift=0.7)
    _, images = images_of(model, 30)
    vae = model.vae()

    def measure(batches: list[tf.Tensor], seed: int = 0) -> dict[str, Any]:
        return measure_inference_gap(vae, batches, images=24, steps=60, samples=60, seed=seed)

    whole = measure([images])
    assert measure([images[:11], images[11:]]) == pytest.approx(whole, rel=1e-4)
    assert whole["gap_images"] == 24
    other = measure([images], seed=1)
    assert other["amortization_gap"] != whole["amortization_gap"]
    assert other["amortization_gap"] == pytest.approx(whole["amortization_gap"], rel=0.1)  # 24 images of 60 draws


@pytest.mark.thorough
def test_the_elbo_of_the_choice_is_of_other_draws() -> None:
    """Of two posteriors that are equally good, the choice takes the luckier one: fresh draws must not see that."""
    model = LinearModel(CORRELATED)
    _, images = images_of(model, 400)
    vae = model.vae()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inference_gap, "LEARNING_RATE", 0.02)
        measured = measure_inference_gap(vae, [images], images=400, steps=1, samples=2, seed=0)
    assert abs(measured["amortization_gap"]) < 4 * measured["amortization_gap_error"]


@pytest.mark.thorough
def test_under_a_learned_prior() -> None:
    """A mixture whose components are all the standard normal is the standard normal."""
    model = LinearModel(CORRELATED, shift=0.7, log_ratio=-1.0)
    vae = model.vae(kl=MonteCarlo(), prior=MixturePrior(3))
    for weight in vae.prior.weights:
        weight.assign(tf.zeros_like(weight))
    _, images = images_of(model, 60)
    measured = measure_inference_gap(vae, [images], images=60, steps=300, samples=1000, seed=0)
    assert measured["amortization_gap"] == pytest.approx(model.amortization_gap, abs=0.02)
    assert measured["approximation_gap"] == pytest.approx(model.approximation_gap, abs=0.02)


@pytest.mark.thorough
def test_a_damaged_encoder_changes_the_amortization_gap_alone(make_vae: MakeVAE, images: NDArray[np.float32]) -> None:
    """A model and the same one with another encoder have one log p(x) and one approximation gap."""
    vae = make_vae()
    vae.fit(images, epochs=30, batch_size=10, verbose=0)

    def measure() -> dict[str, Any]:
        return measure_inference_gap(vae, [tf.constant(images)], images=50, steps=300, samples=500, seed=0)

    before = measure()
    bias = vae.encoder.get_layer("posterior").bias
    bias.assign(bias + 0.5)
    after = measure()
    assert after["amortization_gap"] > before["amortization_gap"] + 20 * before["amortization_gap_error"]
    for name in ("optimized_elbo", "optimized_nll", "approximation_gap"):
        assert after[name] == pytest.approx(before[name], abs=0.03)


@pytest.mark.thorough
def test_convolutions(make_vae: MakeVAE, images: NDArray[np.float32]) -> None:
    """Convolutions are not compiled. The steps of the progress bar add up to the images."""
    vae, steps = make_vae(network=Conv((3,), 4)), list[float]()
    measured = measure_inference_gap(vae, [tf.constant(images)], 50, 60, 50, seed=0, advance=steps.append)
    assert measured["amortization_gap"] > 0.0
    assert measured["approximation_gap"] >= 0.0  # Jensen: both of its terms are from the same draws
    assert sum(steps) == pytest.approx(50)


@pytest.mark.thorough
def test_the_bounds_are_the_mean_and_the_log_mean_of_the_same_weights(
    make_vae: MakeVAE, images: NDArray[np.float32]
) -> None:
    """With one sample they are the same number; the encoder's parameters are the default."""
    vae = make_vae()
    elbo, nll, effective = ImportanceSampler(vae, 1, seed=0).bounds(images)
    assert effective == pytest.approx(1.0)
    assert elbo == pytest.approx(-nll, rel=1e-6)
    sampler = ImportanceSampler(vae, 70, seed=0)
    given = sampler.bounds(images, 0, vae.encoder(images))
    assert np.concatenate(given) == pytest.approx(np.concatenate(sampler.bounds(images)), rel=1e-5)
    assert np.all(given[0] < -given[1])


@pytest.mark.thorough
def test_the_command(trained_run: Path, tmp_path: Path) -> None:
    """Of the Keras class's run, whose KL had a sixteenth of its weight, the encoder is far from the best."""
    shutil.copytree(trained_run, tmp_path / "run")
    options = ["nll_samples=50", "gap_images=40", "gap_steps=100", "take=60"]
    ended = run_script("evaluate.py", "run=run", *options, cwd=tmp_path)
    assert (ended.status, ended.stderr) == (0, "")
    measured = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert (measured["images"], measured["gap_images"], measured["gap_steps"]) == (60, 40, 100)
    assert measured["amortization_gap"] > 1.0
    gaps = measured["amortization_gap"] + measured["approximation_gap"]
    assert measured["inference_gap"] == pytest.approx(gaps)
    assert measured["encoder_elbo"] == pytest.approx(-measured["optimized_nll"] - gaps)
    assert "first 40 images, 100 steps" in ended.stdout


def test_discrete_latent_variables_are_refused(make_vae: MakeVAE) -> None:
    with pytest.raises(UserError, match="latent=gaussian, and those of BernoulliLatent are not"):
        PosteriorOptimizer(make_vae(latents=BernoulliLatent(2)), 1, 1, seed=0)
